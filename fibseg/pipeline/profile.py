"""``fibseg profile``: classifier, clean-up, measurements and report of a cell, from one config.

Every step is a verb of its own, with its own record in ``runs/``, and does nothing where its
product stands, made of the same. So the same command goes on where it was stopped, and after a
changed setting only what rests on it is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.blocks import Runner
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.profile_empty import empty_labels, without
from fibseg.pipeline.profile_steps import VERBS, Recipe, planned_steps
from fibseg.pipeline.profiled import Profiled
from fibseg.pipeline.steps import Step

_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str,
    organelles: str | Sequence[str],
    clean: Mapping[str, Mapping[str, Operator | None]],
    measure: Mapping[str, Any] | None = None,
    report: Mapping[str, Any] | None = None,
    cell: str | None = "cell",
    nucleus: str | None = "nucleus",
    annotation: str | None = "cell",
    precision_nm: float | None = None,
    steps: Sequence[str] = VERBS,
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Profiled:
    """Write objects, tables and the page of a cell; returns what every step returned.

    Parameters
    ----------
    volume
        Path of the store.
    organelles
        Whose objects are profiled. Each has probabilities or labels of its name in the store.
    clean
        Clean-up operators by name, for each organelle, the nucleus and the cell.
    measure, report
        Settings of these verbs.
    cell, nucleus
        Label images that objects are measured against; what is not there, or has no object, is
        left out.
    annotation
        Painting that the cell is classified from, if it is there; None where it is not to be.
    precision_nm
        As in `fibseg.pipeline.classify.run`.
    steps
        Which of `VERBS` to do.
    blocks
        Where blocks are computed.
    overwrite
        Replace products that come from something else.

    Raises
    ------
    DataError
        If an organelle has neither probabilities nor labels, before any work; or as the verbs do.
    UsageError
        If a step or a setting cannot be meant.
    """
    recipe = Recipe(**locals())
    planned = planned_steps(recipe)
    results: dict[str, Any] = {}
    empty: list[str] | None = None
    for number, step in enumerate(planned, start=1):
        wanted: Step | None = step
        if step.verb == "measure":
            empty = empty_labels(recipe) if empty is None else empty
            wanted = without(empty, step, recipe)
        if wanted is not None:
            _log.info("[%d/%d] %s", number, len(planned), wanted.command)
            results[wanted.product] = wanted.run()
    return Profiled(results)


def planned(**parts: Any) -> list[Step]:
    """The steps that `run` would do with the same arguments, for a dry run."""
    return planned_steps(Recipe(**parts))
