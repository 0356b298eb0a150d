"""Model files on a volume of NumPy arrays, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from inference_fakes import FakeVolume
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.data import Normalisation
from fibseg.export.foreign import read_foreign
from fibseg.geometry import Box
from fibseg.inference import ForeignBlocks, bound, make_foreign_plan
from fibseg.types import Shape


def blocks_of(
    path: Path, volume: FakeVolume, *, overlap: float = 0.0, tta: str = "none"
) -> ForeignBlocks:
    """The file as a block function, bound to the volume."""
    model = read_foreign(path)
    counts = np.bincount(volume.image.ravel(), minlength=256)
    return ForeignBlocks(
        str(path), model.digest,
        make_foreign_plan(model, volume, overlap=overlap, square=tta == "d4"),
        Normalisation.of(volume) if model.polarity else Normalisation(0.0, 255.0, invert=False),
        tta, bound(model.before, largest=255, counts=counts),
    )


def by_blocks(task: ForeignBlocks, volume: FakeVolume, block: Shape) -> NDArray[Any]:
    """Probabilities, shape (classes, z, y, x), each block reading only its own box."""
    out = []
    for index, corner in enumerate(np.ndindex(*(-(-n // b) for n, b in zip(
        volume.shape, block, strict=True
    )))):
        start = tuple(c * b for c, b in zip(corner, block, strict=True))
        stop = tuple(s + b for s, b in zip(start, block, strict=True))
        write = Box(start, stop).clip(volume.shape)
        read = task.read_box(write, volume.shape)
        raw = volume.raw(task.plan.level)[read.slices]
        parts = task(raw, block=Block(index, write, read))
        out = out or [np.zeros(volume.shape, np.uint8) for _ in parts]
        for whole, part in zip(out, parts, strict=True):
            whole[write.slices] = part
    return np.stack(out)
