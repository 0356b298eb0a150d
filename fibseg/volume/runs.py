"""The record of one run of a verb: configuration, inputs, products, environment, log."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import platform
import sys
import weakref
from importlib import metadata as packages
from pathlib import Path
from types import TracebackType
from typing import Any

import fibseg
from fibseg.errors import DataError, DiskFullError, InterruptedRunError, PartlyDoneError
from fibseg.volume.files import UNSEALED, checked_name, finite, room_for, seal_holds, write_json

RECORDED = (
    "numpy", "scipy", "scikit-image", "scikit-learn", "connected-components-3d", "edt", "fastremap",
    "zarr", "numcodecs", "torch", "monai", "pytorch-lightning", "openvino", "onnxruntime",
    "skl2onnx",
)
"""Packages whose versions go with every run, those that are installed."""
_log = logging.getLogger("fibseg.volume")


class Run:
    """A run in progress; the log of fibseg goes to its file until it is finished.

    As a context manager it also records a run that fails or is interrupted.
    """

    def __init__(
        self, path: Path, *, verb: str, config: dict[str, Any], overrides: list[str],
        inputs: dict[str, str],
    ) -> None:
        self.path = path
        self.log_path = path / "log.txt"
        with room_for(self.log_path):
            self.log_path.touch()
        self._record: dict[str, Any] = {
            "verb": verb, "status": "running", "started": _now(), "finished": None,
            "config": config, "overrides": overrides, "inputs": inputs, "products": {},
            "metrics": {}, "environment": environment(),
        }
        self._write()
        handler = _Appender(self.log_path)
        logger = logging.getLogger("fibseg")
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        self._detach = weakref.finalize(self, logger.removeHandler, handler)

    def finish(self, *, products: dict[str, str], metrics: dict[str, Any] | None = None) -> None:
        """Record the digests of what was made, and end the log."""
        self._record.update(products=products, metrics=metrics or {})
        self._end("done")

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._record["status"] == "running":
            self._record["error"] = f"{type(error).__name__}: {error}"
            stopped = isinstance(error, InterruptedRunError | KeyboardInterrupt)
            partly = isinstance(error, PartlyDoneError)
            with contextlib.suppress(DiskFullError):  # the error itself says it already
                self._end("interrupted" if stopped else "partly done" if partly else "failed")
        self._detach()

    def _end(self, status: str) -> None:
        self._record.update(status=status, finished=_now())
        self._write()
        self._detach()

    def _write(self) -> None:
        write_json(self.path / "run.json", {**finite(self._record), "seal": UNSEALED})


class _Appender(logging.Handler):
    """Opens the file for every record: nothing is held open, nothing lost in a crash."""

    def __init__(self, path: Path) -> None:
        super().__init__(level=logging.INFO)
        self._path = path
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record to the file."""
        # A full disk stops the work itself with one clear error; the log adds no traceback to it.
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(self.format(record) + "\n")


def new_run(
    folder: Path, verb: str, *, config: dict[str, Any], overrides: list[str],
    inputs: dict[str, str],
) -> Run:
    """Run with a folder of its own in `folder`, named by time (UTC) and verb."""
    checked_name(verb, what="verb")
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        path = folder / (f"{stamp}-{verb}" if number == 1 else f"{stamp}-{number}-{verb}")
        try:
            with room_for(path):
                path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return Run(path, verb=verb, config=config, overrides=overrides, inputs=inputs)


def read_runs(folder: Path, *, skip_damaged: bool = False) -> list[dict[str, Any]]:
    """Records of all runs in `folder`, oldest first, each with its ``name``.

    Parameters
    ----------
    skip_damaged
        Leave out, with a warning, what is damaged.

    Raises
    ------
    DataError
        If a record is not, to the bit, what fibseg wrote.
    """
    found = []
    for file in folder.glob("*/run.json"):
        try:
            found.append(_record(file))
        except DataError as error:
            if not skip_damaged:
                raise
            _log.warning("left out: %s", error)
    return sorted(found, key=lambda record: str(record["started"]))


def _record(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}). Check the disk.") from error
    if not seal_holds(data):
        raise DataError(
            f"{file} is no record of a run as fibseg wrote it: it was cut off, damaged, or changed "
            "by another program. Take it from a copy. Without one, remove its folder: no product "
            "is lost by that, but what it alone told is: of an import of planes how their files "
            "are numbered, of a suggestion which masks began as a prediction."
        )
    return {"name": file.parent.name, **json.loads(data)}


def environment() -> dict[str, str]:
    """Versions of Python, fibseg and what the numbers rest on, and the kind of machine."""
    found = {
        "fibseg": fibseg.__version__, "python": platform.python_version(),
        "system": f"{sys.platform} {platform.machine()}",
    }
    for name in RECORDED:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
