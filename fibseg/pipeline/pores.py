"""``fibseg pores``: nuclear pores of a volume from its image and a nucleus mask, nothing painted.

Every step keeps its own record in ``runs/`` and does nothing where its product stands, made of the
same. So the same command goes on where it was stopped, and after a changed setting only what rests
on it is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.blocks import Runner
from fibseg.pipeline.distributed import Distributed
from fibseg.pipeline.pore_steps import MAKERS, Recipe, planned_steps
from fibseg.pipeline.products import Products
from fibseg.pipeline.steps import Step

_log = logging.getLogger("fibseg.pipeline")


class Found(Products):
    """What every step has made; `text` is what the command prints."""

    def __init__(self, store: str, facts: dict[str, Any], spread: Distributed | None) -> None:
        super().__init__(store, facts)
        self.spread = spread

    def text(self) -> str:
        """A line per product, how the pores lie on the envelope, and the next command."""
        if self.spread is None:
            return super().text()
        made = super().text().partition("\n\nnext:")[0]
        return f"{made}\n\n{self.spread.text()}".lstrip()


def run(
    *,
    volume: str,
    pockets: Mapping[str, Any],
    pseudolabels: Mapping[str, Any],
    train: Mapping[str, Any],
    infer: Mapping[str, Any],
    objects: Mapping[str, Any],
    distribution: Mapping[str, Any],
    nucleus: str = "nucleus",
    steps: Sequence[str] = tuple(MAKERS),
    keep: str = "products",
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Found:
    """What every step has made, by its place in the store.

    Parameters
    ----------
    volume
        Path of the store.
    pockets, pseudolabels
        Settings of these steps: arguments of `fibseg.pipeline.pockets.run` and of
        `fibseg.pipeline.pseudolabels.run`.
    train, infer, objects
        Settings of the network: arguments of `fibseg.pipeline.train.run`,
        `fibseg.pipeline.infer.run` and `fibseg.pipeline.pore_objects.run`.
    distribution
        Arguments of `fibseg.pipeline.distribution.run`.
    nucleus
        Label image of the nucleus.
    steps
        Which of the steps to do, always in their order.
    keep
        ``"all"`` makes intermediates layers of the store.
    blocks
        Where blocks are computed.
    overwrite
        Replace products that come from something else.

    Raises
    ------
    DataError, ExistsError, UsageError
        As the steps do, the first of them before any work.
    """
    planned_ = planned_steps(Recipe(**locals()))
    made: dict[str, Any] = {}
    spread: Distributed | None = None
    for number, step in enumerate(planned_, start=1):
        _log.info("[%d/%d] %s", number, len(planned_), step.command)
        result = step.run()
        if isinstance(result, Products):
            made.update(result)
        elif isinstance(result, Distributed):
            spread = result
        else:
            made[step.product] = "the network, with checkpoints and TensorBoard beside it"
    return Found(str(volume), made, spread)


def planned(**parts: Any) -> list[Step]:
    """The steps that `run` would do with the same arguments, for a dry run."""
    return planned_steps(Recipe(**parts))
