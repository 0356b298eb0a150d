"""Labelled voxels to draw from: each class as likely as another, whatever its share."""

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

    Raises
    ------
    DataError
        If background or a class has no voxel.
    """

    def __init__(
        self, annotations: Sequence[NDArray[np.uint8]], n_channels: int, *, names: Sequence[str]
    ) -> None:
        self.annotations, self.n_channels = annotations, n_channels
        self.where, counts = self._counted()
        """(annotation, plane, y) of every row."""
        self._cumulative = np.cumsum(counts, axis=0)
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
        row = int(np.searchsorted(cumulative, random.integers(cumulative[-1]), side="right"))
        number, plane, y = (int(v) for v in self.where[row])
        x = np.flatnonzero(self.annotations[number][plane, y] == channel + 1)
        return number, (plane, y, int(x[random.integers(len(x))]))

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
