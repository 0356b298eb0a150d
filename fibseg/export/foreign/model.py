"""A model made elsewhere, read from a file and checked: plain data and a graph, no arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fibseg.errors import DataError
from fibseg.export.foreign.limits import CHANNELS, SIDE
from fibseg.export.foreign.steps import Step
from fibseg.export.schema import NAME

BACKGROUND = ("background", "bg")
"""What a channel is called that becomes no product."""

USUAL = 1024
"""Side of a window where a model takes any, px."""


@dataclass(frozen=True)
class Side:
    """Lengths that one side of a window may have: `least`, and any number of `step` more.

    >>> Side(64, 16).fitting(100), Side(256, 0).fitting(100)
    (112, 256)
    """

    least: int
    step: int

    def fitting(self, length: int) -> int:
        """The smallest that is no smaller than `length`; the only one, if there is but one."""
        if self.step == 0:
            return self.least
        return self.least + max(-(-(length - self.least) // self.step), 0) * self.step

    def takes(self, length: int) -> bool:
        """Whether a side may be so long."""
        more = length - self.least
        return more == 0 if self.step == 0 else more >= 0 and more % self.step == 0


@dataclass(frozen=True)
class ForeignModel:
    """All that is needed to run a model file on a volume.

    Parameters
    ----------
    kind
        ``"onnx"``, ``"czann"`` or ``"bioimageio"``.
    digest
        SHA-256 of the whole file.
    graph
        The ONNX graph, checked.
    image, result
        Names of its input and output.
    dtype
        Type of the input.
    layout, result_layout
        Order of the axes of both, letters of ``"bcyx"``; batch and channels may be missing.
    sides
        What windows are allowed, along y and x.
    margin
        Pixels at the border of a window that do not count, along y and x; None: it is not told.
    classes
        Channel of the result and name of the product, for each class.
    before, after
        Steps outside the graph.
    activation
        What makes probabilities of the result: ``"none"``, ``"softmax"`` or ``"sigmoid"``.
    context
        Neighbouring planes on each side that are given as channels.
    spacing
        Of its pixels in nm, (z, y, x); None where the file tells none.
    multiple, core
        Of fibseg's own: the grid that windows lie on, and the largest core, px.
    polarity
        Of fibseg's own: how stain looked in the volume whose grey values are inside, if others
        can be given instead.
    square
        Whether windows have to be as high as wide.
    """

    kind: str
    digest: str
    graph: bytes = field(repr=False)
    image: str
    result: str
    dtype: str
    layout: str
    result_layout: str
    sides: tuple[Side, Side]
    margin: tuple[int, int] | None
    classes: tuple[tuple[int, str], ...]
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    activation: str = "none"
    context: int = 0
    spacing: tuple[float | None, float, float] | None = None
    multiple: int = 1
    core: tuple[int, int] | None = None
    polarity: str | None = None
    square: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(name for _, name in self.classes)

    @property
    def statistics(self) -> bool:
        """Whether a step before the graph needs the intensities of the whole volume."""
        return any(step.of_volume for step in self.before)


def sides_of(lengths: Sequence[int | None], where: str) -> tuple[Side, Side]:
    """What windows a graph takes, from the lengths of its axes y and x; None may be any.

    Raises
    ------
    DataError
        If a side is too long to be meant.
    """
    for length in lengths:
        if length is not None and length > SIDE:
            raise DataError(
                f"{where} takes windows of {lengths[0]} x {lengths[1]} px; at most {SIDE} along a "
                "side are given. Have it exported for smaller ones."
            )
    y, x = (Side(64, 64) if n is None else Side(n, 0) for n in lengths)
    return y, x


def nominal(model_sides: tuple[Side, Side]) -> tuple[int, int]:
    """A usual window, (y, x) px."""
    y, x = (side.fitting(min(USUAL, SIDE)) for side in model_sides)
    return y, x


def classes_of(
    names: Sequence[str] | None, n: int, *, exclusive: bool, stem: str, where: str
) -> tuple[tuple[int, str], ...]:
    """Channel and name of each product.

    A channel called background is none. Without names, and where shares of a pixel add up to 1,
    the first of several is the background; a single class is called like the file.

    Raises
    ------
    DataError
        If names and channels do not fit together.
    """
    if not 1 <= n <= CHANNELS:
        raise DataError(f"{where} gives {n} values for a pixel; 1 to {CHANNELS} are taken.")
    if names is None:
        first = 1 if exclusive and n > 1 else 0
        kept = [(k, f"class{k}" if n - first > 1 else stem) for k in range(first, n)]
    else:
        if len(names) != n:
            raise DataError(
                f"{where} names {len(names)} classes, {list(names)[:10]}, and gives {n} values "
                "for a pixel. Have it exported again."
            )
        kept = [(k, name) for k, name in enumerate(names)
                if name.strip().casefold() not in BACKGROUND]
    if not kept:
        raise DataError(f"{where} tells background from nothing else. Use another model.")
    return tuple(zip((k for k, _ in kept), _different([name for _, name in kept]), strict=True))


def plain_name(text: str) -> str:
    """`text` as it can be the name of a product.

    >>> plain_name("../Cell nuclei (2)")
    'Cell_nuclei_2'
    """
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", text).strip("_.-")[:64]
    return name if NAME.fullmatch(name) else "class"


def _different(names: list[str]) -> list[str]:
    """Plain names, numbered where they would be the same."""
    found: list[str] = []
    for name in map(plain_name, names):
        number, free = 2, name
        while free.casefold() in (f.casefold() for f in found):
            free, number = f"{name}_{number}", number + 1
        found.append(free)
    return found
