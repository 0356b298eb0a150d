"""The verb reduce_blocks: a small result per block, combined in grid order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks.functions import Array, BlockFunction, as_list, block_function
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.journal import Journal, layout_key
from fibseg.blocks.kept_tables import Kept, together
from fibseg.blocks.load import load_of
from fibseg.blocks.room import refuse_without_room
from fibseg.blocks.runners import Runner, Serial
from fibseg.blocks.schedule import run_blocks
from fibseg.blocks.task import Task
from fibseg.geometry import Box
from fibseg.types import Spacing, Table


def reduce_blocks(
    fn: BlockFunction | Callable[..., Any],
    sources: Array | Sequence[Array],
    combine: Callable[[Any, Any], Any],
    *,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    scratch: Path | None = None,
    fingerprint: str = "",
    spacing: Spacing | None = None,
    label: str = "blocks",
) -> Any:
    """Combine one small result per block in grid order; None for an empty volume.

    Parameters
    ----------
    fn
        A `BlockFunction`, or a local operator, whose result (any picklable value) is small.
    sources
        One array or a list of arrays.
    combine
        ``combine(left, right)`` of two neighbours in grid order; must be associative, since
        results are combined pairwise: n blocks cost log n rounds, not n.
    block_shape
        Voxels per block.
    scratch
        Folder for the results of blocks, which must be tables then, so that the same call
        continues after a crash; the caller removes it.
    runner, fingerprint, spacing, label
        As in `map_blocks`.

    Raises
    ------
    RoomError
        Before any work: blocks that the memory does not hold.
    PartlyDoneError
        If blocks failed: there is no result then.
    InterruptedRunError
        On SIGINT or SIGTERM.
    """
    runner = runner or Serial()
    read_from = as_list(sources)
    shape = tuple(read_from[0].shape)
    function = block_function(fn, read_from, shape, spacing)
    grid = Grid.over(shape, block_shape)

    def read_box(write: Box) -> Box:
        """What is read of the sources for a block."""
        return function.read_box(write, shape)

    load = load_of(grid, read_box, read_from, function=function)
    key = layout_key(shape=shape, block_shape=grid.block_shape, fingerprint=fingerprint)
    task: Task = Reduce(function, read_from)
    refuse_without_room(label, grid, read_box, read_from, runner=runner, threads=task.threads)
    if scratch is not None:
        task = Kept(task, scratch)
    with Journal(None if scratch is None else scratch / "tables.journal", key) as done:
        todo = grid.blocks(read_box, without=frozenset(done.done))
        outcomes = run_blocks(
            runner, task, todo, total=len(grid), done=len(done.done), label=label, ordered=True,
            journal=done, kept=scratch is not None, load=load,
        )
        if scratch is None:
            return fold((outcome.value for outcome in outcomes), combine)
        return fold(together(outcomes, n_blocks=len(grid), done=done, folder=scratch), combine)


def appended(first: Table, second: Table) -> Table:
    """Rows of both tables, one after the other: a `combine` of `reduce_blocks`.

    >>> appended({"label": np.array([1, 2])}, {"label": np.array([5])})
    {'label': array([1, 2, 5])}
    """
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def fold(values: Iterable[Any], combine: Callable[[Any, Any], Any]) -> Any:
    """Combine `values` pairwise in order, like a binary counter; None if there are none.

    >>> fold("abcde", lambda left, right: f"({left}{right})")
    '(((ab)(cd))e)'
    """
    stack: list[tuple[int, Any]] = []
    for value in values:
        level = 0
        while stack and stack[-1][0] == level:
            value = combine(stack.pop()[1], value)
            level += 1
        stack.append((level, value))
    if not stack:
        return None
    result = stack.pop()[1]
    while stack:
        result = combine(stack.pop()[1], result)
    return result




@dataclass(frozen=True)
class Reduce(Task):
    """The result of a block function on every block."""

    function: BlockFunction
    sources: Sequence[Array]

    @property
    def threads(self) -> int:
        """Those of the function, 1 unless it says more."""
        return int(getattr(self.function, "threads", 1))

    def read(self, block: Block) -> list[Any]:
        """The read box of every source, or what the function loads itself."""
        own = getattr(self.function, "read_parts", None)
        if own is not None:
            parts: list[Any] = own(self.sources, block)
            return parts
        cut = block.read.slices
        return [np.asarray(source[cut]) for source in self.sources]

    def compute(self, block: Block, parts: list[Any]) -> Any:
        """What the function makes of them."""
        return self.function(*parts, block=block)
