"""A network as a function of blocks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.export import load_network
from fibseg.inference.network_block import NetworkBlocks
from fibseg.inference.plan import Plan
from fibseg.inference.predict import Predictor


@dataclass(frozen=True)
class ModelBlocks(NetworkBlocks[Plan]):
    """The folder of a network; `digest` is `fibseg.export.weights_digest`, `plan` of `make_plan`.

    Parameters
    ----------
    tta
        Name of a set of symmetries.
    """

    tta: str = "none"

    def note(self) -> str:
        """Backend, and windows."""
        y, x = self.plan.y, self.plan.x
        return (
            f"{self.backend.name} in {self.backend.precision}, windows of {y.window} x {x.window} "
            f"px, margin {y.margin} px included"
        )

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        (raw,) = arrays
        return predictor_of(self).box(
            lambda box: raw[box.relative_to(block.read).slices], block.write
        )


@functools.lru_cache(maxsize=1)
def predictor_of(settings: ModelBlocks) -> Predictor:
    """The predictor of these settings, kept: compiling takes seconds."""
    network, spec = load_network(settings.folder)
    return Predictor(
        network, spec, plan=settings.plan, normalisation=settings.normalisation,
        backend=settings.backend, tta=settings.tta,
    )
