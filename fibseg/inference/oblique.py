"""A 2D network along several plane orientations: windows that are needed, fused on the voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fibseg.data import Normalisation, normalise
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.inference.backends import Compiled
from fibseg.inference.lattice import CORNERS, Ints, Lattice, corner_share
from fibseg.inference.oblique_plan import ObliquePlan
from fibseg.postprocess import signed_distance
from fibseg.types import Mask

SLAB = 24
"""Planes whose windows are held at once."""

Voxels = tuple[Ints, Ints, Ints]


@dataclass(frozen=True)
class ObliquePredictor:
    """Network, plan and intensities, ready to compute.

    Parameters
    ----------
    network
        Logits of a static batch of windows.
    n_classes
        Without background.
    plan
        From `fibseg.inference.make_oblique_plan`.
    normalisation
        That of the volume.
    """

    network: Compiled
    n_classes: int
    plan: ObliquePlan
    normalisation: Normalisation

    def box(
        self, raw: NDArray[Any], read: Box, write: Box, *, wanted: Mask | None = None
    ) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities, uint8, 0 to 255, of the voxels `write`, one array per class.

        Parameters
        ----------
        raw
            Voxels of ``plan.read_box(write)``, which is `read`.
        wanted
            Voxels of `write` to be computed, others stay 0; all if left out.
        """
        out = np.zeros((self.n_classes, *write.shape), np.uint8)
        mask = np.ones(write.shape, bool) if wanted is None else wanted
        inside = np.nonzero(mask)
        if len(inside[0]):
            z, y, x = (i + start for i, start in zip(inside, write.start, strict=True))
            probs = self._fused(raw, read, (z, y, x))
            out[:, inside[0], inside[1], inside[2]] = (probs * 255 + 0.5).astype(np.uint8)
        return tuple(out)

    def _fused(self, raw: NDArray[Any], read: Box, voxels: Voxels) -> NDArray[np.float32]:
        """Probabilities (classes, n) of voxels, all orientations as one."""
        lattices = [self.plan.lattice(o) for o in self.plan.orientations]
        if self.plan.fusion == "median":
            return np.median([self._along(a, raw, read, voxels) for a in lattices], axis=0)
        total = self._along(lattices[0], raw, read, voxels)
        for lattice in lattices[1:]:
            total += self._along(lattice, raw, read, voxels)
        total /= np.float32(len(lattices))
        return total

    def _along(
        self, lattice: Lattice, raw: NDArray[Any], read: Box, voxels: Voxels
    ) -> NDArray[np.float32]:
        """Probabilities (classes, n) of voxels along one orientation."""
        probs = np.zeros((self.n_classes, len(voxels[0])), np.float32)
        height = lattice.pixels_of(voxels, 0)
        below = np.floor(height).astype(np.int64)
        for first in range(int(below.min()), int(below.max()) + 1, SLAB):
            chosen = np.flatnonzero((below >= first) & (below < first + SLAB))
            if len(chosen):
                z, y, x = (v[chosen] for v in voxels)
                taps = _Taps.of(lattice, (z, y, x), below[chosen], height[chosen], self.plan.core)
                store = self._windows(lattice, raw, read, taps.windows)
                probs[:, chosen] = taps.gather(store)
        return probs

    def _windows(
        self, lattice: Lattice, raw: NDArray[Any], read: Box, windows: Ints
    ) -> NDArray[np.float32]:
        """Probabilities in the cores of windows (n, 3), shape (n, classes, core, core)."""
        core = self.plan.core
        out = np.empty((len(windows), self.n_classes, core, core), np.float32)
        for start in range(0, len(windows), self.plan.batch):
            part = windows[start : start + self.plan.batch]
            out[start : start + len(part)] = self._run(self._images(lattice, raw, read, part))
        return out

    def _images(
        self, lattice: Lattice, raw: NDArray[Any], read: Box, windows: Ints
    ) -> NDArray[np.float32]:
        """What the network sees of windows, (n, channels, window, window)."""
        plan = self.plan
        side = np.arange(-plan.margin, plan.core + plan.margin)
        offsets = np.arange(-plan.context, plan.context + 1)
        plane = windows[:, 0, None, None, None] + offsets[:, None, None]
        row = windows[:, 1, None, None, None] * plan.core + side[:, None]
        column = windows[:, 2, None, None, None] * plan.core + side
        return normalise(lattice.sample(raw, read, plane, row, column), self.normalisation)

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of the classes in the cores of a batch."""
        plan, n = self.plan, len(images)
        batch = torch.zeros(plan.batch, *images.shape[1:])
        batch[:n] = torch.from_numpy(images)
        logits = self.network(batch)[:n]
        if not bool(torch.isfinite(logits).all()):
            raise DataError(
                f"the network gave {int((~torch.isfinite(logits)).sum())} NaN or infinite values. "
                "Try precision=float32; if that does not help, train again with a lower rate."
            )
        probs = logits.float().softmax(1)[:, 1:]
        cut = slice(plan.margin, plan.margin + plan.core)
        found: NDArray[np.float32] = probs[:, :, cut, cut].numpy()
        return found


@dataclass(frozen=True)
class _Taps:
    """The eight pixels around each of some voxels, as places in the cores of windows."""

    windows: Ints
    """Windows (plane, row, column) that hold any of them, ascending, (n, 3)."""
    places: list[tuple[Ints, Ints, Ints]]
    """Window, row and column within its core, of each voxel, per tap."""
    shares: list[NDArray[np.float32]]

    @classmethod
    def of(
        cls, lattice: Lattice, voxels: Voxels, below: Ints, height: NDArray[np.float64], core: int
    ) -> _Taps:
        """Taps of voxels that lie `height` planes up, between plane `below` and the next."""
        row, column = (lattice.pixels_of(voxels, along) for along in (1, 2))
        corner = [np.floor(v).astype(np.int64) for v in (row, column)]
        part = [
            (v - b).astype(np.float32)
            for v, b in zip((height, row, column), (below, *corner), strict=True)
        ]
        pixels, shares = [], []
        for k, i, j in CORNERS:
            shares.append(corner_share(part, (k, i, j)))
            pixels.append((below + k, corner[0] + i, corner[1] + j))
        return cls._numbered(pixels, shares, core)

    @classmethod
    def _numbered(
        cls, pixels: list[Voxels], shares: list[NDArray[np.float32]], core: int
    ) -> _Taps:
        """Taps by the windows that hold them; pixels without weight need none."""
        owners = [(plane, row // core, column // core) for plane, row, column in pixels]
        low = np.array([min(int(o[a].min()) for o in owners) for a in range(3)])
        high = np.array([max(int(o[a].max()) for o in owners) for a in range(3)])
        needed = np.zeros(high - low + 1, bool)
        for owner, share in zip(owners, shares, strict=True):
            at = tuple((o - a)[share > 0] for o, a in zip(owner, low, strict=True))
            needed[at] = True
        numbers = np.cumsum(needed.ravel()).reshape(needed.shape) - 1
        places = []
        for owner, (_, row, column) in zip(owners, pixels, strict=True):
            number = numbers[tuple(o - a for o, a in zip(owner, low, strict=True))]
            places.append((np.maximum(number, 0), row % core, column % core))
        return cls(np.argwhere(needed) + low, places, shares)

    def gather(self, store: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolated values (classes, n) from the cores of `windows`."""
        total = np.zeros((store.shape[1], len(self.shares[0])), np.float32)
        for (window, row, column), share in zip(self.places, self.shares, strict=True):
            total += store[window, :, row, column].T * share
        return total


def near_border(
    labels: NDArray[Any], read: Box, write: Box, *, plan: ObliquePlan
) -> Mask | None:
    """Voxels of `write` within ``plan.within_nm`` of the border of labels; None where all are.

    Parameters
    ----------
    labels
        Voxels of the box `read`, 0 outside of the objects.
    """
    if plan.within_nm is None:
        return None
    low, high = plan.within_nm
    # Farther than asked for is as far as the next voxel: the cap itself is never in the range.
    cap = max(abs(low), abs(high)) + max(plan.spacing)
    # Windows see farther than that: only the border that may be near is looked for.
    near = write.grow([math.ceil(cap / s) + 1 for s in plan.spacing]).intersect(read)
    signed = signed_distance(
        labels[near.relative_to(read).slices], max_nm=cap, spacing=plan.spacing
    )
    found: Mask = ((signed >= low) & (signed <= high))[write.relative_to(near).slices]
    return found
