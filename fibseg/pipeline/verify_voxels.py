"""The voxels of an image, read again box by box and compared with what they should be.

A box should have the digest that was taken when it was written, and the coarser level should be
what its kernel makes of the box: a level that is stale is found although nothing in it changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Grid, Runner, reduce_blocks
from fibseg.errors import DataError
from fibseg.pipeline.verify_reading import UNREAD, Coarser, ReadAgain, Reading
from fibseg.volume import Product
from fibseg.volume.audit import Finding, Image, checked
from fibseg.volume.digests import total
from fibseg.volume.layout import BLOCK, open_array
from fibseg.volume.levels import levels_of

CHANGED = "can be read, but holds other voxels than were written"
STALE = "does not follow from the finer level"


def voxel_findings(image: Image, *, runner: Runner | None = None) -> list[Finding]:
    """Files and boxes of all levels of a finished image that are not what they should be."""
    levels = levels_of(image.state)
    arrays = [_array(image, number) for number in range(len(levels))]
    found: list[Finding] = []
    finer: Verdict | None = None
    for number, array in enumerate(arrays):
        if array is None:
            finer = None
            continue
        coarser = None
        if arrays[number + 1 :] and arrays[number + 1] is not None:
            coarser = Coarser(arrays[number + 1], image.state["kind"], levels[number + 1].factors)
        reading = reduce_blocks(
            ReadAgain(image.path / str(number), array, coarser), array, Reading.__add__,
            block_shape=BLOCK, runner=runner, label=f"verify {image.name}, level {number}",
        )
        verdict = _judge(image, number, reading)
        found += [image.found(file, what) for file, what in reading.damaged]
        found += [image.found(where, CHANGED) for where in verdict.changed]
        if finer is not None:
            factors = levels[number].factors
            found += [image.found(where, STALE) for where in _stale(finer, verdict, factors)]
        finer = verdict
    return found


def unedited(product: Product, *, runner: Runner) -> bool:
    """Whether a finished product is what fibseg wrote, to the voxel; reads all of it."""
    image = checked(f"{product.path.parent.name}/{product.path.name}", product.path)
    return image.complete and not image.findings and not voxel_findings(image, runner=runner)


@dataclass(frozen=True)
class Verdict:
    """What is known of the boxes of one level, in C order.

    Attributes
    ----------
    number, grid
        The level and its boxes.
    good
        Whether a box is as it was written.
    leads
        Whether the coarser level is what its kernel makes of the box.
    changed
        Names of boxes that can be read, but are others than were written.
    """

    number: int
    grid: Grid
    good: NDArray[np.bool_]
    leads: NDArray[np.bool_]
    changed: list[str]


def _array(image: Image, number: int) -> Any:
    """Array of one level; None if its metadata is gone or changed, a finding already."""
    level = image.state["levels"][number]
    try:
        array = open_array(image.path / str(number))
    except DataError:
        return None
    same = list(array.shape) == level["shape"] and array.dtype.name == image.state["dtype"]
    return array if same else None


def _judge(image: Image, number: int, reading: Reading) -> Verdict:
    """Compare a level as it reads now with what was recorded when it was written."""
    level = image.state["levels"][number]
    digests = np.frombuffer(reading.digests, np.uint8).reshape(-1, len(UNREAD))
    read = digests.any(axis=1)
    if image.levels:
        good = (digests == image.levels[number]["digest"]).all(axis=1)
    else:
        dtype = np.dtype(image.state["dtype"])
        good = np.full(len(digests), total(level["shape"], dtype, digests) == level["digest"])
    grid = Grid.over(level["shape"], BLOCK)
    changed = [_name(number, grid, index) for index in np.flatnonzero(read & ~good).tolist()]
    if not image.levels and changed:
        changed = [f"level {number}"] if read.all() else []
    leads = np.frombuffer(reading.leads, np.uint8).astype(bool)
    return Verdict(number, grid, good, leads, changed)


def _name(number: int, grid: Grid, index: int) -> str:
    """Level and voxels of a box, for people."""
    box = grid.box(index)
    ranges = ", ".join(f"{a}:{b}" for a, b in zip(box.start, box.stop, strict=True))
    return f"level {number} at [{ranges}]"


def _stale(
    finer: Verdict, coarser: Verdict, factors: tuple[int, int, int]
) -> Iterator[str]:
    """Boxes of the coarser level that are not made of the finer one, though both are as written."""
    found = set()
    for index in np.flatnonzero(finer.good & ~finer.leads).tolist():
        start = finer.grid.box(index).start
        place = (a // f // b for a, f, b in zip(start, factors, BLOCK, strict=True))
        found.add(coarser.grid.index(tuple(place)))
    for index in sorted(found):
        if coarser.good[index]:
            yield _name(coarser.number, coarser.grid, index)
