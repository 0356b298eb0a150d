"""The coordinator of a run over blocks: progress, failures, interruption."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import takewhile

from fibseg.blocks.grid import Block
from fibseg.blocks.interrupt import Interrupt
from fibseg.blocks.journal import Journal
from fibseg.blocks.runners import Runner
from fibseg.blocks.task import Outcome, Task
from fibseg.errors import DiskFullError, InterruptedRunError, PartlyDoneError
from fibseg.progress import NO_LOAD, Load, track

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
    load: Load = NO_LOAD,
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
    load
        What all of it moves, for plans.

    Raises
    ------
    PartlyDoneError
        If blocks failed, after all others.
    InterruptedRunError
        If a signal came, after the blocks in flight.
    DiskFullError
        If a block found no room, after the blocks in flight: all others would fail like it.
    """
    if 0 < done < total:
        _log.info("%s: goes on after %d of %d blocks", label, done, total)
    failed: list[Outcome] = []
    full: Outcome | None = None
    succeeded = 0
    with Interrupt() as stop:
        stream = takewhile(
            lambda _: not stop.requested
            and full is None
            and (done or succeeded or len(failed) < GIVE_UP_AFTER),
            blocks,
        )
        outcomes = runner.outcomes(task, stream, ordered=ordered)
        watched = track(
            outcomes, total=total, label=label, unit="block", done=done, load=load
        )
        for outcome in watched:
            if outcome.full:
                full = full or outcome
            elif outcome.error is None:
                succeeded += 1
                yield outcome
            else:
                _log.error("%s: block %d failed\n%s", label, outcome.block.index, outcome.trace)
                failed.append(outcome)
                if journal is not None:
                    journal.mark_failed(outcome.block.index)
    finished = done + succeeded
    if full is not None:
        raise DiskFullError(f"{label}: stopped after {finished} of {total} blocks. {full.error}")
    if failed:
        reasons = (str(outcome.error) for outcome in failed)
        raise PartlyDoneError(_failure_report(failed, finished, total, label), reasons)
    if stop.requested and finished < total:
        then = "The same command continues there." if kept else "This step starts anew next time."
        raise InterruptedRunError(f"{label}: stopped after {finished} of {total} blocks. {then}")


def _failure_report(failed: list[Outcome], finished: int, total: int, label: str) -> str:
    blocks: dict[str, list[str]] = {}  # by reason: what is damaged may be read by many
    for outcome in failed[:GIVE_UP_AFTER]:
        where = f"block {outcome.block.index} at {outcome.block.write.start}"
        blocks.setdefault(str(outcome.error).removesuffix("."), []).append(where)
    shown = "; ".join(f"{', '.join(where)}: {reason}" for reason, where in blocks.items())
    more = f" and {len(failed) - GIVE_UP_AFTER} more" if len(failed) > GIVE_UP_AFTER else ""
    return (
        f"{label}: {len(failed)} of {total} blocks failed, {finished} are done: {shown}{more}. "
        "The log holds every error; the same command tries only the missing blocks again."
    )
