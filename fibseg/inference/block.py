"""A network as a function of blocks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.export import ModelSpec, load_network
from fibseg.inference.backends import Compiled
from fibseg.inference.network_block import BlockFunction, NetworkBlocks
from fibseg.inference.plan import Plan
from fibseg.inference.predict import Predictor, normalised
from fibseg.inference.symmetries import symmetries
from fibseg.inference.windows import Windows


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

    def with_network(self, network: Compiled, spec: ModelSpec) -> BlockFunction:
        """The block function with another network, each plane laid down as it is."""
        predictor = Predictor.over(
            Windows(network, self.plan, symmetries("none")), n_classes=len(spec.classes),
            ready=lambda plane: normalised(torch.from_numpy(plane), self.normalisation),
        )
        return partial(_box, predictor)

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        return _box(predictor_of(self), *arrays, block=block)


def _box(
    predictor: Predictor, raw: NDArray[Any], *, block: Block
) -> tuple[NDArray[np.uint8], ...]:
    """Probabilities of the classes in the write box of `block`."""
    return predictor.box(lambda box: raw[box.relative_to(block.read).slices], block.write)


@functools.lru_cache(maxsize=1)
def predictor_of(settings: ModelBlocks) -> Predictor:
    """The predictor of these settings, kept: compiling takes seconds."""
    network, spec = load_network(settings.folder)
    return Predictor(
        network, spec, plan=settings.plan, normalisation=settings.normalisation,
        backend=settings.backend, tta=settings.tta,
    )
