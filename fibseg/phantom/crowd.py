"""Who stands where: bodies in the cytoplasm keep their distance from each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fibseg.phantom.grid import Field, Grid

Point = NDArray[np.float64]
"""One position (3,) or several (n, 3) in nm."""


@dataclass
class Crowd:
    """Balls that stand already, so that a newcomer can keep its distance."""

    depth: Field
    """Distance to the plasma membrane and the nuclear envelope, nm."""
    grid: Grid
    n: int = 0
    balls: Point = field(default_factory=lambda: np.empty((256, 4)))
    """Centre (z, y, x) and radius in nm of the first `n`; the rest is reserve."""

    def clearance(self, points: Point) -> NDArray[np.float64]:
        """Room in nm around each of `points` (n, 3); negative in another body."""
        room = np.asarray(self.depth[self.grid.index(points)], dtype=np.float64)
        if self.n:
            balls = self.balls[: self.n]
            away = np.linalg.norm(points[:, None, :] - balls[None, :, :3], axis=2)
            room = np.minimum(room, (away - balls[None, :, 3]).min(axis=1))
        return room

    def add(self, centre: Point, radius: float) -> None:
        """Let a ball stand."""
        if self.n == len(self.balls):
            self.balls = np.concatenate([self.balls, np.empty_like(self.balls)])
        self.balls[self.n] = (*centre, radius)
        self.n += 1
