"""Sparse painting of known truth: parts of every tenth plane, the way a person paints."""

from __future__ import annotations

from collections.abc import Mapping

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fibseg.errors import UsageError
from fibseg.geometry import connected
from fibseg.types import Labels

BACKGROUND, FIRST_CLASS = 1, 2
SLIP_PIXELS = 4
Plane = NDArray[np.bool_]


def sparse_annotation(
    labels: Labels | Mapping[str, Labels],
    *,
    every: int = 10,
    fraction: float = 0.27,
    lookalikes: Labels | None = None,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Annotation (z, y, x) uint8: 0 unlabelled, 1 background, 2 and up the classes.

    On every `every`-th plane a person surrounds some objects with their background, paints over a
    few lookalikes as background, and adds patches of nothing in particular. Inside the painted
    parts the truth is copied exactly.

    Parameters
    ----------
    labels
        Truth, not 0 inside; a mapping of several gives classes 2, 3, … in its order, a later
        one over an earlier one.
    every
        Distance between annotated planes; the first is half of it.
    fraction
        Painted part of an annotated plane, within about 0.05.
    lookalikes
        Where background looks like the class: painted more often than other background.
    seed
        The same seed gives the same painting.

    Raises
    ------
    UsageError
        If `every` or `fraction` cannot be meant, or shapes differ.
    """
    masks = list(labels.values()) if isinstance(labels, Mapping) else [labels]
    extra = [] if lookalikes is None else [lookalikes]
    _check(masks + extra, every, fraction)
    shape = masks[0].shape
    out = np.zeros(shape, np.uint8)
    for z in range(min(every // 2, shape[0] - 1), shape[0], every):
        rng = np.random.default_rng([seed, z])
        truth = np.full(shape[1:], BACKGROUND, np.uint8)
        for number, mask in enumerate(masks, start=FIRST_CLASS):
            truth[mask[z] != 0] = number
        alike = np.zeros(shape[1:], bool) if lookalikes is None else lookalikes[z] != 0
        painted = _brush(truth, alike & (truth == BACKGROUND), fraction, rng)
        painted &= ~_slips(truth, painted)
        out[z][painted] = truth[painted]
    return out


def _check(masks: list[Labels], every: int, fraction: float) -> None:
    """Refuse what cannot be painted."""
    shapes = {m.shape for m in masks}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3:
        raise UsageError(f"The masks have the shapes {sorted(shapes)}. Give masks of one 3D shape.")
    if every < 1 or not 0 < fraction <= 1:
        raise UsageError(
            f"every={every} and fraction={fraction} cannot be painted. "
            "Use e.g. every=10 fraction=0.27."
        )


def _brush(
    truth: NDArray[np.uint8], alike: Plane, fraction: float, rng: np.random.Generator
) -> Plane:
    """Which voxels of one plane are painted, about `fraction` of them."""
    shake = gaussian_filter(rng.standard_normal(truth.shape), 3.0, mode="wrap")
    shake *= 2.5 / max(float(shake.std()), 1e-9)
    painted = np.zeros(truth.shape, bool)
    wanted = truth.size * fraction * rng.uniform(0.88, 1.05)
    small = _small_objects(truth)
    # The turns of the brush: mostly objects with what surrounds them, then lookalikes and plain
    # background.
    turns: list[list[Plane] | Plane | str] = [
        small, "outline", alike, "plain", small, "inside", "plain", alike,
    ]  # fmt: skip
    for turn in range(400):
        left = wanted - np.count_nonzero(painted)
        if left <= 0:
            break
        what = turns[turn % len(turns)]
        if isinstance(what, list):
            seed = what.pop(int(rng.integers(len(what)))) if what else None
        elif isinstance(what, str):
            seed = _STROKES[what](truth, painted, rng)
        else:
            seed = _spot(what & ~painted, rng)
        if seed is not None:
            # The last strokes get thinner, so that the painted part ends near what is wanted.
            widest = max(2.5, np.sqrt(left / np.pi))
            painted |= _around(seed, min(float(rng.uniform(5, 13)), widest), shake)
    return painted


def _slips(truth: NDArray[np.uint8], painted: Plane) -> Plane:
    """Painted bits of a few pixels of a larger object: nobody leaves those on purpose."""
    objects = np.where(truth > BACKGROUND, truth, 0)
    numbers, _ = connected(objects, connectivity=8)
    pieces, n = connected(np.where(painted, objects, 0), connectivity=8)
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    whole = np.bincount(numbers.ravel())[numbers]
    return np.asarray((pieces > 0) & (sizes[pieces] < np.minimum(SLIP_PIXELS, whole)))


def _plain(truth: NDArray[np.uint8], painted: Plane, rng: np.random.Generator) -> Plane | None:
    """A voxel of background that is not painted yet."""
    return _spot((truth == BACKGROUND) & ~painted, rng)


def _inside(truth: NDArray[np.uint8], painted: Plane, rng: np.random.Generator) -> Plane | None:
    """An unpainted voxel of one of the classes that have any, each with the same chance."""
    left = np.where(painted, 0, truth)
    classes = np.unique(left[left > BACKGROUND])
    return _spot(left == rng.choice(classes), rng) if classes.size else None


def _small_objects(truth: NDArray[np.uint8]) -> list[Plane]:
    """Each object that a person would go around as a whole."""
    objects = np.where(truth > BACKGROUND, truth, 0)
    numbers, _ = connected(objects, connectivity=8)
    sizes = np.bincount(numbers.ravel())
    largest = max(64, truth.size // 40)
    return [numbers == i for i in range(1, len(sizes)) if sizes[i] <= largest]


def _outline(truth: NDArray[np.uint8], painted: Plane, rng: np.random.Generator) -> Plane | None:
    """An unpainted piece of the outline of an object, about 25 pixels long, or None."""
    objects = truth > BACKGROUND
    change = truth != np.roll(truth, 1, axis=0)
    change |= truth != np.roll(truth, 1, axis=1)
    rows, columns = np.nonzero(change & objects & ~painted)
    if not rows.size:
        return _spot(objects & ~painted, rng)
    i = int(rng.integers(rows.size))
    near = np.hypot(rows - rows[i], columns - columns[i]) < 13
    seed = np.zeros(truth.shape, bool)
    seed[rows[near], columns[near]] = True
    return seed


_STROKES = {"outline": _outline, "plain": _plain, "inside": _inside}


def _spot(mask: Plane, rng: np.random.Generator) -> Plane | None:
    """One voxel of `mask`; None where it is empty."""
    where = np.flatnonzero(mask)
    if not where.size:
        return None
    seed = np.zeros(mask.size, bool)
    seed[where[rng.integers(where.size)]] = True
    return seed.reshape(mask.shape)


def _around(seed: Plane, margin: float, shake: NDArray[np.float64]) -> Plane:
    """Voxels within `margin` of `seed`, with a hand-drawn outline."""
    away = edt.edt(~seed, black_border=False, parallel=1)
    return np.asarray((away < margin + shake) | seed)
