"""What is done with each cell of a cohort: which commands, and what was typed for each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.steps import Step

VERBS = ("profile", "pores", "distribution")
"""In the order in which they rest on each other."""
OWN = ("volume", "out", "csv", "dry_run")
"""Keys that the cohort gives itself: one value would be that of every cell."""
GIVEN = {"distribution": ("objects",)}
"""Keys that a verb asks for and that have a value here."""


def chosen_verbs(steps: Sequence[str]) -> list[str]:
    """The verbs among `steps`, in their order.

    Raises
    ------
    UsageError
        If there is none, or one that is not known.
    """
    if not steps or set(steps) - set(VERBS):
        raise UsageError(f"steps=[{','.join(steps)}]: choose some of {', '.join(VERBS)}.")
    return [verb for verb in VERBS if verb in steps]


def typed_for(verb: str, overrides: Sequence[str]) -> list[str]:
    """What was typed for a verb of the cells, in its own words.

    Raises
    ------
    UsageError
        If it is what differs from cell to cell.

    >>> typed_for("profile", ["cells=c.yaml", "profile.measure.neighbours=1",
    ...     "postprocess@profile.clean.nucleus=default", "~profile.report.planes"])
    ['measure.neighbours=1', 'postprocess@clean.nucleus=default', '~report.planes']
    """
    words = []
    for word in overrides:
        plain = word.lstrip("+~")
        sign, (key, equals, value) = word.removesuffix(plain), plain.partition("=")
        group, at, place = key.partition("@")
        if at and place.startswith(f"{verb}."):
            inside = place.removeprefix(f"{verb}.")
            own = group if inside == group else f"{group}@{inside}"
        elif not at and key.startswith(f"{verb}."):
            own = key.removeprefix(f"{verb}.")
        else:
            continue
        if own.rsplit(".", 1)[-1] in OWN:
            raise UsageError(
                f"{key}={value} would be that of every cell. The cohort gives each its own: leave "
                "it out."
            )
        words.append(f"{sign}{own}{equals}{value}")
    return words


def commands_of(
    cell: Cell, verbs: Sequence[str], settings: Mapping[str, Mapping[str, Any]],
    overrides: Sequence[str],
) -> list[list[str]]:
    """Words of every command of a cell, behind ``fibseg``.

    Parameters
    ----------
    settings
        Of each verb: what it asks for is taken from them.
    overrides
        What was typed for the cohort.
    """
    found = []
    for verb in verbs:
        given = [f"{key}={settings[verb][key]}" for key in GIVEN.get(verb, ())]
        words = typed_for(verb, overrides)
        typed = {word.partition("=")[0] for word in words}
        given = [word for word in given if word.partition("=")[0] not in typed]
        found.append([verb, f"volume={cell.volume}", *given, *words])
    return found


def steps_of(
    cell: Cell, verbs: Sequence[str], settings: Mapping[str, Mapping[str, Any]],
    overrides: Sequence[str],
) -> list[Step]:
    """The steps that these commands would do, for a plan.

    Raises
    ------
    DataError
        If the cell lacks what they need, with its name.
    """
    found: list[Step] = []
    for verb in verbs:
        planned = importlib.import_module(f"fibseg.pipeline.{verb}").planned
        own = {"volume": cell.volume, "config": None, "overrides": typed_for(verb, overrides)}
        try:
            found += planned(**{**settings[verb], **own})
        except DataError as error:
            raise DataError(f"{cell.name}: {error}") from error
    return found
