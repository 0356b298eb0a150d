"""A network as a function of blocks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, usable_cores
from fibseg.export import load_network
from fibseg.inference.backends import Backend
from fibseg.inference.folder_block import FolderBlocks
from fibseg.inference.plan import Plan
from fibseg.inference.predict import Predictor

THREADS = 4
"""So many share a window well on a CPU."""


@dataclass(frozen=True)
class ModelBlocks(FolderBlocks[Plan]):
    """The folder of a network; `digest` is `fibseg.export.weights_digest`, `plan` of `make_plan`.

    Parameters
    ----------
    backend
        What runs the network.
    tta
        Name of a set of symmetries.
    """

    backend: Backend
    tta: str = "none"

    def note(self) -> str:
        """Backend, and windows."""
        y, x = self.plan.y, self.plan.x
        return (
            f"{self.backend.name} in {self.backend.precision}, windows of {y.window} x {x.window} "
            f"px, margin {y.margin} px included"
        )

    @property
    def threads(self) -> int:
        """Those of `threads_of`."""
        return threads_of(self.backend)

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
