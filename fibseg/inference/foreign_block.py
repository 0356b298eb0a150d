"""A model file from elsewhere as a function of blocks."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.blocks import Block
from fibseg.errors import DataError
from fibseg.export.foreign import ForeignModel, Step, read_foreign
from fibseg.inference.choice import THREADS
from fibseg.inference.folder_block import FolderBlocks
from fibseg.inference.foreign_session import ForeignWindows
from fibseg.inference.foreign_steps import applied
from fibseg.inference.plan import Plan
from fibseg.inference.predict import Predictor
from fibseg.inference.symmetries import symmetries


@dataclass(frozen=True)
class ForeignBlocks(FolderBlocks[Plan]):
    """A model file; `folder` is its path, `digest` that of the file, `plan` of `make_foreign_plan`.

    Parameters
    ----------
    normalisation
        That of the volume, or the range of its type for a file with grey values of its own.
    tta
        Name of a set of symmetries.
    before
        Steps before the graph, bound to the volume (`fibseg.inference.foreign_steps.bound`).
    rules
        Raised whenever files are read by other rules, so that products are made anew.
    """

    tta: str = "none"
    before: tuple[Step, ...] = ()
    rules: int = 1

    def settings(self) -> dict[str, Any]:
        """All but `before`, which follows from the file and the raw."""
        return {key: value for key, value in super().settings().items() if key != "before"}

    def note(self) -> str:
        """What runs it, and windows."""
        y, x = self.plan.y, self.plan.x
        how = "blended" if self.plan.blended else f"margins {y.margin} x {x.margin} px included"
        return f"ONNX Runtime in float32, windows of {y.window} x {x.window} px, {how}"

    @property
    def threads(self) -> int:
        """So many windows are computed side by side."""
        return THREADS

    def check(self) -> None:
        """Run one window of noise: a file that does not run is one error, and not one per block.

        Raises
        ------
        DataError
            If the file has changed, cannot be run, or gives something else than probabilities.
        """
        plan, n_channels = self.plan, 2 * self.plan.context + 1
        noise = np.random.default_rng(0).uniform(
            self.normalisation.low, self.normalisation.high,
            (n_channels, plan.y.window, plan.x.window),
        )
        windows(replace(self, before=())).window(applied(self.before, noise))

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        (raw,) = arrays
        made = windows(replace(self, before=()))
        predictor = Predictor.over(
            made, n_classes=len(made.model.classes), ready=partial(_ready, self.before)
        )
        return predictor.box(lambda box: raw[box.relative_to(block.read).slices], block.write)


def _ready(before: tuple[Step, ...], plane: NDArray[Any]) -> Tensor:
    """What the graph sees of the voxels of a plane."""
    return torch.from_numpy(np.ascontiguousarray(applied(before, plane), np.float32))


@functools.lru_cache(maxsize=1)
def windows(settings: ForeignBlocks) -> ForeignWindows:
    """The graph of these settings, kept: loading takes seconds.

    Raises
    ------
    DataError
        If the file is not the one that the run began with, or cannot be run.
    """
    model = unchanged(settings)
    return ForeignWindows(
        model, settings.plan, symmetries(settings.tta), normalisation=settings.normalisation
    )


def unchanged(settings: ForeignBlocks) -> ForeignModel:
    """The model, read and checked again.

    Raises
    ------
    DataError
        If the file is another one now.
    """
    model = read_foreign(settings.folder)
    if model.digest != settings.digest:
        raise DataError(
            f"{settings.folder} was changed while it was in use. Leave the file alone until the "
            "run has ended, and run the same command again."
        )
    return model
