"""A small cell as probabilities, and what ``fibseg profile`` plans and does with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from stores import noise_store

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.pipeline.profile_steps import Recipe, planned_steps
from fibseg.volume import Volume

SHAPE = (24, 48, 48)
FEW = ["measure.correlations.n_simulations=9", "measure.correlations.n_bootstrap=100",
       "blocks=serial"]


def ball(radius: float, centre: tuple[float, float, float] = (12, 24, 24)) -> np.ndarray:
    """Voxels of a ball, radius and centre in voxels."""
    grid = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    return np.asarray(np.linalg.norm(grid, axis=0) <= radius)


def cell_store(folder: Path) -> Volume:
    """A cell with a nucleus and seven mitochondria of two sizes, as probabilities."""
    places = [(12, 8, 24), (12, 40, 24), (12, 24, 8), (12, 24, 41), (8, 12, 14), (16, 36, 34),
              (12, 12, 36)]
    small = np.any([ball(3 + i % 2, c) for i, c in enumerate(places)], axis=0)
    masks = {"cell": ball(22), "nucleus": ball(11), "mitochondria": small}
    return noise_store(
        folder / "cell.ome.zarr", shape=SHAPE, spacing=(50.0, 50.0, 50.0),
        **{name: (mask * 255).astype(np.uint8) for name, mask in masks.items()},
    )


def recipe(store: Volume, *words: str) -> Recipe:
    """Recipe of ``fibseg profile`` with these words."""
    overrides = [f"volume={store.path}", *FEW, *words]
    config = resolved(compose_verb("profile", overrides))
    config.pop("dry_run")
    return Recipe(**build_parts(config), config=config, overrides=overrides)


def commands(store: Volume, *words: str) -> list[str]:
    """What a profile prints of its steps, the store as V."""
    steps = planned_steps(recipe(store, *words))
    return [step.command.replace(f"{store.path}", "V") for step in steps]


def ran(store: Volume) -> list[str]:
    """Verbs that ran on a store, in order."""
    return [record["verb"] for record in store.runs()]
