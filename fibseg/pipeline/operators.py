"""Clean-up operators on volumes that no memory holds, from the three verbs of the engine.

Local operators that follow each other run in one pass; a global one is a short composition here,
with the same result as its array kernel in `fibseg.postprocess` on the whole volume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fibseg.blocks import Block, Runner, label_blocks, layout_key, map_blocks, reduce_blocks
from fibseg.geometry import Box, is_local, reach_nm
from fibseg.measure import regions
from fibseg.pipeline.chain import Operator, describe, function_of, planned, settings
from fibseg.postprocess import fewest_voxels, fill_holes, most_voxels, remove_small
from fibseg.types import Spacing, Table

Array: TypeAlias = Any


@dataclass(frozen=True)
class Sheet:
    """An array to write, the journal of its blocks, and a folder for what the engine keeps."""

    array: Array
    journal: Path | None
    folder: Path


class Bench(Protocol):
    """Where a chain of operators keeps its intermediate arrays until it is finished."""

    def sheet(self, name: str, *, dtype: DTypeLike, inputs: str) -> Sheet:
        """Array called `name`; the same one again after a crash if `inputs` are the same."""
        ...


@dataclass(frozen=True)
class Work:
    """What every step of a chain is told."""

    bench: Bench
    block_shape: Sequence[int]
    runner: Runner
    spacing: Spacing


def find_objects(
    probs: Array, target: Sheet, operators: Mapping[str, Operator | None], *, work: Work,
    inputs: str,
) -> int:
    """Write the numbered objects of `probs` into `target`; returns how many there are.

    Parameters
    ----------
    probs
        Probabilities, shape (z, y, x).
    target
        Label image on the same grid.
    operators
        Name to operator, in order, None to leave it out; the last is
        `fibseg.postprocess.components`.
    work
        Blocks, runner, spacing and the bench.
    inputs
        Hash of what `probs` are.

    Raises
    ------
    UsageError
        Before any work, if the chain or a setting in it cannot be meant.
    """
    steps = list(planned(operators, dtype=probs.dtype, known=GLOBAL, spacing=work.spacing))
    current = probs
    for number, (name, step) in enumerate(steps[:-1]):
        inputs = layout_key(before=inputs, step=describe({name: step}))
        name = f"{number}-{name}"
        if not is_local(step):
            current = GLOBAL[function_of(step)](current, name, inputs, work, **settings(step))
        elif reach_nm(step) == 0:
            # Cheaper to compute twice than to write and read.
            current = Voxelwise(current, step)
        else:
            sheet = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
            map_blocks(
                step, current, sheet.array, block_shape=work.block_shape, runner=work.runner,
                journal=sheet.journal, fingerprint=inputs, label=_word(name),
            )
            current = sheet.array
    name, step = steps[-1]
    inputs = layout_key(before=inputs, step=describe({name: step}))
    options = settings(step)
    return label_blocks(
        current, target.array, block_shape=work.block_shape, connectivity=options["connectivity"],
        min_voxels=_fewest(options, work.spacing), runner=work.runner, scratch=target.folder,
        journal=target.journal, fingerprint=inputs, label=name,
    )


def region_table(
    labels: Array, *, block_shape: Sequence[int], runner: Runner | None = None, spacing: Spacing
) -> Table:
    """Table of all objects of a stored label image; columns of `fibseg.measure.regions.finish`."""
    sums = _region_sums(labels, block_shape, runner, "measure")
    z, y, x = labels.shape
    return regions.finish(sums, shape=(z, y, x), spacing=spacing)


@dataclass(frozen=True)
class Voxelwise:
    """An array seen through a function of single voxels; nothing is stored."""

    array: Array
    fn: Operator

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always bool: masks are what is looked at this way."""
        return np.dtype(bool)

    def __getitem__(self, box: Any) -> NDArray[Any]:
        return np.asarray(self.fn(np.asarray(self.array[box])))


