"""A model that has learnt something, and a volume of any size for it: both from the phantom.

Used by benchmarks/inference.py, inference_gpu.py and seams.py. Random weights would do for speed,
but not for how far two ways of computing agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fibseg.cli import main as fibseg
from fibseg.inference.axis import mirrored
from fibseg.pipeline.pyramid import finish_raw
from fibseg.types import Shape
from fibseg.volume import Volume

SPACING = (20.0, 20.0, 20.0)


def trained_model(folder: Path, *, steps: int, shape: Shape = (64, 224, 224)) -> Path:
    """Model folder of the default network for mitochondria of a phantom; kept for the next time.

    Parameters
    ----------
    folder
        For the phantom, its store `cell.ome.zarr`, and the model.
    steps
        Of training; 300 take one to two minutes on two cores.
    """
    sample, store, model = folder / "phantom", folder / "cell.ome.zarr", folder / f"model-{steps}"
    commands = [
        f"phantom out={sample} shape={list(shape)} pores=false",
        f"import source={sample}/stack volume={store} spacing={list(SPACING)} polarity=dark",
        f"import source={sample}/painted_mitochondria.tif volume={store} kind=annotation "
        "name=mitochondria",
        f"train experiment=mitochondria volume={store} annotation=mitochondria out={model} "
        f"trainer.max_steps={steps} trainer.max_time=null data.split=none",
    ]
    if not (model / "model.json").exists():
        for command in commands:
            words = command.replace(", ", ",").split()
            if fibseg(words) != 0:
                raise SystemExit(f"failed: fibseg {command}")
    return model


def larger(image: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    """The image mirrored at its borders as often as it takes to fill `shape`."""
    grids = [mirrored(np.arange(n), have) for n, have in zip(shape, image.shape, strict=True)]
    return np.ascontiguousarray(image[np.ix_(*grids)])


def store_with(path: Path, image: NDArray[np.uint8]) -> Volume:
    """Store at `path` with this image as raw; one that stands is opened."""
    if path.exists():
        return Volume.open(path)
    volume = Volume.create(
        path, shape=image.shape, dtype=np.uint8, spacing=SPACING, polarity="dark"
    )
    for z in range(0, image.shape[0], 64):
        volume.raw()[z : z + 64] = image[z : z + 64]
    finish_raw(volume)
    return volume
