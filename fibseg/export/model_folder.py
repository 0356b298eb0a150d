"""The model folder: `weights.safetensors`, `model.json`, `README.md`.

Weights are bare tensors and the description is checked plain data, so opening a folder from a
stranger runs none of their code. `model.json` is written last and removed first: a folder that
has one is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export.card import model_card
from fibseg.export.spec import ModelSpec
from fibseg.volume.files import room_for

if TYPE_CHECKING:  # torch takes seconds to import, and a description needs none of it
    import torch
    from torch import nn

WEIGHTS, DESCRIPTION, CARD = "weights.safetensors", "model.json", "README.md"
_PICKLE_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_MATTERS = ("network", "classes", "spacing", "normalisation", "context", "window")


def save_model_folder(
    folder: str | Path, network: nn.Module, spec: ModelSpec, *, overwrite: bool = False
) -> Path:
    """Path of the model folder, written so that a crash leaves either a whole model or none.

    Other files in the folder (checkpoints, logs) are left alone.

    Parameters
    ----------
    folder
        Created if missing.
    network
        The trained network; its state is stored in float32 on the CPU.
    spec
        Its description.
    overwrite
        Replace another model that stands there.

    Raises
    ------
    ExistsError
        If another model stands there and `overwrite` is not set.
    DataError
        If a weight is not finite, or the description is not plain data.
    """
    from safetensors.torch import save

    folder = Path(folder)
    tensors = _finite_state(network.state_dict())
    contents = {WEIGHTS: save(tensors), CARD: model_card(spec).encode()}
    contents[DESCRIPTION] = spec.to_json().encode()
    if _stands(folder, contents):
        return folder
    if (folder / DESCRIPTION).exists():
        if not overwrite:
            raise ExistsError(
                f"Another model stands in {folder}. Choose another out=, or set overwrite=true."
            )
        (folder / DESCRIPTION).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        _write(folder / name, data)
    return folder


def load_spec(folder: str | Path) -> ModelSpec:
    """Load the description of the model in `folder`, without importing torch.

    Raises
    ------
    DataError
        If the folder holds no whole model, or a pickle, or the description breaks a rule.
    """
    folder = Path(folder)
    if folder.is_file():
        raise DataError(_pickle_message(folder) if _is_pickle(folder) else _not_a_folder(folder))
    if not folder.is_dir():
        raise DataError(f"There is no model folder {folder}. Train one with fibseg train out=….")
    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        pickles = sorted(p for p in folder.iterdir() if p.is_file() and _is_pickle(p))
        if pickles:
            raise DataError(_pickle_message(pickles[0]))
        raise DataError(
            f"{folder} lacks {DESCRIPTION} or {WEIGHTS}, so its training has not ended. "
            "Run the same fibseg train command again: it continues."
        )
    if _is_pickle(folder / WEIGHTS):
        raise DataError(_pickle_message(folder / WEIGHTS))
    try:
        text = (folder / DESCRIPTION).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{folder / DESCRIPTION} is not text. Export the model again.") from error
    return ModelSpec.from_json(text)


def load_network(folder: str | Path) -> tuple[nn.Module, ModelSpec]:
    """Network of the model in `folder`, on the CPU, in eval mode, and its description.

    Raises
    ------
    DataError
        If the folder holds no whole model, the architecture is unknown, or the weights do not
        fit it or are not finite.
    """
    import torch

    from fibseg.models import NetworkSpec, build_network

    spec = load_spec(folder)
    try:
        architecture = NetworkSpec(**_tuples(spec.network))
        with torch.random.fork_rng(devices=[]):
            network = build_network(
                architecture, in_channels=spec.in_channels, n_classes=len(spec.classes)
            )
    except (UsageError, TypeError, ValueError, KeyError, RuntimeError) as error:
        raise DataError(
            f"network {spec.network} of {folder} cannot be built ({error}). Use the fibseg "
            f"release that made it ({spec.versions.get('fibseg', 'unknown')}), or train again."
        ) from error
    state = _read_weights(Path(folder) / WEIGHTS)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[:2]
        raise DataError(
            f"{Path(folder) / WEIGHTS} does not fit the network of {DESCRIPTION} ({first}). "
            "Copy both files from the same model."
        ) from error
    return network.eval(), spec


def weights_digest(folder: str | Path) -> str:
    """SHA-256 of all in a model folder that decides about its output.

    Scores, versions and the history of training are left out: they change no voxel.
    """
    spec = asdict(load_spec(folder))
    digest = hashlib.sha256()
    digest.update(json.dumps({k: spec[k] for k in _MATTERS}, sort_keys=True).encode())
    with (Path(folder) / WEIGHTS).open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, all finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a whole safetensors file ({error}). Copy the model folder again."
        ) from error
    return _finite_state(state)


def _finite_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors as contiguous float32 (integers stay) on the CPU, refused if not finite."""
    ready = {}
    for name in sorted(state):
        tensor = state[name].detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.float()
            n_bad = int((~tensor.isfinite()).sum())
            if n_bad:
                raise DataError(
                    f"{n_bad} weights of {name} are NaN or infinite: training has diverged. "
                    "Train again with a lower learning rate."
                )
        ready[name] = tensor.contiguous().clone()
    return ready


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by its content, or by its name."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_PICKLE_STARTS):
        # A safetensors file starts with the length of its header, which may read alike.
        return head[8:9] != b"{"
    if head.startswith(b"PK\x03\x04"):
        # torch.save writes a zip around a pickle; an .npz or .docx is a zip as well.
        try:
            with zipfile.ZipFile(path) as archive:
                return any(n.endswith(_PICKLE_SUFFIXES) for n in archive.namelist())
        except zipfile.BadZipFile:
            return True
    return path.suffix in _PICKLE_SUFFIXES


def _pickle_message(path: Path) -> str:
    return (
        f"{path} is a pickle or a training checkpoint: loading one can run any code, so fibseg "
        f"never does. Give the model folder with {WEIGHTS} and {DESCRIPTION} that fibseg train "
        "writes at its end."
    )


def _not_a_folder(path: Path) -> str:
    return f"{path} is a file. Give the model folder that holds {WEIGHTS} and {DESCRIPTION}."


def _tuples(network: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples: lists become them again."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in network.items()}


def _stands(folder: Path, contents: dict[str, bytes]) -> bool:
    """Whether this very model is in the folder already."""
    return all(
        (folder / name).is_file() and (folder / name).read_bytes() == data
        for name, data in contents.items()
    )


def _write(path: Path, data: bytes) -> None:
    """Put a whole file in place, or leave what stood there."""
    part = path.with_name(f".{path.name}.part")
    with room_for(path, len(data)), part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
