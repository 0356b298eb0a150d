"""Intermediates of the pockets as layers of the store, for those who want to see every step."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner, map_blocks
from fibseg.errors import ExistsError
from fibseg.geometry import reach
from fibseg.pipeline.bench import Array
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.verify_voxels import unedited
from fibseg.volume import Volume

LAYERS = {
    "shell": "labels", "smooth": "probabilities", "mask": "labels", "particles": "probabilities",
    "parts": "labels", "grown": "labels",
}
"""Folder of every layer ``pockets_NAME``."""
OWN = {"layer": "pockets"}
"""Attribute of layers that are probabilities: others of that name are not replaced."""


@reach(lambda: 0.0)
def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values from 0 to 1 as 0 to 255."""
    found: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return found


@reach(lambda: 0.0)
def as_numbers(values: NDArray[Any]) -> NDArray[np.uint32]:
    """Masks and numbered objects as whole numbers."""
    return values.astype(np.uint32)


def layer_names() -> list[str]:
    """Names of the layers that are label images."""
    return [f"pockets_{name}" for name, folder in LAYERS.items() if folder == "labels"]


def layers_stand(store: Volume, inputs: str) -> bool:
    """Whether layers of the same inputs are there: the last one that is written."""
    name = "pockets_particles"
    return name in store.probability_names() and (
        store.probabilities_info(name).inputs == inputs
    )


def refuse_foreign_layers(store: Volume, *, overwrite: bool) -> None:
    """Nothing, if layers that are probabilities may be written.

    Raises
    ------
    ExistsError
        If one of that name was made elsewhere and is not to be replaced.
    """
    for layer, folder in LAYERS.items():
        name = f"pockets_{layer}"
        if folder != "probabilities" or overwrite or name not in store.probability_names():
            continue
        if store.probabilities_info(name).attributes.get("layer") != OWN["layer"]:
            raise ExistsError(
                f"probabilities/{name} stands already and is no layer of pockets. Use "
                "overwrite=true to replace it, or leave keep=all out."
            )


def write_layers(
    store: Volume, layers: Mapping[str, Array], inputs: str, nucleus: str, *, runner: Runner,
    overwrite: bool = False,
) -> None:
    """Write every intermediate as a layer, those of settings before are replaced.

    `refuse_foreign_layers` has been asked before.

    Parameters
    ----------
    layers
        Arrays on the grid of the store, by the names in `LAYERS`.
    """
    order = sorted(layers, key=lambda layer: layer == "particles")
    for layer in order:
        name = f"pockets_{layer}"
        if LAYERS[layer] == "labels":
            product = store.create_labels(
                name, kind="labels", dtype=np.uint32, inputs=inputs,
                derived_from=f"labels/{nucleus}", overwrite=overwrite,
                unedited=functools.partial(unedited, runner=runner),
            )
        else:
            product = store.create_probabilities(
                name, inputs=inputs, attributes=OWN, overwrite=True
            )
        if product.complete:
            continue
        map_blocks(
            as_numbers if LAYERS[layer] == "labels" else as_bytes, layers[layer], product.array,
            block_shape=product.block_shape, runner=runner, journal=product.journal_path,
            fingerprint=inputs, label=f"layer {name}",
        )
        finish_product(product, runner=runner)
