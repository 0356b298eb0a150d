"""The verb map_blocks: one idempotent function per block, whose results are written.

The result never depends on block shape, runner, worker count, order or crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.functions import Array, BlockFunction, as_list, block_function
from fibseg.blocks.grid import Block, Grid, check_writers
from fibseg.blocks.journal import Journal, layout_key
from fibseg.blocks.load import load_of
from fibseg.blocks.reduce import Reduce
from fibseg.blocks.room import refuse_without_room
from fibseg.blocks.runners import Runner, Serial
from fibseg.blocks.schedule import run_blocks
from fibseg.errors import UsageError
from fibseg.geometry import Box
from fibseg.types import Spacing
from fibseg.volume.digests import Facts, NotedArray, from_note, to_note


def map_blocks(
    fn: BlockFunction | Callable[..., Any],
    sources: Array | Sequence[Array],
    target: Array | Sequence[Array],
    *,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    journal: Path | None = None,
    fingerprint: str = "",
    spacing: Spacing | None = None,
    label: str = "blocks",
) -> None:
    """Write ``fn(*sources)`` into `target`, block by block.

    Each process holds what one call of `fn` takes and, of two blocks more, the sources that were
    read ahead or the results that are being written.

    Parameters
    ----------
    fn
        A local operator (a `functools.partial` of a function marked with
        `fibseg.geometry.reach`) or a `BlockFunction`.
    sources, target
        One array or a list of arrays each.
    block_shape
        Voxels per block, a multiple of the shards of every target.
    runner
        Where blocks are computed, `Serial` unless told.
    journal
        File that marks done blocks, so that the same call continues after a crash.
    fingerprint
        Hash of configuration and inputs: a journal with another one is started afresh.
    spacing
        Size of a voxel in nm (z, y, x), where `fn` has none bound.
    label
        Word for the progress bar.

    Raises
    ------
    UsageError
        Before any work: blocks that share a shard, arrays of different shapes, a global operator.
    RoomError
        Before any work: blocks that the memory does not hold.
    PartlyDoneError
        After all others are done: blocks that failed.
    InterruptedRunError
        On SIGINT or SIGTERM, after the blocks in flight.
    """
    runner = runner or Serial()
    read_from, targets = as_list(sources), as_list(target)
    function = block_function(fn, read_from, targets[0].shape, spacing)
    grid = Grid.over(targets[0].shape, block_shape)
    check_targets(grid, targets, runner)
    kinds = [(tuple(t.shape), str(t.dtype)) for t in targets]
    key = layout_key(block_shape=grid.block_shape, targets=kinds, fingerprint=fingerprint)
    task = Map(function, read_from, targets)
    read_shape = tuple(read_from[0].shape) if read_from else grid.shape

    def read_box(write: Box) -> Box:
        """What is read of the sources for a write box."""
        return function.read_box(write, read_shape)

    refuse_without_room(
        label, grid, read_box, read_from, targets, runner=runner, threads=task.threads
    )
    noted = {n: target for n, target in enumerate(targets) if isinstance(target, NotedArray)}
    load = load_of(grid, read_box, read_from, targets, function=function)
    for target in noted.values():
        target.forget()
    with Journal(journal, key) as done:
        todo = grid.blocks(read_box, without=done.done)
        for outcome in run_blocks(
            runner, task, todo, total=len(grid), done=len(done.done), label=label, journal=done,
            kept=journal is not None, load=load,
        ):
            done.mark(outcome.block.index, outcome.value)
        for number, target in noted.items():
            target.keep(fact for note in done.notes.values() for fact in from_note(note, number))


def check_targets(grid: Grid, targets: Sequence[Array], runner: Runner) -> None:
    """Refuse targets that differ in shape, share shards between blocks or are out of reach."""
    for target in targets:
        if tuple(target.shape) != grid.shape:
            raise UsageError(
                f"targets of shapes {grid.shape} and {tuple(target.shape)} cannot be written "
                "together. Give targets of one shape."
            )
        if isinstance(target, np.ndarray) and not runner.in_process:
            raise UsageError(
                "other processes cannot write into a NumPy array of this one. "
                "Use blocks=serial or a Zarr array."
            )
        check_writers(grid, target)


@dataclass(frozen=True)
class Map(Reduce):
    """The result of a block function on every block, written into every target."""

    targets: Sequence[Array]

    def write(self, block: Block, result: Any) -> str:
        """Commit the block; returns the note of what was written, for the journal."""
        parts = result if isinstance(result, tuple) else (result,)
        if len(parts) != len(self.targets):
            raise UsageError(f"{len(parts)} results for {len(self.targets)} targets.")
        return to_note([
            _commit(part, target, block.write)
            for part, target in zip(parts, self.targets, strict=True)
        ])


def _commit(part: NDArray[Any], target: Array, box: Box) -> list[Facts]:
    """Write one result into its target; returns the facts of it where the target notes them."""
    if part.shape != box.shape or not np.can_cast(part.dtype, target.dtype, "same_kind"):
        raise UsageError(
            f"the block function returned {part.dtype} of shape {part.shape}, but "
            f"{target.dtype} of shape {box.shape} is to be written."
        )
    voxels = part.astype(target.dtype, copy=False)
    if isinstance(target, NotedArray):
        return target.commit(box, voxels)
    target[box.slices] = voxels
    return []
