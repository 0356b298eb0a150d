"""Labelled voxels to draw from: each class and each cell as likely, whatever its share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError


class LabelledRows:
    """Rows with a label of several annotations, and how many voxels of each channel they have.

    Parameters
    ----------
    annotations
        Each (n, y, x), uint8: 0 unlabelled, 1 background, 2… classes.
    n_channels
        Background and classes.
    names
        Of the annotations, for errors.
    balance
        How often each annotation, that is each cell, is drawn from: ``"cell"``, as often as any
        other that has the class; ``"planes"``, by its number of planes with the class;
        ``"voxels"``, by its number of voxels of the class.

    Raises
    ------
    DataError
        If background or a class has no voxel.
    """

    def __init__(
        self, annotations: Sequence[NDArray[np.uint8]], n_channels: int, *, names: Sequence[str],
        balance: str = "cell",
    ) -> None:
        self.annotations, self.n_channels = annotations, n_channels
        self.where, counts = self._counted()
        """(annotation, plane, y) of every row."""
        self._cumulative = np.concatenate([np.zeros((1, n_channels), np.int64), counts.cumsum(0)])
        # Rows of annotation k are those from first[k] to first[k + 1].
        self._first = np.searchsorted(self.where[:, 0], np.arange(len(annotations) + 1))
        self._often = self._how_often(balance, counts)
        # Planes without a label are held out: nothing of them is shown.
        self._planes = np.unique(self.where[:, :2], axis=0)
        self._first_plane = np.searchsorted(self._planes[:, 0], np.arange(len(annotations) + 1))
        self._by_cell = balance == "cell"
        n = counts.sum(axis=0)
        if (n == 0).any():
            raise DataError(
                f"No voxel of value {int(np.argmin(n)) + 1} is left to train on in "
                f"{', '.join(names)}. Paint or label more, or use another split."
            )

    def draw(
        self, random: np.random.Generator, *, foreground: float
    ) -> tuple[int, tuple[int, int, int]]:
        """Annotation and voxel (plane, y, x): of a class with that probability, else background."""
        is_class = random.random() < foreground
        channel = int(random.integers(1, self.n_channels)) if is_class else 0
        cumulative = self._cumulative[:, channel]
        low, high = self._chosen(random, self._often[:, channel], self._first)
        drawn = random.integers(cumulative[low], cumulative[high])
        row = int(np.searchsorted(cumulative, drawn, side="right")) - 1
        number, plane, y = (int(v) for v in self.where[row])
        x = np.flatnonzero(self.annotations[number][plane, y] == channel + 1)
        return number, (plane, y, int(x[random.integers(len(x))]))

    def draw_plane(self, random: np.random.Generator) -> tuple[int, int]:
        """Annotation and plane, any with a label: of each cell as often, if cells are balanced."""
        n = np.diff(self._first_plane)
        often = np.sign(n) if self._by_cell else n
        low, high = self._chosen(random, often, self._first_plane)
        number, plane = (int(v) for v in self._planes[random.integers(low, high)])
        return number, plane

    def _chosen(
        self, random: np.random.Generator, often: NDArray[np.int64], first: NDArray[np.int64]
    ) -> tuple[int, int]:
        """First and last row + 1 of an annotation drawn by how often it should come."""
        # A single cell costs no draw, so that its patches are what they were without balance.
        there = np.flatnonzero(often)
        number = int(there[0])
        if len(there) > 1:
            drawn = random.integers(often.sum())
            number = int(np.searchsorted(often.cumsum(), drawn, side="right"))
        return int(first[number]), int(first[number + 1])

    def _how_often(self, balance: str, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Weight of each annotation for each channel, shape (annotations, channels)."""
        often = np.zeros((len(self.annotations), self.n_channels), np.int64)
        for k in range(len(self.annotations)):
            own = slice(self._first[k], self._first[k + 1])
            for c in range(self.n_channels):
                n_planes = len(np.unique(self.where[own, 1][counts[own, c] > 0]))
                n_voxels = int(counts[own, c].sum())
                ways = {"cell": n_planes > 0, "planes": n_planes, "voxels": n_voxels}
                often[k, c] = ways[balance]
        return often

    def _counted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows with a label, and their number of voxels of each channel."""
        where = [np.zeros((0, 3), np.int64)]
        counts = [np.zeros((0, self.n_channels), np.int64)]
        for i, annotation in enumerate(self.annotations):
            for j, plane in enumerate(annotation):
                n = np.stack([(plane == c + 1).sum(1) for c in range(self.n_channels)], 1)
                y = np.flatnonzero(n.any(1))
                where.append(np.stack([np.full_like(y, i), np.full_like(y, j), y], 1))
                counts.append(n[y])
        return np.concatenate(where), np.concatenate(counts)
