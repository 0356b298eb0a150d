"""The model folder: `weights.safetensors`, `model.json`, `README.md`.

Weights are bare tensors and the description is checked plain data, so opening a folder from a
stranger runs none of their code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fibseg.errors import DataError, UsageError
from fibseg.export.card import model_card
from fibseg.export.folder import CARD, DESCRIPTION, is_pickle, write_folder
from fibseg.export.forest_folder import is_forest
from fibseg.export.spec import ModelSpec

if TYPE_CHECKING:  # torch takes seconds to import, and a description needs none of it
    import torch
    from torch import nn

WEIGHTS = "weights.safetensors"
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

    tensors = _finite_state(network.state_dict())
    contents = {WEIGHTS: save(tensors), CARD: model_card(spec).encode()}
    contents[DESCRIPTION] = spec.to_json().encode()
    return write_folder(folder, contents, key="out", overwrite=overwrite)


def load_spec(folder: str | Path) -> ModelSpec:
    """Load the description of the model in `folder`, without importing torch.

    Raises
    ------
    DataError
        If the folder holds no whole model, or a pickle, or the description breaks a rule.
    """
    folder = Path(folder)
    if folder.is_file():
        raise DataError(_pickle_message(folder) if is_pickle(folder) else _not_a_folder(folder))
    if not folder.is_dir():
        raise DataError(f"There is no model folder {folder}. Train one with fibseg train out=….")
    if not (folder / DESCRIPTION).is_file() or not (folder / WEIGHTS).is_file():
        pickles = sorted(p for p in folder.iterdir() if p.is_file() and is_pickle(p))
        if pickles:
            raise DataError(_pickle_message(pickles[0]))
        if is_forest(folder):
            raise DataError(
                f"{folder} holds a pixel classifier, not a network. Use it with "
                f"'fibseg classify model={folder} volume=…'."
            )
        raise DataError(
            f"{folder} lacks {DESCRIPTION} or {WEIGHTS}, so its training has not ended. "
            "Run the same fibseg train command again: it continues."
        )
    if is_pickle(folder / WEIGHTS):
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
