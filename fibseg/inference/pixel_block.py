"""A pixel classifier as a function of blocks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.export import load_forests
from fibseg.inference.folder_block import FolderBlocks
from fibseg.inference.pixel_plan import PixelPlan, Stage
from fibseg.inference.pixels import PixelClassifier


@dataclass(frozen=True)
class ForestBlocks(FolderBlocks[PixelPlan]):
    """The folder of a pixel classifier.

    `digest` is `fibseg.export.forest_digest`, `plan` of `fibseg.inference.plan_pixels`.
    """

    def note(self) -> str:
        """Levels of the pyramid, and their voxels."""
        border = self.plan.border
        finer = "" if border is None else f", borders on {_stage_text(border)}"
        return f"classified on {_stage_text(self.plan.volume)}{finer}"

    def load(self) -> None:
        """Load the forests, so that damaged ones are one error before any block.

        Raises
        ------
        DataError
            If a file is anything but a forest that fits.
        """
        _classifier(self)

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        (raw,) = arrays
        return _classifier(self).box(raw, block.read, block.write)


@functools.lru_cache(maxsize=1)
def _classifier(settings: ForestBlocks) -> PixelClassifier:
    """The classifier of these settings, kept: loading takes longer than a small block."""
    forests, spec = load_forests(settings.folder)
    return PixelClassifier(
        forests, n_classes=len(spec.classes), plan=settings.plan,
        normalisation=settings.normalisation,
    )


def _stage_text(stage: Stage) -> str:
    """Level and voxel of a stage."""
    z, y, x = stage.spacing
    return f"level {stage.level} of {z:.4g} x {y:.4g} x {x:.4g} nm"
