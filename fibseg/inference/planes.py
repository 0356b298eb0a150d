"""Probabilities of a few planes of a volume, through the code and the numbers of infer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fibseg.data import RULE, Normalisation
from fibseg.errors import DataError
from fibseg.export import ForestSpec, ModelSpec
from fibseg.inference.backends import Backend
from fibseg.inference.plan import make_plan, spacing_note
from fibseg.inference.predict import Predictor

if TYPE_CHECKING:
    from fibseg.volume import Volume

log = logging.getLogger("fibseg.inference")


def predict_planes(
    network: nn.Module, spec: ModelSpec, volume: Volume, planes: Sequence[int], *,
    backend: str = "auto", precision: str = "auto", tta: str = "none", overlap: float = 0.0,
) -> Iterator[NDArray[np.uint8]]:
    """Yield probabilities of `planes` of level 0, uint8 (0–255), shape (classes, y, x).

    The values are those that `fibseg infer` with the same settings writes there.

    Parameters
    ----------
    network, spec
        As `fibseg.export.load_network` gives them, or a network in training and its description.
    volume
        The store; only what these planes need is read.
    planes
        Plane numbers of level 0; they are yielded in this order.
    backend, precision, tta, overlap
        As for `fibseg infer`.

    Raises
    ------
    DataError
        If a plane is not in the volume, or model and volume do not go together.
    """
    outside = [k for k in planes if not 0 <= k < volume.shape[0]]
    if outside:
        raise DataError(
            f"{volume.name} has the planes 0 to {volume.shape[0] - 1}, not {outside}. "
            "Check which volume the planes were chosen on."
        )
    plan = make_plan(spec, volume, overlap=overlap, square=tta == "d4")
    if note := spacing_note(spec, volume, plan):
        log.info("%s", note)
    predictor = Predictor(
        network, spec, plan=plan, normalisation=model_normalisation(spec, volume),
        backend=Backend.choose(backend, precision), tta=tta,
    )
    raw = volume.raw(plan.level)
    return predictor.planes(lambda box: np.asarray(raw[box.slices]), list(planes))


def model_normalisation(spec: ModelSpec | ForestSpec, volume: Any) -> Normalisation:
    """Intensities of `volume` as the model wants them.

    Raises
    ------
    DataError
        If the model was made with a rule that this release does not have.
    """
    if spec.normalisation != RULE:
        raise DataError(
            f"the model normalises by {spec.normalisation}, this fibseg by {RULE}. Use the "
            f"release that made it ({spec.versions.get('fibseg', 'unknown')})."
        )
    return Normalisation.of(volume)
