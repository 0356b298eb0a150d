"""A network along several plane orientations as a function of blocks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.export import ModelSpec, load_network
from fibseg.inference.backends import Compiled
from fibseg.inference.network_block import BlockFunction, NetworkBlocks
from fibseg.inference.oblique import ObliquePredictor, near_border
from fibseg.inference.oblique_plan import ObliquePlan


@dataclass(frozen=True)
class ObliqueBlocks(NetworkBlocks[ObliquePlan]):
    """The folder of a network; sources are the raw and, with ``plan.within_nm``, labels.

    Parameters
    ----------
    within_digest
        Of the labels near whose border voxels are computed; empty where all are.
    """

    within_digest: str = ""

    def note(self) -> str:
        """Backend, windows and orientations."""
        plan = self.plan
        near = ""
        if plan.within_nm is not None:
            low, high = plan.within_nm
            since = "all inside" if low is None else f"{low:g}"
            near = f", near the border only ({since} to {high:g} nm)"
        return (
            f"{self.backend.name} in {self.backend.precision}, windows of {plan.window} x "
            f"{plan.window} px, margin {plan.margin} px included, along "
            f"{len(plan.orientations)} orientations ({plan.fusion}){near}"
        )

    def with_network(self, network: Compiled, spec: ModelSpec) -> BlockFunction:
        """The block function with another network, for all voxels."""
        predictor = ObliquePredictor(network, len(spec.classes), self.plan, self.normalisation)

        def run(*arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
            """Probabilities of the classes in the write box of `block`."""
            return predictor.box(arrays[0], block.read, block.write)

        return run

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        raw, labels = arrays[0], arrays[1] if len(arrays) > 1 else None
        wanted = None
        if labels is not None:
            wanted = near_border(labels, block.read, block.write, plan=self.plan)
        return _predictor(self).box(raw, block.read, block.write, wanted=wanted)


@functools.lru_cache(maxsize=1)
def _predictor(settings: ObliqueBlocks) -> ObliquePredictor:
    """The predictor of these settings, kept: compiling takes seconds."""
    network, spec = load_network(settings.folder)
    plan = settings.plan
    ready = settings.backend.compile(network, plan.batch_shape(spec.in_channels))
    return ObliquePredictor(ready, len(spec.classes), plan, settings.normalisation)
