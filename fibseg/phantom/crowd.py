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
    centres: list[Point] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)

    def clearance(self, points: Point) -> NDArray[np.float64]:
        """Room in nm around each of `points` (n, 3); negative in another body."""
        room = np.asarray(self.depth[self.grid.index(points)], dtype=np.float64)
        if self.centres:
            centres = np.array(self.centres)
            away = np.linalg.norm(points[:, None, :] - centres[None, :, :], axis=2)
            room = np.minimum(room, (away - np.array(self.radii)[None, :]).min(axis=1))
        return room

    def add(self, centre: Point, radius: float) -> None:
        """Let a ball stand."""
        self.centres.append(centre)
        self.radii.append(radius)
