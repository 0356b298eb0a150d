"""What is held out of training for the test: blocks of planes, or painted regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.data.plane_blocks import best_block, labelled_counts, near_planes
from fibseg.data.planes import PlaneStack
from fibseg.data.reserved import Reserved, named_rows, set_aside
from fibseg.data.sparse import SparseData
from fibseg.errors import DataError, UsageError

Rectangle = tuple[int, int, int, int]
CELL = "cell"
"""Kind of a split that leaves out a whole store."""


@dataclass(frozen=True)
class HeldOut:
    """A plane of a store that is tested, or parts of it.

    Parameters
    ----------
    store
        Number of the store.
    z
        Plane number in the store.
    boxes
        Parts (y start, x start, y stop, x stop) in pixels of level 0; None for the whole plane.
    """

    store: int
    z: int
    boxes: tuple[Rectangle, ...] | None = None


@dataclass(frozen=True)
class Split:
    """Which planes are trained on and which are held out."""

    kind: str
    train: tuple[tuple[int, ...], ...]
    """Plane numbers with a label left, per store."""
    held_out: tuple[HeldOut, ...]
    annotation: tuple[NDArray[np.uint8], ...]
    """What is painted in each held-out plane or its parts, working pixels, else 0; (y, x)."""
    reserved: Reserved = ()
    """Planes per store that are neither."""


def split_planes(stacks: Sequence[PlaneStack], classes: dict[str, int], data: SparseData,
                 *, context: int = 0) -> Split:
    """Return what is held out; it is set to 0 (unlabelled) in the stacks' annotation.

    Parameters
    ----------
    stacks
        All stores.
    classes
        Value of each class in the annotation.
    data
        Settings `split`, `folds`, `fold`, `held_out`, `leave_out`, `gap_nm`, `reserved`.
    context
        Neighbouring planes that are channels: they widen the gap.

    Raises
    ------
    UsageError
        If `leave_out` names none of several stores.
    DataError
        If a value is no class, a class is painted nowhere, or cannot be in both parts.
    """
    values = {"background": 1, **classes}
    _refuse_unknown(stacks, values)
    counts = [labelled_counts(s.annotation, list(values.values())) for s in stacks]
    total = np.sum([c.sum(0) for c in counts], 0)
    for (name, value), n in zip(values.items(), total, strict=True):
        if n == 0:
            raise DataError(
                f"{name} (value {value}) is painted on no plane of "
                f"{', '.join(s.name for s in stacks)}. Paint some of it and import again."
            )
    reserved = set_aside(stacks, data, context=context)
    counts = [labelled_counts(s.annotation, list(values.values())) for s in stacks]
    before = [s.annotation for s in stacks] if data.split == "none" else [
        s.annotation.copy() for s in stacks
    ]
    kind = data.split
    held_out: tuple[HeldOut, ...] = ()
    if data.leave_out is not None:
        kind, held_out = CELL, hold_cell(stacks, counts, list(values), data.leave_out)
    elif data.split == "planes":
        held_out = _hold_planes(stacks, counts, list(values), data, context)
    elif data.split == "boxes":
        held_out = _hold_boxes(stacks, list(values.values()), list(values), data)
    kept = []
    for held in held_out:
        row = stacks[held.store].z.index(held.z)
        kept.append(before[held.store][row] - stacks[held.store].annotation[row])
    if data.fraction < 1:
        _thin(stacks, list(values), list(values.values()), data.fraction)
    train = tuple(
        tuple(z for z, plane in zip(s.z, s.annotation, strict=True) if plane.any()) for s in stacks
    )
    return Split(kind, train, held_out, tuple(kept), reserved)


def _thin(
    stacks: Sequence[PlaneStack], names: list[str], values: list[int], fraction: float
) -> None:
    """Set all but a share of the planes of each store to 0; what is held out stays as it is."""
    for stack in stacks:
        rows = [row for row, plane in enumerate(stack.annotation) if plane.any()]
        n_kept = max(1, round(fraction * len(rows)))
        for place in evenly(len(rows))[n_kept:]:
            stack.annotation[rows[place]] = 0
    left = np.sum([labelled_counts(s.annotation, values).sum(0) for s in stacks], 0)
    gone = [name for name, n in zip(names, left, strict=True) if n == 0]
    if gone:
        raise DataError(
            f"data.fraction={fraction:g} leaves no plane on which {', '.join(gone)} is painted. "
            "Use a larger share."
        )


def evenly(n: int) -> list[int]:
    """Numbers 0 to n - 1 in such an order that any first few are spread over all.

    The middle first, then always the one farthest from all before it (Gonzalez 1985).

    >>> evenly(5)
    [2, 0, 4, 1, 3]
    """
    order = [n // 2] if n else []
    away = np.abs(np.arange(n) - n // 2)
    while len(order) < n:
        order.append(int(np.argmax(away)))
        away = np.minimum(away, np.abs(np.arange(n) - order[-1]))
    return order


def _refuse_unknown(stacks: Sequence[PlaneStack], values: dict[str, int]) -> None:
    """Refuse painting of a value that is no class: another program may have edited the store."""
    highest = max(values.values())
    for stack in stacks:
        for z, plane in zip(stack.z, stack.annotation, strict=True):
            if plane.size and plane.max() > highest:
                known = ", ".join(f"{v} {n}" for n, v in values.items())
                raise DataError(
                    f"Plane {z} of the annotation of {stack.name} has the value {plane.max()}; "
                    f"known are 0 unlabelled, {known}. Correct it, or import it with classes=."
                )


def _hold_planes(
    stacks: Sequence[PlaneStack], counts: list[NDArray[np.int64]], names: list[str],
    data: SparseData, context: int,
) -> tuple[HeldOut, ...]:
    """Contiguous blocks of annotated planes; all stores together if none can be cut alone."""
    named: Any = data.held_out  # planes of each store
    held = named_rows(stacks, named, "held_out")
    for store, count in enumerate(counts if named is None else []):
        block = best_block(count, data, [0] * len(count))
        held += [(store, row) for row in block]
    if not held:
        where = [(store, row) for store, c in enumerate(counts) for row in range(len(c))]
        block = best_block(np.concatenate(counts), data, [store for store, _ in where])
        held = [where[i] for i in block]
    test = np.sum([counts[s][r] for s, r in held], 0) if held else np.zeros(len(names), int)
    dropped = near_planes(stacks, held, data.gap_nm, context)
    left = np.sum([c.sum(0) for c in counts], 0) - test - np.sum(
        [counts[s][r] for s, r in dropped], 0, dtype=np.int64
    )
    short = [n for n, a, b in zip(names, np.broadcast_to(test, len(names)), left, strict=True)
             if a == 0 or b <= 0]
    if short:
        n_planes = sum(int(c.any(1).sum()) for c in counts)
        raise DataError(
            f"{n_planes} annotated plane{'s' * (n_planes != 1)} cannot be split into training and "
            f"held-out planes {data.gap_nm:g} nm apart with {', '.join(short)} in both. "
            "Use data.split=boxes to hold out painted regions, or data.split=none."
        )
    for store, row in (*held, *dropped):
        stacks[store].annotation[row] = 0
    return tuple(HeldOut(store, stacks[store].z[row]) for store, row in sorted(held))


def hold_cell(
    stacks: Sequence[PlaneStack], counts: list[NDArray[np.int64]], names: list[str], left_out: str
) -> tuple[HeldOut, ...]:
    """All painted planes of a store, which are set to 0.

    Parameters
    ----------
    stacks, counts
        All stores, and the labelled pixels of each plane and class.
    names
        Of background and classes.
    left_out
        Name of the store.

    Raises
    ------
    UsageError
        If there is no such store, or no other.
    DataError
        If a class is painted in that store alone.
    """
    stores = [s.name for s in stacks]
    if left_out not in stores or len(stores) < 2:
        raise UsageError(
            f"data.leave_out={left_out} is not one of several volumes; given are "
            f"{', '.join(stores)}. Name one of two or more."
        )
    store = stores.index(left_out)
    left = np.sum([c.sum(0) for k, c in enumerate(counts) if k != store], 0)
    gone = [name for name, n in zip(names, left, strict=True) if n == 0]
    if gone:
        raise DataError(
            f"Without {left_out}, {', '.join(gone)} is painted in none of the volumes. Paint some "
            "of it in another, or leave another out."
        )
    stack = stacks[store]
    painted = [row for row, plane in enumerate(stack.annotation) if plane.any()]
    stack.annotation[:] = 0
    return tuple(HeldOut(store, stack.z[row]) for row in painted)


def _hold_boxes(
    stacks: Sequence[PlaneStack], values: list[int], names: list[str], data: SparseData
) -> tuple[HeldOut, ...]:
    """Bounding boxes of connected painted regions, about 1 / folds of the painted pixels."""
    regions = [(s, box) for s, stack in enumerate(stacks) for box in _regions(stack)]
    counts = np.array([
        np.bincount(stacks[s].annotation[box].ravel(), minlength=256)[values] for s, box in regions
    ])
    chosen = _choose(counts, data)
    test = counts[chosen].sum(0)
    short = [n for n, a, b in zip(names, test, counts.sum(0) - test, strict=True)
             if a == 0 or b == 0]
    if short:
        raise DataError(
            f"{len(regions)} painted region{'s' * (len(regions) != 1)} cannot be split into "
            f"training and held-out ones with {', '.join(short)} in both. Paint more separate "
            "regions, or use data.split=none."
        )
    boxes: dict[tuple[int, int], list[Rectangle]] = {}
    for i in chosen:
        store, (zs, ys, xs) = regions[i]
        stack = stacks[store]
        stack.annotation[zs, ys, xs] = 0
        for row in range(zs.start, zs.stop):
            boxes.setdefault((store, stack.z[row]), []).append(_level_0(stack, ys, xs))
    return tuple(HeldOut(s, z, tuple(sorted(b))) for (s, z), b in sorted(boxes.items()))


def _choose(counts: NDArray[np.int64], data: SparseData) -> list[int]:
    """Regions to hold out: the fold's own, or greedily those that bring each class to its share."""
    if data.fold is not None:
        return list(range(data.fold, len(counts), data.folds))
    total = np.maximum(counts.sum(0), 1)
    aim, chosen = 1 / data.folds, [0] * 0
    share = np.zeros(counts.shape[1])
    for _ in range(len(counts) - 1):
        gain = [
            np.inf if i in chosen else float(np.abs(share + c / total - aim).sum())
            for i, c in enumerate(counts)
        ]
        best = int(np.argmin(gain))
        # Go on while it comes nearer, or while a class is still missing from the held-out part.
        if chosen and gain[best] >= np.abs(share - aim).sum() and (share > 0).all():
            break
        chosen.append(best)
        share = share + counts[best] / total
    return sorted(chosen)


def _regions(stack: PlaneStack) -> list[tuple[slice, slice, slice]]:
    """Bounding boxes of connected painted regions; planes that follow each other connect."""
    boxes: list[tuple[slice, slice, slice]] = []
    starts = [i for i, z in enumerate(stack.z) if i == 0 or z != stack.z[i - 1] + 1]
    for start, stop in zip(starts, [*starts[1:], len(stack.z)], strict=True):
        components, _ = ndimage.label(stack.annotation[start:stop] > 0, np.ones((3, 3, 3)))
        for zs, ys, xs in ndimage.find_objects(components):
            boxes.append((slice(zs.start + start, zs.stop + start), ys, xs))
    return boxes


def _level_0(stack: PlaneStack, ys: slice, xs: slice) -> Rectangle:
    """Working pixels of a box as pixels of level 0."""
    fy, fx = (w / s for w, s in zip(stack.working[1:], stack.spacing[1:], strict=True))
    _, height, width = stack.shape
    return (
        round(ys.start * fy), round(xs.start * fx),
        min(height, round(ys.stop * fy)), min(width, round(xs.stop * fx)),
    )
