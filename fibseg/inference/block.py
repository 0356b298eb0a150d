"""Inference as a function of blocks: picklable, its network loaded once per process."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, usable_cores
from fibseg.data import Normalisation
from fibseg.export import load_network
from fibseg.geometry import Box
from fibseg.inference.backends import Backend
from fibseg.inference.plan import Plan
from fibseg.inference.predict import Predictor

THREADS = 4
"""So many share a window well on a CPU."""


@dataclass(frozen=True)
class ModelBlocks:
    """A model folder as a block function for `fibseg.blocks.map_blocks`.

    It returns one uint8 array per class, so it takes one target per class.

    Parameters
    ----------
    folder
        The model folder.
    digest
        `fibseg.export.weights_digest` of it, so that a folder that changed is loaded again.
    plan
        From `fibseg.inference.make_plan`.
    normalisation
        That of the volume.
    backend
        What runs the network.
    tta
        Name of a set of orientations.
    """

    folder: str
    digest: str
    plan: Plan
    normalisation: Normalisation
    backend: Backend
    tta: str = "none"

    @property
    def threads(self) -> int:
        """Those of `threads_of`."""
        return threads_of(self.backend)

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Box of the pyramid level that is read for the voxels `write` of level 0."""
        return self.plan.read_box(write)

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        (raw,) = arrays
        return _predictor(self).box(
            lambda box: raw[box.relative_to(block.read).slices], block.write
        )


def threads_of(backend: Backend) -> int:
    """How many threads a worker uses: each holds a network and blocks, one holds a GPU."""
    return usable_cores() if backend.device == "cuda" else THREADS


@functools.lru_cache(maxsize=1)
def _predictor(settings: ModelBlocks) -> Predictor:
    """The predictor of these settings, kept: compiling takes seconds."""
    network, spec = load_network(settings.folder)
    return Predictor(
        network, spec, plan=settings.plan, normalisation=settings.normalisation,
        backend=settings.backend, tta=settings.tta,
    )
