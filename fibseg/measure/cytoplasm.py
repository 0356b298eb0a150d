"""The cell as objects see it: where they may be, and how far its two membranes are."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from fibseg.errors import UsageError
from fibseg.measure.placing import Room
from fibseg.postprocess import signed_distance
from fibseg.types import Mask, Spacing

Values = NDArray[np.float64]

DISTANCES = ("distance_nucleus_um", "distance_cell_um", "distance_nearest_um")
"""To the nucleus, to the plasma membrane, to the nearer of both."""


@dataclass(frozen=True)
class Cell:
    """A cell on a working grid.

    Attributes
    ----------
    inside
        The cell, nucleus included; shape (z, y, x). All of the grid, if no membrane is in sight.
    nucleus
        Without any voxel, if there is none.
    spacing
        Size of a voxel of the working grid in nm.
    first_um
        As in `fibseg.measure.placing.Room`.
    """

    inside: Mask
    nucleus: Mask
    spacing: Spacing
    first_um: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.inside.shape != self.nucleus.shape:
            raise UsageError(
                f"the cell has shape {self.inside.shape} and the nucleus {self.nucleus.shape}. "
                "Give one grid."
            )

    def cropped(self) -> Cell:
        """The same cell on the part of the grid that it is in, and a voxel around that.

        No distance within it changes: the nearest voxel beyond a border touches it.
        """
        there = np.argwhere(self.inside | self.nucleus)
        if not len(there):
            return self
        low, high = np.maximum(there.min(axis=0) - 1, 0), there.max(axis=0) + 2
        cut = tuple(map(slice, low, high))
        z, y, x = (np.asarray(self.first_um) + low * np.asarray(self.spacing) * 1e-3).tolist()
        return Cell(self.inside[cut], self.nucleus[cut], self.spacing, (z, y, x))

    @property
    def cytoplasm(self) -> Room:
        """Where objects may be."""
        return Room(self.inside & ~self.nucleus, self.spacing, self.first_um)

    def distances(self, centres_um: Values) -> dict[str, Values]:
        """`DISTANCES` in µm of centres (…, 3), unsigned, to the interface between voxels.

        NaN where a membrane is not in sight; the nearer of both is then the other one.
        """
        nucleus, cell = (self._sampled(m, centres_um) for m in (self._to_nucleus, self._to_cell))
        return dict(zip(DISTANCES, (nucleus, cell, np.fmin(nucleus, cell)), strict=True))

    @functools.cached_property
    def _to_nucleus(self) -> NDArray[np.float32] | None:
        return self._to_border(self.nucleus)

    @functools.cached_property
    def _to_cell(self) -> NDArray[np.float32] | None:
        return self._to_border(self.inside)

    def _to_border(self, mask: Mask) -> NDArray[np.float32] | None:
        """Signed distance of every voxel in nm, None where there is no border."""
        if mask.all() or not mask.any():
            return None
        longest = float(np.linalg.norm(np.multiply(mask.shape, self.spacing)))
        signed = signed_distance(mask, max_nm=longest, spacing=self.spacing)
        # From centre to centre; the interface is half a voxel nearer on either side.
        return signed - np.copysign(np.float32(min(self.spacing) / 2), signed)

    def _sampled(self, distance_nm: NDArray[np.float32] | None, centres_um: Values) -> Values:
        found = np.full(centres_um.shape[:-1], np.nan)
        known = np.isfinite(centres_um).all(axis=-1)
        if distance_nm is not None and known.any():
            places = self.cytoplasm.places(centres_um[known]).T
            sampled = map_coordinates(distance_nm, places, order=1, mode="nearest")
            found[known] = np.abs(sampled) * 1e-3
        return found
