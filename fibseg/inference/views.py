"""Planes laid down in several ways, each with its own probabilities: where these contradict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fibseg.export import ModelSpec
from fibseg.inference.backends import Backend
from fibseg.inference.plan import make_plan
from fibseg.inference.planes import model_normalisation
from fibseg.inference.predict import Predictor, normalised
from fibseg.inference.symmetries import symmetries
from fibseg.inference.transfer import place_of, to_device
from fibseg.inference.windows import Windows

if TYPE_CHECKING:
    from fibseg.volume import Volume


def predict_views(
    network: nn.Module, spec: ModelSpec, volume: Volume, planes: Sequence[int], *,
    tta: str = "flips", backend: str = "auto", precision: str = "auto",
) -> Iterator[NDArray[np.uint8]]:
    """Yield probabilities of `planes` of level 0, 0–255, shape (views, classes, y, x).

    The first view is the plane as it is, with the values that `fibseg infer` writes. One network
    is made ready for all views, and planes are held one batch at a time.

    Parameters
    ----------
    network, spec, volume, planes, backend, precision
        As of `fibseg.inference.predict_planes`.
    tta
        The ways: ``"none"``, ``"flips"`` or ``"d4"``.

    Raises
    ------
    DataError
        If model and volume do not go together.
    UsageError
        If there are no such ways.
    """
    ways = symmetries(tta)
    plan, settled = make_plan(spec, volume, square=tta == "d4"), Backend.choose(backend, precision)
    compiled = settled.compile(network, plan.batch_shape(spec.in_channels))
    normalisation, device = model_normalisation(spec, volume), place_of(settled.device)

    def ready(plane: NDArray[np.generic]) -> Tensor:
        """The plane on the device, normalised there."""
        return normalised(to_device(plane, device), normalisation)

    raw = volume.raw(plan.level)
    streams = [
        Predictor.over(
            Windows(compiled, plan, (way,)), n_classes=len(spec.classes), ready=ready,
            on_gpu=device.type == "cuda",
        ).planes(lambda box: np.asarray(raw[box.slices]), list(planes))
        for way in ways
    ]
    return (np.stack(views) for views in zip(*streams, strict=True))
