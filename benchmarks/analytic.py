"""Shapes of known surface and volume, sampled at voxel centres at any orientation and offset."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import elliprg

AXES = (1.0, 1.5, 2.5)
"""Of the ellipsoid; the capsule is 6 and the torus 6.5 long, all for a smallest radius of 1."""
SIDES = (2.0, 3.0, 4.0)
"""Of the box."""
_RING = 2.25


@dataclass(frozen=True)
class Analytic:
    """A shape of smallest radius 1, centred at 0.

    Attributes
    ----------
    inside
        From places of shape (3, …) to whether they are inside.
    surface, volume
        Exact.
    extent
        Largest distance from the centre.
    """

    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
    surface: float
    volume: float
    extent: float

    def digitised(
        self, radius: float, spacing: tuple[float, float, float], *, seed: int, turned: bool = True
    ) -> NDArray[np.uint8]:
        """Mask of the shape of smallest radius `radius`, in the unit of `spacing`."""
        rng = np.random.default_rng(seed)
        half = [math.ceil(self.extent * radius / s) + 6 for s in spacing]
        shift = rng.uniform(-0.5, 0.5, 3)
        place = np.stack(np.meshgrid(
            *((np.arange(-h, h + 1) + d) * s for h, d, s in zip(half, shift, spacing, strict=True)),
            indexing="ij",
        ))
        if turned:
            turn = Rotation.random(random_state=rng).as_matrix()
            place = np.einsum("ij,jzyx->izyx", turn, place)
        return self.inside(place / radius).astype(np.uint8)


def _ellipsoid(place: NDArray[np.float64]) -> NDArray[np.bool_]:
    return ((place / np.reshape(AXES, (3, 1, 1, 1))) ** 2).sum(axis=0) <= 1


def _capsule(place: NDArray[np.float64]) -> NDArray[np.bool_]:
    beyond = place[0] - np.clip(place[0], -2, 2)
    return beyond**2 + place[1] ** 2 + place[2] ** 2 <= 1


def _torus(place: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (np.hypot(place[1], place[2]) - _RING) ** 2 + place[0] ** 2 <= 1


def _box(place: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (np.abs(place) <= np.reshape(SIDES, (3, 1, 1, 1)) / 2).all(axis=0)


SMOOTH = {
    "ball": Analytic(
        lambda place: (place**2).sum(axis=0) <= 1, 4 * math.pi, 4 / 3 * math.pi, 1.0
    ),
    "ellipsoid": Analytic(
        _ellipsoid, 4 * math.pi * math.prod(AXES) * float(elliprg(*(1 / np.square(AXES)))),
        4 / 3 * math.pi * math.prod(AXES), max(AXES),
    ),
    "capsule": Analytic(_capsule, 12 * math.pi, 4 / 3 * math.pi + 4 * math.pi, 3.0),
    "torus": Analytic(
        _torus, 4 * math.pi**2 * _RING, 2 * math.pi**2 * _RING, _RING + 1
    ),
}
BOX = Analytic(
    _box, 2 * (SIDES[0] * SIDES[1] + SIDES[0] * SIDES[2] + SIDES[1] * SIDES[2]),
    math.prod(SIDES), math.hypot(*SIDES) / 2,
)
