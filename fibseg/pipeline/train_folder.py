"""What stands in the folder of a training: its record, its log, whether it may go on."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fibseg.errors import DataError, ExistsError
from fibseg.volume import fingerprint, locked
from fibseg.volume.lock import reading

FOLDER, RECORD, LOG = "training", "run.json", "log.txt"
FREE = ("checkpoint_every_s", "checkpoint_every_steps", "log_every", "n_pictures", "threads",
        "memory_gb", "devices", "num_nodes", "strategy")
"""Settings that may differ when a training is continued: they do not change the result."""
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Variables by which Lightning, torchrun and SLURM number the processes of one training."""
WAIT_S = 1800.0
"""That other processes wait for the first one, which may look for planes longer than they do."""


def is_first() -> bool:
    """Whether this is the first process of its training, or the only one."""
    return not any(os.environ.get(name, "0") != "0" for name in RANKS)


@contextmanager
def alone_in(folder: Path, *, volumes: Sequence[Path] = ()) -> Iterator[None]:
    """Context in which no other run trains into `folder`, and none replaces the `volumes`.

    Of the processes of one distributed training, which all run the same command, only the first
    takes the locks.

    Raises
    ------
    BusyError
        If another run does.
    """
    if not is_first():
        yield
        return
    name = f"train-{fingerprint({'out': folder.resolve()})[:16]}"
    with ExitStack() as stack:
        stack.enter_context(locked(folder))
        for volume in volumes:
            stack.enter_context(reading(volume, name=name))
        yield


def standing(folder: Path, record: dict[str, Any], *, resume: str, overwrite: bool) -> bool:
    """Whether this very training is finished in `folder` already; clears the way if it may.

    Of several processes only the first clears it, while others wait in `begin`.

    Parameters
    ----------
    record
        Settings and sources, as plain data.
    resume, overwrite
        See `fibseg.pipeline.train.run`.

    Raises
    ------
    ExistsError
        If something else stands in the folder and may not be replaced.
    """
    path = folder / FOLDER / RECORD
    before = recorded(path)
    if before is None:
        if not folder.exists() or not any(folder.iterdir()):
            return False
        if not (folder / FOLDER).exists() and not (folder / "model.json").exists():
            raise ExistsError(f"{folder} holds other files. Choose another out.")
        changes = ["no record of its training"]
    else:
        changes = differences(before, record)
        if not changes and resume == "never" and is_first():
            changes = ["resume=never, but a training has begun here"]
        if not changes:
            return (folder / "model.json").exists()
    if not overwrite:
        raise ExistsError(
            f"{folder} holds a training with other settings or data: {'; '.join(changes)}. "
            "Use overwrite=true to start again there, or another out."
        )
    if not is_first():
        return False
    (folder / "model.json").unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return False


def recorded_sources(folder: Path) -> list[dict[str, Any]]:
    """Stores and annotations that a training in this folder learns from; none if there is none."""
    record = recorded(folder / FOLDER / RECORD)
    return [] if record is None else [dict(source) for source in record["sources"]]


def recorded(path: Path) -> dict[str, Any] | None:
    """The record of a training, or a sweep; None if there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and {"settings", "sources"} <= set(found)
    return found if whole else None


def _comparable(record: dict[str, Any]) -> dict[str, Any]:
    """Every value of a record under its dotted name, without those that are free to change."""
    flat: dict[str, Any] = {}

    def walk(node: Any, name: str) -> None:
        """Put what is below `node` under its dotted name."""
        if isinstance(node, dict):
            for k, v in node.items():
                walk(v, f"{name}.{k}" if name else k)
        elif name.rpartition(".")[2] not in FREE:
            flat[name.removeprefix("settings.")] = node

    walk(record["settings"], "settings")
    for i, source in enumerate(record["sources"]):
        walk(source, f"volume[{i}]")
    return flat


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two records, in words; what is free to change does not count."""
    old, new = _comparable(before), _comparable(now)
    keys = sorted(k for k in {**old, **new} if old.get(k) != new.get(k))
    return [
        f"{k} differs" if k.endswith("digest") else f"{k} was {old.get(k)}, is {new.get(k)}"
        for k in keys
    ]


def begin(folder: Path, record: dict[str, Any], *, launch: str | None = None) -> None:
    """Write down what is trained, before the first step; other processes wait until that is done.

    Parameters
    ----------
    record
        Settings and sources, as plain data.
    launch
        Of processes that were started at once, from outside; those that the first one starts find
        the record there.

    Raises
    ------
    DataError
        If the first process does not begin.
    """
    path = folder / FOLDER / RECORD
    if not is_first():
        until = time.monotonic() + WAIT_S
        while launch is not None and (recorded(path) or {}).get("launch") != launch:
            if time.monotonic() > until:
                raise DataError(
                    f"The first process has not begun to train into {folder} for {WAIT_S:g} s. "
                    "Look into its log, and whether all nodes see that folder."
                )
            time.sleep(0.2)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record | ({} if launch is None else {"launch": launch}), indent=1))
    part.replace(path)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Everything that fibseg logs also goes to a file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    root = logging.getLogger("fibseg")
    before = root.level
    root.addHandler(handler)
    if root.getEffectiveLevel() > logging.INFO:
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
