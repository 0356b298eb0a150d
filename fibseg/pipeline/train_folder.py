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

from fibseg.errors import DataError, ExistsError, InterruptedRunError
from fibseg.export.folder import CARD, DESCRIPTION
from fibseg.export.model_folder import WEIGHTS
from fibseg.volume import fingerprint, locked
from fibseg.volume.lock import reading

FOLDER, RECORD, LOG = "training", "run.json", "log.txt"
FREE = ("checkpoint_every_s", "checkpoint_every_steps", "log_every", "n_pictures", "threads",
        "memory_gb", "devices", "num_nodes", "strategy")
"""Settings that may differ when a training is continued: they do not change the result."""
BALANCE = "data.balance"
"""Setting that trainings begun before it do not have on record."""
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
    """Whether this very training is finished in `folder` already; changes nothing there.

    Of several processes only the first refuses a folder: others may see what it is changing.

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
    before = recorded(folder / FOLDER / RECORD)
    goes_on = resume != "never" and before is not None and not differences(before, record)
    if goes_on or not is_first():
        return goes_on and (folder / DESCRIPTION).exists()
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if before is None:
        if not (folder / FOLDER).exists() and not (folder / DESCRIPTION).exists():
            raise ExistsError(f"{folder} holds other files. Choose another out.")
        changes = ["no record of its training"]
    else:
        changes = differences(before, record) or ["resume=never, but a training has begun here"]
    if not overwrite:
        raise ExistsError(
            f"{folder} holds a training with other settings or data: {'; '.join(changes)}. "
            "Use overwrite=true to start again there, or another out."
        )
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
    """What differs between two records, in words; what is free to change does not count.

    Nor does a balance between volumes, of a single one, that an older record does not know.
    """
    old, new = _comparable(before), _comparable(now)
    if len(before["sources"]) == 1 and "data" in before["settings"]:
        old.setdefault(BALANCE, new.get(BALANCE))
    keys = sorted(k for k in {**old, **new} if old.get(k) != new.get(k))
    return [
        f"{k} differs" if k.endswith("digest") else f"{k} was {old.get(k)}, is {new.get(k)}"
        for k in keys
    ]


def begin(
    folder: Path, record: dict[str, Any], *, resume: str = "auto", launch: str | None = None
) -> None:
    """Write down what is trained, before the first step; other processes wait until that is done.

    Another training that stands there is thrown away: `standing` has allowed it.

    Parameters
    ----------
    record
        Settings and sources, as plain data.
    resume
        ``"never"`` throws away this very training, too.
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
                    "Look into its log, and whether all nodes see that folder. With srun "
                    "--kill-on-bad-exit=1 all end as soon as it fails."
                )
            time.sleep(0.2)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    before = recorded(path)
    if resume == "never" or before is None or differences(before, record):
        _clear(folder)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record | ({} if launch is None else {"launch": launch}), indent=1))
    part.replace(path)


def _clear(folder: Path) -> None:
    """Remove a model and its training but for the record, and nothing else.

    The record is left to be replaced: by it a folder is known for one of a training, whenever the
    command is killed. The description goes first, as there is no model without it.
    """
    for name in (DESCRIPTION, WEIGHTS, CARD):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / FOLDER).iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != RECORD:
            path.unlink()


@contextmanager
def first_speaks() -> Iterator[None]:
    """Context in which the first process alone says that the training was stopped.

    The others end as if all was well: with ``--kill-on-bad-exit=1``, srun would take the first its
    time to store and to test.

    Raises
    ------
    InterruptedRunError
        At a signal, in the first process.
    """
    try:
        yield
    except InterruptedRunError:
        if is_first():
            raise


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