@dataclass(frozen=True)
class Fill:
    """Block function: the mask, and in it the background components that `table` calls holes."""

    table: Path

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write

    def __call__(
        self, mask: NDArray[Any], background: NDArray[Any], *, block: Block
    ) -> NDArray[Any]:
        """True inside and in holes."""
        hole = np.load(self.table, mmap_mode="r")
        return np.asarray((mask != 0) | hole[background])


@dataclass(frozen=True)
class RegionSums:
    """Block function: the integer sums of every object in the block."""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Table:
        """`fibseg.measure.regions.partial` at the place of the block."""
        return regions.partial(labels, start=block.write.start)


def _remove_small(mask: Array, name: str, inputs: str, work: Work, **options: Any) -> Array:
    least = _fewest(options, work.spacing)
    if least <= 1:
        return mask
    sheet = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
    label_blocks(
        mask, sheet.array, block_shape=work.block_shape, connectivity=options["connectivity"],
        min_voxels=least, numbered=False, runner=work.runner, scratch=sheet.folder,
        journal=sheet.journal, fingerprint=inputs, label=_word(name),
    )
    return sheet.array


def _fill_holes(mask: Array, name: str, inputs: str, work: Work, **options: Any) -> Array:
    """Number the background; what is enclosed and small enough becomes part of the mask."""
    background = work.bench.sheet(f"{name}-background", dtype=np.uint32, inputs=inputs)
    n = label_blocks(
        Voxelwise(mask, _outside), background.array, block_shape=work.block_shape,
        connectivity=options["connectivity"], runner=work.runner, scratch=background.folder,
        journal=background.journal, fingerprint=inputs, label=f"{_word(name)}: background",
    )
    sums = _region_sums(background.array, work.block_shape, work.runner, f"{_word(name)}: sizes")
    filled = work.bench.sheet(name, dtype=np.uint8, inputs=inputs)
    most = most_voxels(max_volume_um3=options["max_volume_um3"], spacing=work.spacing)
    filled.folder.mkdir(parents=True, exist_ok=True)
    np.save(filled.folder / "holes.npy", _holes(sums, n, mask.shape, most))
    map_blocks(
        Fill(filled.folder / "holes.npy"), [mask, background.array], filled.array,
        block_shape=work.block_shape, runner=work.runner, journal=filled.journal,
        fingerprint=inputs, label=_word(name),
    )
    return filled.array


def _holes(
    sums: Table | None, n: int, shape: Sequence[int], most: int | None
) -> NDArray[np.bool_]:
    """Whether each background component, by its number, is a hole to be filled."""
    hole = np.zeros(n + 1, dtype=bool)
    if sums is not None:
        enclosed = np.ones(len(sums["label"]), dtype=bool)
        for axis, length in zip("zyx", shape, strict=True):
            enclosed &= (sums[f"start_{axis}"] > 0) & (sums[f"stop_{axis}"] < length)
        if most is not None:
            enclosed &= sums["n_voxels"] <= most
        hole[sums["label"]] = enclosed
    return hole


def _region_sums(
    labels: Array, block_shape: Sequence[int], runner: Runner | None, label: str
) -> Table | None:
    sums: Table | None = reduce_blocks(
        RegionSums(), labels, regions.merge, block_shape=block_shape, runner=runner, label=label
    )
    return sums


def _word(name: str) -> str:
    """Name of a step without its number, for people."""
    return name.partition("-")[2]


def _outside(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(mask == 0)


def _fewest(options: Mapping[str, Any], spacing: Spacing) -> int:
    return fewest_voxels(
        min_voxels=options["min_voxels"], min_volume_um3=options["min_volume_um3"],
        spacing=spacing,
    )


GLOBAL: dict[Any, Callable[..., Array]] = {
    remove_small: _remove_small,
    fill_holes: _fill_holes,
}
"""Array kernel to its composition of the verbs."""
