"""A small model with grey values, for tests of what it travels as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from inference_fakes import random_model
from stores import noise_store

from fibseg.export import ModelSpec, save_model_folder
from fibseg.export.constants import KEY, Constants, constants_of
from fibseg.volume import Volume

CONSTANTS = Constants(40.0, 200.0, "dark", "uint8", "cell", "0" * 64)


def small_model(**keywords: Any) -> tuple[Any, ModelSpec]:
    """Two floors, so that it looks 9 px far at most."""
    return random_model(**{"features": (4, 4), "spread": 1.0, **keywords})


def trained_model(
    path: Path, *volumes: Volume, overrides: tuple[str, ...] = (), **keywords: Any
) -> Path:
    """Model folder that tells of its training on these volumes as `fibseg train` does."""
    network, spec = small_model(**keywords)
    sources = [
        {"name": v.name, "raw_digest": v.raw_digest, "annotation": "annotation_a",
         "annotation_digest": "0", KEY: constants_of(v).record()}
        for v in volumes
    ]
    told = replace(spec, training={"volumes": sources, "overrides": list(overrides)})
    return save_model_folder(path, network, told)


def small_store(path: Path, **keywords: Any) -> Volume:
    return noise_store(path, **{"shape": (6, 70, 60), **keywords})
