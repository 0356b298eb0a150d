"""The coordinator of a run over blocks: progress, failures, interruption."""

from __future__ import annotations

import functools
import logging
import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any

from fibseg.blocks.grid import Block
from fibseg.blocks.interrupt import Interrupt
from fibseg.blocks.journal import Journal
from fibseg.blocks.runners import Outcome, Runner, Task
from fibseg.errors import InterruptedRunError, PartlyDoneError, UsageError
from fibseg.progress import track

_log = logging.getLogger("fibseg.blocks")

GIVE_UP_AFTER = 8
"""So many failures before the first success mean that the set-up is wrong, not the blocks."""


def run_blocks(
    runner: Runner,
    task: Task,
    blocks: Iterable[Block],
    *,
    total: int,
    label: str,
    done: int = 0,
    ordered: bool = False,
    journal: Journal | None = None,
    kept: bool = True,
) -> Iterator[Outcome]:
    """Yield the outcome of every block that succeeded; complain about the others at the end.

    Parameters
    ----------
    runner, task, blocks
        What runs where on what.
    total, done, label
        For the progress bar.
    ordered
        Whether outcomes come in the order of `blocks`.
    journal
        Where failures are noted.
    kept
        Whether finished blocks survive an interruption, for the message.

    Raises
    ------
    PartlyDoneError
        If blocks failed, after all others.
    InterruptedRunError
        If a signal came, after the blocks in flight.
    """
    failed: list[Outcome] = []
    succeeded = 0
    with Interrupt() as stop:
        stream = takewhile(
            lambda _: not stop.requested
            and (done or succeeded or len(failed) < GIVE_UP_AFTER),
            blocks,
        )
        outcomes = runner.outcomes(task, stream, ordered=ordered)
        for outcome in track(outcomes, total=total, label=label, unit="block", done=done):
            if outcome.error is None:
                succeeded += 1
                yield outcome
            else:
                _log.error("%s: block %d failed\n%s", label, outcome.block.index, outcome.trace)
                failed.append(outcome)
                if journal is not None:
                    journal.mark_failed(outcome.block.index)
    finished = done + succeeded
    if failed:
        raise PartlyDoneError(_failure_report(failed, finished, total, label))
    if stop.requested and finished < total:
        then = "The same command continues there." if kept else "This step starts anew next time."
        raise InterruptedRunError(f"{label}: stopped after {finished} of {total} blocks. {then}")


def packed(runner: Runner, work: Callable[..., Any], *parts: Any) -> Task:
    """Task that calls ``work(*parts, block)``; `parts` that must travel are pickled only once.

    Raises
    ------
    UsageError
        If they must travel to other processes and cannot.
    """
    if runner.in_process:
        return functools.partial(work, *parts)
    try:
        return functools.partial(_unpack_and_run, work, pickle.dumps(parts))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"a part of the work cannot travel to other processes: {error}. "
            "Use functions defined in a module, or blocks=serial."
        ) from error


def _unpack_and_run(work: Callable[..., Any], parts: bytes, block: Block) -> Any:
    return work(*_unpacked(parts), block)


@functools.lru_cache(maxsize=1)
def _unpacked(parts: bytes) -> tuple[Any, ...]:
    # Kept between blocks: what a function caches on itself (a compiled network) stays warm.
    return pickle.loads(parts)  # type: ignore[no-any-return]


def _failure_report(failed: list[Outcome], finished: int, total: int, label: str) -> str:
    shown = "; ".join(
        f"block {outcome.block.index} at {outcome.block.write.start}: {outcome.error}"
        for outcome in failed[:GIVE_UP_AFTER]
    )
    more = f" and {len(failed) - GIVE_UP_AFTER} more" if len(failed) > GIVE_UP_AFTER else ""
    return (
        f"{label}: {len(failed)} of {total} blocks failed, {finished} are done: {shown}{more}. "
        "The log holds every error; the same command tries only the missing blocks again."
    )
