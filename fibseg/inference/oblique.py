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

PIECE = 2**18
"""Voxels whose taps are held at once."""

Places = tuple[Ints, Ints, Ints]


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
        out = np.zeros((self.n_classes, write.size), np.uint8)
        voxels = np.arange(write.size) if wanted is None else np.flatnonzero(wanted)
        if len(voxels):
            probs = self._fused(raw, read, _Voxels(write, voxels))
            probs *= np.float32(255)
            probs += np.float32(0.5)
            out[:, voxels] = probs.astype(np.uint8)
        return tuple(out.reshape(-1, *write.shape))

    def _fused(self, raw: NDArray[Any], read: Box, voxels: _Voxels) -> NDArray[np.float32]:
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
        self, lattice: Lattice, raw: NDArray[Any], read: Box, voxels: _Voxels
    ) -> NDArray[np.float32]:
        """Probabilities (classes, n) of voxels along one orientation."""
        probs = np.zeros((self.n_classes, len(voxels)), np.float32)
        below = np.concatenate([
            np.floor(lattice.pixels_of(voxels.places(piece), 0)).astype(np.int32)
            for piece in _pieces(np.arange(len(voxels)))
        ])
        for first in range(int(below.min()), int(below.max()) + 1, SLAB):
            chosen = np.flatnonzero((below >= first) & (below < first + SLAB))
            if len(chosen):
                self._slab(lattice, raw, read, voxels, chosen, probs)
        return probs

    def _slab(
        self, lattice: Lattice, raw: NDArray[Any], read: Box, voxels: _Voxels, chosen: Ints,
        probs: NDArray[np.float32],
    ) -> None:
        """Fill in probabilities of chosen voxels, whose planes are held at once."""

        def taps(piece: Ints) -> _Taps:
            """Taps of some voxels."""
            return _Taps.of(lattice, voxels.places(piece), self.plan.core)

        # Taps take some 100 bytes a voxel: they are found twice, rather than held for all.
        pieces = _pieces(chosen)
        seen = [taps(piece).windows for piece in pieces]
        windows, number = np.unique(np.concatenate(seen), axis=0, return_inverse=True)
        store = self._windows(lattice, raw, read, windows)
        own = np.split(number.reshape(-1), np.cumsum([len(part) for part in seen])[:-1])
        for piece, numbers in zip(pieces, own, strict=True):
            probs[:, piece] = taps(piece).gather(store, numbers)

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
class _Voxels:
    """Some voxels of a box, by their places in C order."""

    box: Box
    flat: Ints

    def __len__(self) -> int:
        return len(self.flat)

    def places(self, numbers: Ints) -> Places:
        """Where voxels of these numbers lie in the volume."""
        inside = np.unravel_index(self.flat[numbers], self.box.shape)
        z, y, x = (i + start for i, start in zip(inside, self.box.start, strict=True))
        return z, y, x


def _pieces(numbers: Ints) -> list[Ints]:
    return np.array_split(numbers, max(1, math.ceil(len(numbers) / PIECE)))


@dataclass(frozen=True)
class _Taps:
    """The eight pixels around each of some voxels, as places in the cores of windows."""

    windows: Ints
    """Windows (plane, row, column) that hold any of them, ascending, (n, 3)."""
    places: list[Places]
    """Window, row and column within its core, of each voxel, per tap."""
    shares: list[NDArray[np.float32]]

    @classmethod
    def of(cls, lattice: Lattice, voxels: Places, core: int) -> _Taps:
        """Taps of voxels; those without a share, as where pixels are voxels, are left out."""
        places = [lattice.pixels_of(voxels, along) for along in range(3)]
        below = [np.floor(v).astype(np.int64) for v in places]
        part = [(v - b).astype(np.float32) for v, b in zip(places, below, strict=True)]
        pixels, shares = [], []
        for corner in CORNERS:
            share = corner_share(part, corner)
            if share.any():
                shares.append(share)
                plane, row, column = (b + c for b, c in zip(below, corner, strict=True))
                pixels.append((plane, row, column))
        return cls._numbered(pixels, shares, core)

    @classmethod
    def _numbered(
        cls, pixels: list[Places], shares: list[NDArray[np.float32]], core: int
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

    def gather(self, store: NDArray[np.float32], numbers: Ints) -> NDArray[np.float32]:
        """Interpolated values (classes, n) from the cores of `windows`, which stand there."""
        total = np.zeros((store.shape[1], len(self.shares[0])), np.float32)
        for (window, row, column), share in zip(self.places, self.shares, strict=True):
            total += store[numbers[window], :, row, column].T * share
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
    cap = max(abs(low or 0), abs(high)) + max(plan.spacing)
    # Windows see farther than that: only the border that may be near is looked for.
    near = write.grow([math.ceil(cap / s) + 1 for s in plan.spacing]).intersect(read)
    signed = signed_distance(
        labels[near.relative_to(read).slices], max_nm=cap, spacing=plan.spacing
    )
    wanted = signed <= high
    if low is not None:
        wanted &= signed >= low
    found: Mask = wanted[write.relative_to(near).slices]
    return found
