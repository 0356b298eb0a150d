"""Checkpoints that survive a kill at any moment: two generations, verified, plain data only."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from fibseg.errors import DataError
from fibseg.volume.files import room_for

logger = logging.getLogger("fibseg.training")
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
BROKEN = (
    OSError, RuntimeError, ValueError, KeyError, EOFError, DataError, pickle.UnpicklingError,
)


class CrashSafeIO(CheckpointIO):
    """Lightning's way to disk: temporary file in the same folder, fsync, verify, rename.

    The file that stood there becomes `PREVIOUS`, so that one whole checkpoint is there at any
    moment. What is stored is a list of tensors and a JSON string, so that loading needs no
    pickled objects.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Put a whole checkpoint in place, or leave what stood there.

        Raises
        ------
        DataError
            If what was written reads back differently.
        DiskFullError
            If there is no room for it.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = to_bytes(checkpoint)
        part = path.with_name(f".{path.name}.part")
        with room_for(path, len(data)), part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if zlib.crc32(part.read_bytes()) != zlib.crc32(data):
            raise DataError(f"{part} reads back differently from what was written. Check the disk.")
        if path.exists():
            path.replace(path.with_name(PREVIOUS))
        part.replace(path)
        _sync_folder(path.parent)

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Return the checkpoint in a file; objects that are no plain data are never loaded.

        Raises
        ------
        DataError
            If it is not one of fibseg's, or damaged.
        """
        return load(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file if it is there."""
        Path(path).unlink(missing_ok=True)


def newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Path and contents of the newest whole checkpoint in `folder`, None if there is none.

    Raises
    ------
    DataError
        If there are checkpoints but none is whole.
    """
    problems = []
    for name in (LAST, PREVIOUS):
        if (folder / name).exists():
            try:
                return folder / name, load(folder / name)
            except DataError as error:
                problems.append(str(error))
                logger.warning("%s The checkpoint before it is used.", error)
    if problems:
        raise DataError(f"No checkpoint in {folder} is whole. Start again with overwrite=true.")
    return None


def load(path: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint; see `CrashSafeIO.load_checkpoint`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of other pickles before it refuses them
            stored = torch.load(path, map_location="cpu", weights_only=True)
        return dict(_join(json.loads(stored["json"]), stored["tensors"]))
    except BROKEN as error:
        raise DataError(
            f"{path} is damaged, or not a checkpoint of fibseg: nothing but plain tensors is "
            f"loaded ({type(error).__name__})."
        ) from error


def to_bytes(checkpoint: dict[str, Any]) -> bytes:
    """Return the file of a checkpoint.

    Raises
    ------
    TypeError
        If something in it is neither a tensor nor plain data.
    """
    tensors: list[Tensor] = []
    text = json.dumps(_split(checkpoint, tensors))
    buffer = io.BytesIO()
    torch.save({"json": text, "tensors": tensors}, buffer)
    return buffer.getvalue()


def _split(node: Any, tensors: list[Tensor]) -> Any:
    """Plain data in which each tensor is a number in the list `tensors`."""
    if isinstance(node, Tensor):
        tensors.append(node.detach())
        return {"tensor": len(tensors) - 1}
    if isinstance(node, dict):
        return {"dict": [[_split(k, tensors), _split(v, tensors)] for k, v in node.items()]}
    if isinstance(node, tuple):
        return {"tuple": [_split(v, tensors) for v in node]}
    if isinstance(node, list):
        return [_split(v, tensors) for v in node]
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    raise TypeError(f"a checkpoint cannot hold a {type(node).__name__}")


def _join(node: Any, tensors: list[Tensor]) -> Any:
    """Undo `_split`."""
    if isinstance(node, list):
        return [_join(v, tensors) for v in node]
    if not isinstance(node, dict):
        return node
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "tuple" in node:
        return tuple(_join(v, tensors) for v in node["tuple"])
    return {_join(k, tensors): _join(v, tensors) for k, v in node["dict"]}


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    with contextlib.suppress(PermissionError):  # not possible on some network drives
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
