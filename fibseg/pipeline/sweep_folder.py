"""The folder of a sweep: whose it is, and whether this sweep may work in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fibseg.errors import ExistsError
from fibseg.pipeline.train_folder import differences, recorded
from fibseg.volume import locked
from fibseg.volume.files import remove_tree, write_json
from fibseg.volume.lock import refuse_used

RECORD, TRIALS = "settings.json", "trials"
WAIT_S = 60.0


def trial_lock(number: int) -> str:
    """What is locked, in the folder of the sweep, by the process that works at a trial."""
    return f"trial-{number:03d}"


def begin_sweep(folder: Path, record: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folder, or join the sweep that stands in it if it is this very one.

    Parameters
    ----------
    folder
        Of the sweep.
    record
        Settings and sources, as plain data.
    overwrite
        Throw away another sweep.

    Raises
    ------
    ExistsError
        If something else stands in the folder and may not be replaced.
    BusyError
        If another process works at what is to be replaced.
    """
    with locked(folder / "sweep", wait_s=WAIT_S):
        others = [p for p in folder.glob("*") if not p.name.startswith(".")]
        before = recorded(folder / RECORD)
        if before is None and others:
            raise ExistsError(f"{folder} holds other files. Choose another out.")
        if before is not None:
            changes = differences(before, record)
            if not changes:
                return
            if not overwrite:
                raise ExistsError(
                    f"{folder} holds a sweep with other settings or data: {'; '.join(changes)}. "
                    "Use overwrite=true to start again there, or another out."
                )
            refuse_used(folder)
            # The record last: what a kill leaves here is still a sweep's.
            for path in sorted(others, key=lambda p: p.name == RECORD):
                remove_tree(path) if path.is_dir() else path.unlink()
        write_json(folder / RECORD, record)
