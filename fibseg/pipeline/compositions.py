"""Global operators on masks that no memory holds, as short compositions of the three verbs.

Each gives what its array kernel in `fibseg.postprocess` gives on the whole volume.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, label_blocks, map_blocks, reduce_blocks
from fibseg.pipeline.bench import (
    Array,
    LookedUp,
    OwnBox,
    Sheet,
    Voxelwise,
    Work,
    as_mask,
    complement,
    word,
)
from fibseg.pipeline.region_sums import region_sums
from fibseg.postprocess import (
    fewest_voxels,
    fill_holes,
    hysteresis,
    largest,
    most_voxels,
    remove_small,
    threshold,
)
from fibseg.postprocess.selection import are_largest
from fibseg.types import Table
from fibseg.volume.files import room_for


@dataclass(frozen=True)
class Filled(OwnBox):
    """Block function: the mask, and in it the background components that `table` calls holes."""

    table: Path

    def __call__(
        self, mask: NDArray[Any], background: NDArray[Any], *, block: Block
    ) -> NDArray[Any]:
        """True inside and in holes."""
        return np.asarray((mask != 0) | LookedUp(self.table)(background, block=block))


@dataclass(frozen=True)
class Sure(OwnBox):
    """Block function: the numbers of the components that hold a voxel of at least `level`."""

    level: float

    def __call__(
        self, labels: NDArray[Any], probs: NDArray[Any], *, block: Block
    ) -> Table:
        """Sorted numbers, in the column ``label``."""
        return {"label": np.unique(labels[threshold(probs, level=self.level)])}


def either(first: Table, second: Table) -> Table:
    """The numbers in the column ``label`` of one or the other."""
    return {"label": np.union1d(first["label"], second["label"])}


def _remove_small(
    mask: Array, name: str, inputs: str, work: Work, *, connectivity: int,
    min_voxels: int | None, min_volume_um3: float | None,
) -> Array:
    least = fewest_voxels(
        min_voxels=min_voxels, min_volume_um3=min_volume_um3, spacing=work.spacing
    )
    if least <= 1:
        return mask
    sheet = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
    label_blocks(
        mask, sheet.array, block_shape=work.block_shape, connectivity=connectivity,
        min_voxels=least, numbered=False, runner=work.runner, scratch=sheet.folder,
        journal=sheet.journal, fingerprint=inputs, label=word(name),
    )
    return as_mask(sheet.array)


def _fill_holes(
    mask: Array, name: str, inputs: str, work: Work, *, connectivity: int,
    max_volume_um3: float | None,
) -> Array:
    """Number the background; what is enclosed and small enough becomes part of the mask."""
    background, n = _numbered(complement(mask), f"{name}-background", inputs, work, connectivity)
    filled = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
    sums = _sums(background, name, inputs, work, filled)
    most = most_voxels(max_volume_um3=max_volume_um3, spacing=work.spacing)
    map_blocks(
        Filled(_table(filled, _holes(sums, n, mask.shape, most))), [mask, background],
        filled.array, block_shape=work.block_shape, runner=work.runner, journal=filled.journal,
        fingerprint=inputs, label=word(name),
    )
    return as_mask(filled.array)


def _hysteresis(
    probs: Array, name: str, inputs: str, work: Work, *, low: float, high: float,
    connectivity: int,
) -> Array:
    """Number the components of faint voxels; those that hold a sure one stay."""
    faint = Voxelwise(probs, functools.partial(threshold, level=low))
    labels, n = _numbered(faint, f"{name}-faint", inputs, work, connectivity)
    sheet = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
    sure: Table | None = reduce_blocks(
        Sure(high), [labels, probs], either, block_shape=work.block_shape, runner=work.runner,
        scratch=sheet.folder / "sure", fingerprint=inputs, label=f"{word(name)}: sure voxels",
    )
    stays = np.zeros(n + 1, dtype=bool)
    stays[[] if sure is None else sure["label"]] = True
    return _selected(labels, stays, name, inputs, work, sheet)


def _largest(
    mask: Array, name: str, inputs: str, work: Work, *, n: int, connectivity: int
) -> Array:
    """Number the components; the largest stay."""
    labels, found = _numbered(mask, f"{name}-components", inputs, work, connectivity)
    sheet = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
    sums = _sums(labels, name, inputs, work, sheet)
    n_voxels = np.zeros(found + 1, dtype=np.int64)
    n_voxels[sums["label"]] = sums["n_voxels"]
    return _selected(labels, are_largest(n_voxels, n=n), name, inputs, work, sheet)


def _numbered(
    mask: Array, name: str, inputs: str, work: Work, connectivity: int
) -> tuple[Array, int]:
    """Stored components of a mask, and how many there are."""
    sheet = work.bench.sheet(name, dtype=np.uint32, inputs=inputs)
    n = label_blocks(
        mask, sheet.array, block_shape=work.block_shape, connectivity=connectivity,
        runner=work.runner, scratch=sheet.folder, journal=sheet.journal, fingerprint=inputs,
        label=word(name).replace("-", ": "),
    )
    return sheet.array, n


def _selected(
    labels: Array, stays: NDArray[np.bool_], name: str, inputs: str, work: Work, sheet: Sheet
) -> Array:
    """Stored mask of the components that stay, by their numbers."""
    map_blocks(
        LookedUp(_table(sheet, stays)), labels, sheet.array, block_shape=work.block_shape,
        runner=work.runner, journal=sheet.journal, fingerprint=inputs, label=word(name),
    )
    return as_mask(sheet.array)


def _sums(labels: Array, name: str, inputs: str, work: Work, sheet: Sheet) -> Table:
    """Sizes of the components `labels` on the way to `sheet`."""
    return region_sums(
        labels, block_shape=work.block_shape, runner=work.runner, moments=False,
        scratch=sheet.folder / "sizes", inputs=inputs, label=f"{word(name)}: sizes",
    )


def _table(sheet: Sheet, entries: NDArray[Any]) -> Path:
    """File of the entries by number, which workers open."""
    sheet.folder.mkdir(parents=True, exist_ok=True)
    with room_for(sheet.folder, entries.nbytes):
        np.save(sheet.folder / "table.npy", entries)
    return sheet.folder / "table.npy"


def _holes(
    sums: Table, n: int, shape: Sequence[int], most: int | None
) -> NDArray[np.bool_]:
    """Whether each background component, by its number, is a hole to be filled."""
    enclosed = np.ones(len(sums["label"]), dtype=bool)
    for axis, length in zip("zyx", shape, strict=True):
        enclosed &= (sums[f"start_{axis}"] > 0) & (sums[f"stop_{axis}"] < length)
    if most is not None:
        enclosed &= sums["n_voxels"] <= most
    hole = np.zeros(n + 1, dtype=bool)
    hole[sums["label"]] = enclosed
    return hole


GLOBAL: dict[Any, Callable[..., Array]] = {
    remove_small: _remove_small,
    fill_holes: _fill_holes,
    hysteresis: _hysteresis,
    largest: _largest,
}
"""Array kernel to its composition: (source, name, inputs, work, **settings) to a mask."""
