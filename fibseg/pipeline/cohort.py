"""``fibseg cohort``: many cells through the same verbs, one table, and conditions compared.

A cell is worked on by processes of its own, each the very command that one would type, so that what
goes wrong with one touches no other. Cells that are done are not done again.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner, Serial
from fibseg.errors import PartlyDoneError
from fibseg.pipeline.cohort_cells import Cell, conditions, read_cells
from fibseg.pipeline.cohort_compare import POOLED, cautions, comparisons, pair_text
from fibseg.pipeline.cohort_files import CSV, FOUND, PAGE, check_folder, keep_plan, write_results
from fibseg.pipeline.cohort_page import save_page
from fibseg.pipeline.cohort_table import Measure, Measured, known, measured_cell, measures_of
from fibseg.pipeline.cohort_words import chosen_verbs, commands_of, steps_of, typed_for
from fibseg.pipeline.cohort_work import CELLS, Work
from fibseg.pipeline.steps import Step
from fibseg.volume import fingerprint, locked
from fibseg.volume.files import finite

Settings = Mapping[str, Mapping[str, Any]]
FEW_TOLD = 6
"""Measures that are printed; the page and the files hold all."""


class CohortFound(dict[str, Any]):
    """What a cohort tells; `text` is what the command prints."""

    def __init__(self, found: Mapping[str, Any], *, out: Path) -> None:
        super().__init__(found)
        self.out = out

    def text(self) -> str:
        """Cells by condition, the first measures compared, cautions, and the files."""
        counts = ", ".join(f"{n} {name}" for name, n in self["conditions"].items())
        lines = [f"{len(self['cells'])} cells, each counts once: {counts}"]
        shown = [c for c in self["comparisons"].values() if c["pairs"]]
        corrected = len(self["conditions"]) > 2
        for one in shown[:FEW_TOLD]:
            lines.append(f"{one['title']}")
            lines += [f"  {pair_text(pair, corrected=corrected)}" for pair in one["pairs"]]
        more = len(shown) - FEW_TOLD
        lines += [f"and {more} measures more, on the page"] if more > 0 else []
        lines += ["", *self["cautions"], f"objects pooled are on the page, too; but {POOLED}"]
        return "\n".join([
            *lines, "", f"{self.out / CSV}  a row for each cell; {FOUND}, all that was found",
            f"open {self.out / PAGE}",
        ])


@dataclass(frozen=True)
class Cohort:
    """A cohort, checked before any work; attributes as in `run`."""

    cells: Sequence[Cell]
    verbs: Sequence[str]
    settings: Settings
    overrides: Sequence[str]
    out: Path

    @property
    def work(self) -> Work:
        """The commands of all cells."""
        return Work(self.out, self.cells, [
            commands_of(cell, self.verbs, self.settings, self.overrides) for cell in self.cells
        ])

    @property
    def bodies(self) -> list[str]:
        """Label images of one object: the cell and its nucleus."""
        told = [self.settings.get("profile", {}).get(key) for key in ("cell", "nucleus")]
        return [name for name in told if name is not None]

    @property
    def organelles(self) -> list[str]:
        """Label images of many objects, those of the verbs that are asked for."""
        kinds = self.settings.get("profile", {}).get("organelles", [])
        found = [kinds] if isinstance(kinds, str) else [*kinds]
        found += ["pores"] if "pores" in self.verbs else []
        if "distribution" in self.verbs:
            found.append(self.settings["distribution"]["objects"])
        return list(dict.fromkeys(found))

    def found(self, failed: Mapping[str, str]) -> CohortFound:
        """Read the tables of all cells but those that failed; compares, and writes all files."""
        measured = {
            cell.name: measured_cell(cell.store, self.bodies, self.organelles)
            if cell.name not in failed else Measured({}, {}, {}) for cell in self.cells
        }
        measures = known(
            measures_of(self.bodies, self.organelles), [m.values for m in measured.values()]
        )
        done = [cell for cell in self.cells if cell.name not in failed]
        names = conditions(self.cells)
        compared = finite(comparisons(
            measures, [(cell.condition, measured[cell.name]) for cell in done], names
        ))
        counts = {name: sum(cell.condition == name for cell in done) for name in names}
        rows = finite([_row(c, measures, measured[c.name], failed.get(c.name)) for c in self.cells])
        result = CohortFound({
            "inputs": fingerprint({"rows": rows}), "conditions": counts,
            "complete": not failed, "cells": rows, "comparisons": compared,
            "pooled_warning": POOLED, "cautions": cautions(compared, counts),
            "left_out": {name: dict(m.left_out) for name, m in measured.items() if m.left_out},
        }, out=self.out)
        write_results(self.out, rows, result)
        save_page(self.out, result, measures)
        return result


def run(
    *,
    cells: str,
    out: str,
    steps: Sequence[str] = ("profile",),
    profile: Mapping[str, Any] | None = None,
    pores: Mapping[str, Any] | None = None,
    distribution: Mapping[str, Any] | None = None,
    blocks: Runner | None = None,
    overwrite: bool = False,
    overrides: Sequence[str] = (),
) -> CohortFound:
    """Work on all cells, then write one table and one page; returns what they tell.

    Parameters
    ----------
    cells
        YAML file with name, volume and condition of each cell.
    out
        Folder for the table, the page, and the log of each cell.
    steps
        What is done with each: ``profile``, ``pores``, ``distribution``.
    profile, pores, distribution
        Settings of these verbs, as their ``run`` takes them: for plans, and to know what they make.
    blocks
        Where, and how many cells at once: each worker has one.
    overwrite
        Replace the results of other cells or settings in `out`.
    overrides
        What was typed; the part for a verb (``profile.organelles=[er]``) goes to its commands.

    Raises
    ------
    UsageError, DataError
        Before any work: of the list of cells, or of words that cannot be meant for all.
    ExistsError
        If `out` holds something else.
    BusyError
        If another run works there.
    PartlyDoneError
        After all others, and the table of these: cells that failed.
    InterruptedRunError
        On SIGINT or SIGTERM.
    """
    cohort = _checked(cells, out, steps, _given(profile, pores, distribution), overrides)
    work = cohort.work
    check_folder(cohort.out, cohort.cells, work.commands, overwrite=overwrite)
    with locked(cohort.out / CELLS):
        keep_plan(cohort.out, cohort.cells, work.commands)
        failed = work.carry_out(
            blocks or Serial(), functools.partial(
                steps_of, verbs=cohort.verbs, settings=cohort.settings, overrides=overrides
            )
        )
        found = cohort.found(failed)
    if failed:
        raise PartlyDoneError(_told(failed, work, cohort), failed.values())
    return found


def planned(
    *, cells: str, out: str, steps: Sequence[str] = ("profile",),
    profile: Mapping[str, Any] | None = None, pores: Mapping[str, Any] | None = None,
    distribution: Mapping[str, Any] | None = None, blocks: Runner | None = None,
    overwrite: bool = False, overrides: Sequence[str] = (),
) -> list[Step]:
    """The steps of every cell that is not done, for a dry run; parameters and errors as `run`."""
    cohort = _checked(cells, out, steps, _given(profile, pores, distribution), overrides)
    work = cohort.work
    check_folder(cohort.out, cohort.cells, work.commands, overwrite=overwrite)
    return [
        step for number in work.missing() for step in
        steps_of(cohort.cells[number], cohort.verbs, cohort.settings, overrides)
    ]


def _given(
    profile: Mapping[str, Any] | None, pores: Mapping[str, Any] | None,
    distribution: Mapping[str, Any] | None,
) -> Settings:
    """Settings of the verbs by name."""
    return {"profile": profile or {}, "pores": pores or {}, "distribution": distribution or {}}


def _checked(
    cells: str, out: str, steps: Sequence[str], settings: Settings, overrides: Sequence[str]
) -> Cohort:
    verbs = chosen_verbs(steps)
    for verb in verbs:
        typed_for(verb, overrides)  # words that cannot be meant for all come out
    own = {verb: settings[verb] for verb in verbs}
    return Cohort(read_cells(cells), verbs, own, overrides, Path(out).absolute())


def _row(
    cell: Cell, measures: Sequence[Measure], measured: Measured, error: str | None
) -> dict[str, Any]:
    """One row of the table."""
    return {
        "cell": cell.name, "condition": cell.condition, "volume": cell.volume,
        "status": "done" if error is None else "failed", "error": error,
        **{measure.key: measured.values.get(measure.key, float("nan")) for measure in measures},
    }


def _told(failed: Mapping[str, str], work: Work, cohort: Cohort) -> str:
    logs = {cell.name: work.log(cell) for cell in cohort.cells}
    listed = "\n".join(f"  {name}: {error}\n    {logs[name]}" for name, error in failed.items())
    again = shlex.quote(str(cohort.out / PAGE))
    return (
        f"{len(failed)} of {len(cohort.cells)} cells failed, {len(cohort.cells) - len(failed)} are "
        f"done:\n{listed}\nThe table and {again} tell of the others; the same command tries only "
        "these again."
    )
