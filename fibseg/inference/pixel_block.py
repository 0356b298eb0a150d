"""A pixel classifier as a function of blocks: picklable, its forests loaded once per process."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.data import Normalisation
from fibseg.export import load_forests
from fibseg.geometry import Box
from fibseg.inference.pixel_plan import PixelPlan, Stage
from fibseg.inference.pixels import PixelClassifier
from fibseg.types import Shape


@dataclass(frozen=True)
class ForestBlocks:
    """The folder of a pixel classifier as a block function for `fibseg.blocks.map_blocks`.

    It returns one uint8 array per class, so it takes one target per class.

    Parameters
    ----------
    folder
        The model folder.
    digest
        `fibseg.export.forest_digest` of it, so that a folder that changed is loaded again.
    plan
        From `fibseg.inference.plan_pixels`.
    normalisation
        That of the volume.
    """

    folder: str
    digest: str
    plan: PixelPlan
    normalisation: Normalisation

    @property
    def level(self) -> int:
        """Pyramid level that is read."""
        return self.plan.source.level

    def block_shape(self, shards: Sequence[int]) -> Shape:
        """Voxels per block, where nobody asks for others."""
        return self.plan.block_shape(shards)

    def settings(self) -> dict[str, Any]:
        """All that the output depends on but the model and the raw, as plain data."""
        return {"plan": asdict(self.plan), "normalisation": asdict(self.normalisation)}

    def note(self) -> str:
        """How it works, in words."""
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

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Box of the pyramid level that is read for the voxels `write` of level 0."""
        return self.plan.read_box(write)

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
