"""The work on the cells of a cohort: who is done, and what came of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fibseg
from fibseg.blocks import Grid, Runner
from fibseg.blocks.commands import LOG, Commands, Ended, Unit
from fibseg.blocks.interrupt import Interrupt
from fibseg.errors import DataError, InterruptedRunError
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.cohort_room import sharing_of
from fibseg.pipeline.steps import Step
from fibseg.progress import Load, track
from fibseg.volume import Volume, fingerprint
from fibseg.volume.files import read_json, write_json

_log = logging.getLogger("fibseg.pipeline")

CELLS, DONE, STOP = "cells", "done.json", "stop"


@dataclass(frozen=True)
class Work:
    """Cells and the commands of each.

    Attributes
    ----------
    out
        Folder of the cohort.
    commands
        Of each cell, words behind ``fibseg``.
    """

    out: Path
    cells: Sequence[Cell]
    commands: Sequence[Sequence[Sequence[str]]]

    def folder(self, cell: Cell) -> Path:
        """Where the log of a cell lies, and the mark that it is done."""
        return self.out / CELLS / cell.name

    def log(self, cell: Cell) -> Path:
        """What the commands of a cell have said."""
        return self.folder(cell) / LOG

    def missing(self) -> list[int]:
        """Numbers of the cells that are not done, or whose store is not what it was then."""
        return [k for k, cell in enumerate(self.cells) if not self._is_done(k, cell)]

    def carry_out(
        self, runner: Runner, steps: Callable[[Cell], Sequence[Step]]
    ) -> dict[str, str]:
        """Work on all cells that are missing; returns the errors of those that failed, by name.

        Raises
        ------
        InterruptedRunError
            If a signal came: cells that are worked on are told to stop, and no other is begun.
        """
        todo = self.missing()
        if len(todo) < len(self.cells):
            _log.info("%d of %d cells are done already", len(self.cells) - len(todo),
                      len(self.cells))
        if not todo:
            return {}
        # The largest first: two workers then end at about the same time.
        todo.sort(key=lambda k: -self.cells[k].n_voxels)
        where = sharing_of(runner, [self.cells[k] for k in todo], steps)
        stop = self.out / f".{STOP}"
        stop.unlink(missing_ok=True)
        task = Commands([self._unit(k) for k in todo], where.cores, str(stop))
        try:
            with Interrupt(stop.touch) as signalled:
                failed = self._handed_out(task, where.runner, todo)
        finally:
            stop.unlink(missing_ok=True)
        if signalled.requested and (left := len(self.missing())):
            raise InterruptedRunError(
                f"cohort: stopped after {len(self.cells) - left} of {len(self.cells)} cells. The "
                "same command continues there."
            )
        return {cell.name: failed[cell.name] for cell in self.cells if cell.name in failed}

    def _handed_out(self, task: Commands, runner: Runner, todo: Sequence[int]) -> dict[str, str]:
        """Errors of the cells that failed, by name; those that are done are marked."""
        failed: dict[str, str] = {}
        grid = Grid((len(todo),), (1,))
        outcomes = runner.outcomes(task, grid.blocks())
        load = Load(grid=(grid.shape, grid.block_shape))
        done = len(self.cells) - len(todo)
        for outcome in track(
            outcomes, total=len(self.cells), label="cohort", unit="cell", done=done, load=load
        ):
            number = todo[outcome.block.index]
            cell, ended = self.cells[number], outcome.value
            error = ended.error if isinstance(ended, Ended) else str(outcome.error)
            if error is None:
                self._mark(number, ended)
                _log.info("%s: done in %.0f s", cell.name, ended.seconds)
                continue
            failed[cell.name] = error
            stopped = isinstance(ended, Ended) and ended.interrupted
            _log.log(
                logging.INFO if stopped else logging.ERROR, "%s: %s (%s)", cell.name, error,
                self.log(cell),
            )
        return failed

    def _unit(self, number: int) -> Unit:
        cell = self.cells[number]
        return Unit(cell.name, self.commands[number], str(self.folder(cell)))

    def _mark(self, number: int, ended: Ended) -> None:
        """Note that a cell is done, and of what."""
        cell = self.cells[number]
        write_json(self.folder(cell) / DONE, {
            "made": self._made(number), "seconds": round(ended.seconds, 1),
            "commands": [list(words) for words in self.commands[number]],
        })

    def _is_done(self, number: int, cell: Cell) -> bool:
        try:
            return bool(read_json(self.folder(cell) / DONE).get("made") == self._made(number))
        except DataError:  # not there, or not whole
            return False

    def _made(self, number: int) -> str:
        """Hash of the commands and of all that stands in the store of a cell."""
        return fingerprint({
            "version": fibseg.__version__, "commands": self.commands[number],
            "store": state_of(self.cells[number].store),
        })


def state_of(store: Volume) -> dict[str, Any]:
    """Digests of all that stands in a store; what is damaged has none."""
    info: Mapping[str, Callable[[str], Any]] = {
        "labels": lambda name: store.labels_info(name).digest,
        "probabilities": lambda name: store.probabilities_info(name).digest,
        "tables": store.table_info,
    }
    names = {
        "labels": store.label_names(), "probabilities": store.probability_names(),
        "tables": store.table_names(),
    }
    state: dict[str, Any] = {"raw": [list(store.shape), list(store.spacing)]}
    for kind, look in info.items():
        for name in names[kind]:
            try:
                state[f"{kind}/{name}"] = look(name)
            except DataError:
                state[f"{kind}/{name}"] = None
    return state
