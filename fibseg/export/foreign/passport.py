"""What fibseg tells of its own models inside their graphs, read back with the same mistrust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fibseg.errors import DataError
from fibseg.export.foreign.graph import Graph
from fibseg.export.foreign.text import read_json
from fibseg.export.passport import HIGH, KEY, LOW
from fibseg.export.schema import names, positive_numbers, refuse_newer, whole_number
from fibseg.types import Spacing

LATEST = 1
"""Newest version of a passport that is read."""

CONSTANTS = (LOW, HIGH)
"""Inputs of a graph that may be left out: grey values that become the ends of the range."""


@dataclass(frozen=True)
class Passport:
    """What is used of a passport.

    Parameters
    ----------
    classes
        Names of the channels, background first.
    spacing
        nm, (z, y, x).
    context
        Neighbouring planes on each side.
    core, margin
        Window, px.
    multiple
        Window corners and sides are multiples of this many px.
    unit
        Whether grey values are divided by the largest of their type.
    polarity
        How stain looks in the volume whose grey values are inside.
    """

    classes: tuple[str, ...]
    spacing: Spacing
    context: int
    core: tuple[int, int]
    margin: int
    multiple: int
    unit: bool
    polarity: str


def passport_of(graph: Graph, where: str) -> Passport | None:
    """The passport of a graph; None, if fibseg has not made it.

    Raises
    ------
    DataError
        If it cannot be meant.
    """
    if KEY not in graph.metadata:
        return None
    where = f"the passport of {where}"
    told = read_json(graph.metadata[KEY].encode(), where)
    refuse_newer({"format_version": told.get("format_version")} if isinstance(told, Mapping)
                 else None, LATEST)
    needed = ("classes", "spacing_nm", "context", "window", "stride_multiple", "values",
              "normalisation")
    d = _with(told, needed, where)
    window = _with(d["window"], ("core", "margin"), f"window of {where}")
    z, y, x = positive_numbers(d["spacing_nm"], f"spacing_nm of {where}", n=3)
    core = [whole_number(c, f"core of {where}", least=1) for c in _pair(window["core"], where)]
    polarity = _with(d["normalisation"], ("polarity",), f"normalisation of {where}")["polarity"]
    if d["values"] not in ("raw", "unit") or polarity not in ("dark", "bright"):
        raise DataError(f"{where} has values {d['values']!r} and polarity {polarity!r}. {_REMEDY}")
    return Passport(
        classes=names(d["classes"], f"classes of {where}"), spacing=(z, y, x),
        context=whole_number(d["context"], f"context of {where}"), core=(core[0], core[1]),
        margin=whole_number(window["margin"], f"margin of {where}"),
        multiple=whole_number(d["stride_multiple"], f"stride_multiple of {where}", least=1),
        unit=d["values"] == "unit", polarity=polarity,
    )


def _with(value: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """Mapping that has these keys, others too."""
    if not isinstance(value, Mapping) or not set(keys) <= set(value):
        raise DataError(f"{where} lacks some of {', '.join(keys)}. {_REMEDY}")
    return dict(value)


def _pair(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise DataError(f"{where} has a core of {value!r}, not of two numbers. {_REMEDY}")
    return value


_REMEDY = "Export the model again with fibseg export."
