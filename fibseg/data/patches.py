"""Batches as a function of (seed, step): where patches lie, cut out with room to turn."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from fibseg.data.augment import crop_half
from fibseg.data.labelled import LabelledRows
from fibseg.data.normalise import normalise
from fibseg.data.planes import PlaneStack
from fibseg.data.share import Share
from fibseg.data.sparse import SparseData

JITTER = 0.25
"""A patch centre is at most this share of a patch away from the voxel it was drawn for."""

WHERE, TURN, DROPOUT = 1, 2, 3
"""The purposes that random numbers are drawn for, part of every key."""

ALL = Share()
"""Of the only process."""


Crop = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]
"""Image (c, s, s), annotation and inside (s, s)."""


class Batch(NamedTuple):
    """Crops of one step, before augmentation."""

    image: Tensor
    """Normalised, shape (b, c, s, s)."""
    annotation: Tensor
    """0 where unlabelled or outside of the plane, shape (b, s, s), uint8."""
    inside: Tensor
    """1 inside of the plane, shape (b, s, s), uint8."""
    step: int
    seconds: float
    """Time that it took to cut the crops."""


def key(seed: int, step: int, slot: int, purpose: int) -> int:
    """Seed of the random numbers of one purpose, slot and step, below 2^63."""
    state = np.random.SeedSequence((seed, step, slot, purpose)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


class Patches:
    """Draws and cuts the patches of any step.

    Parameters
    ----------
    stacks
        Annotated planes, held-out parts set to 0.
    n_channels
        Background and classes.
    data
        Patch, batch, balance.
    seed
        Of the training.
    share
        Of this process in every batch.

    Raises
    ------
    DataError
        If a class has no voxel to train on.
    """

    def __init__(
        self, stacks: Sequence[PlaneStack], *, n_channels: int, data: SparseData, seed: int,
        share: Share = ALL,
    ) -> None:
        self.stacks, self.data, self.seed, self.share = stacks, data, seed, share
        self.half = crop_half(data.patch)
        self.rows = LabelledRows(
            [s.annotation for s in stacks], n_channels, names=[s.name for s in stacks],
            balance=data.balance,
        )

    def centres(self, step: int) -> list[tuple[int, int, int, int]]:
        """Where the patches of a step lie: (stack, annotated plane, y, x) each."""
        slots = self.share.rows(self.data.batch + self.data.unlabelled)
        return [self._centre(step, slot, labelled=slot < self.data.batch) for slot in slots]

    def batch(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
        """Crops of a step: image (b, c, s, s), annotation and inside (b, s, s)."""
        crops = [self._crop(*centre) for centre in self.centres(step)]
        image, annotation, inside = (np.stack(part) for part in zip(*crops, strict=True))
        return image, annotation, inside

    def _centre(self, step: int, slot: int, *, labelled: bool) -> tuple[int, int, int, int]:
        """Place of one patch."""
        random = np.random.default_rng(key(self.seed, step, slot, WHERE))
        if labelled:
            stack, (plane, y, x) = self.rows.draw(random, foreground=self.data.foreground)
        else:
            stack, plane = self.rows.draw_plane(random)
            y, x = (int(random.integers(n)) for n in self.stacks[stack].annotation.shape[1:])
        reach = self.data.patch * JITTER
        dy, dx = (round(d) for d in random.uniform(-reach, reach, 2))
        return stack, plane, y + dy, x + dx

    def _crop(self, stack: int, plane: int, y: int, x: int) -> Crop:
        """One crop; beyond the plane the image is mirrored and the annotation 0."""
        s = self.stacks[stack]
        height, width = s.annotation.shape[1:]
        ys, xs = np.arange(y - self.half, y + self.half), np.arange(x - self.half, x + self.half)
        within_y, within_x = (ys >= 0) & (ys < height), (xs >= 0) & (xs < width)
        inside = (within_y[:, None] & within_x[None, :]).astype(np.uint8)
        ys, xs = _mirror(ys, height), _mirror(xs, width)
        image = np.stack([_take(s.image[row], ys, xs) for row in s.rows[plane]])
        annotation = _take(s.annotation[plane], ys, xs) * inside
        return normalise(image, s.normalisation), annotation, inside


class Batches(Protocol):
    """Anything that makes the batch of a step."""

    def batch(self, step: int) -> Crop:
        """Crops of a step: image (b, c, s, s), annotation and inside (b, s, s)."""
        ...


class Steps(IterableDataset[Batch]):
    """Batches of step `start`, `start` + 1 and so on, without end."""

    def __init__(self, patches: Batches, *, start: int) -> None:
        self.patches, self.start = patches, start

    def __iter__(self) -> Iterator[Batch]:
        """Yield one batch per step."""
        for step in itertools.count(self.start):
            begin = time.perf_counter()
            image, annotation, inside = (torch.from_numpy(a) for a in self.patches.batch(step))
            yield Batch(image, annotation, inside, step, time.perf_counter() - begin)


def _mirror(index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Indices reflected into 0 to n - 1."""
    if n == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * n - 2)
    return np.where(index >= n, 2 * n - 2 - index, index)


def _take(plane: NDArray[Any], ys: NDArray[np.int64], xs: NDArray[np.int64]) -> NDArray[Any]:
    """Rows and columns of a plane."""
    low = int(xs.min())
    return plane[ys, low : int(xs.max()) + 1][:, xs - low]
