"""Size, place, shape and brightness of every object, from integer sums that add over blocks.

The sums are exact, so the table is the same for any blocks, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.measure import wide
from fibseg.measure.axes import AXES, PAIRS, axis_lengths
from fibseg.measure.runs import Runs, first_of_equal
from fibseg.types import Image, Labels, Shape, Spacing, Table

SLAB_VOXELS = 2**22
"""So many voxels are looked at in one go, whatever the size of a block: they fit the cache."""
_INTENSITY = {"sum_intensity": np.add, "min_intensity": np.minimum, "max_intensity": np.maximum}
_SQUARES = "sum_intensity_squared"
_RULES = {"start": np.minimum, "stop": np.maximum, "min": np.minimum, "max": np.maximum}
_SAFE = 2**62


def partial(
    labels: Labels, image: Image | None = None, *, start: Sequence[int], moments: bool = True
) -> Table:
    """Integer sums of every object in one block: voxels, coordinates, bounding box, intensities.

    Parameters
    ----------
    labels
        Numbered objects of the block, shape (z, y, x).
    image
        Intensities on the same grid, integers of at most 16 bits; None leaves them out.
    start
        Where the block begins in the volume, in voxels (z, y, x).
    moments
        Whether to sum the products of coordinates too, which the principal axes need.

    Returns
    -------
    Table
        ``label``, ``n_voxels``, ``sum_…``, ``start_…``, ``stop_…`` (half-open) per axis, the
        second moments ``sum_zz_high``, ``sum_zz_low`` … (see `fibseg.measure.wide`),
        ``sum_intensity``, ``min_intensity``, ``max_intensity`` and the squares, as the second
        moments, all int64 (``label`` as in `labels`), rows sorted by label.

    Raises
    ------
    UsageError
        If the image is of another type or shape.
    """
    check_image(labels, image)
    slabs = [
        _slab(labels[cut], None if image is None else image[cut], (start[0] + z, *start[1:]),
              moments)
        for z, cut in _slabs(labels.shape)
    ]
    return _together(slabs or [_slab(labels, image, start, moments)])


def merge(first: Table, second: Table) -> Table:
    """Sums of both blocks together."""
    return _together([first, second])


def finish(sums: Table | None, *, shape: Shape, spacing: Spacing) -> Table:
    """Table of the objects of a volume, one row each, sorted by label.

    Parameters
    ----------
    sums
        Merged `partial` of all blocks; None for an empty volume.
    shape
        Shape of the volume in voxels (z, y, x), to tell which objects touch its border.
    spacing
        Size of a voxel in nm, (z, y, x).

    Returns
    -------
    Table
        ``label``, ``n_voxels``, ``volume_um3``, ``centroid_z_um`` … (of voxel centres, the first
        voxel of the volume at 0), ``bbox_z_start``, ``bbox_z_stop`` … (voxels, half-open),
        ``touches_border`` (a face of the volume); with moments ``axis_major_um``,
        ``axis_middle_um``, ``axis_minor_um`` (see `fibseg.measure.axes`); with an image
        ``intensity_mean``, ``intensity_sd`` (of its voxels, not of a sample), ``intensity_min``,
        ``intensity_max``.
    """
    if sums is None:
        sums = partial(np.zeros((0, 0, 0), dtype=np.uint32), start=(0, 0, 0))
    n = sums["n_voxels"]
    table: Table = {
        "label": sums["label"], "n_voxels": n, "volume_um3": n * (math.prod(spacing) * 1e-9),
    }
    touches = np.zeros(len(n), dtype=bool)
    for name, size_nm in zip(AXES, spacing, strict=True):
        table[f"centroid_{name}_um"] = sums[f"sum_{name}"] / n * (size_nm * 1e-3)
    for name, length in zip(AXES, shape, strict=True):
        start, stop = sums[f"start_{name}"], sums[f"stop_{name}"]
        table[f"bbox_{name}_start"], table[f"bbox_{name}_stop"] = start, stop
        touches |= (start == 0) | (stop == length)
    table["touches_border"] = touches
    if "sum_zz_high" in sums:
        table |= axis_lengths(sums, spacing=spacing)
    if "sum_intensity" in sums:
        table["intensity_mean"] = sums["sum_intensity"] / n
        table["intensity_sd"] = _standard_deviation(sums)
        table["intensity_min"] = sums["min_intensity"]
        table["intensity_max"] = sums["max_intensity"]
    return table


def measure(
    labels: Labels, image: Image | None = None, *, moments: bool = True, spacing: Spacing
) -> Table:
    """Table of all objects of a whole volume in memory; columns of `finish`."""
    z, y, x = labels.shape
    sums = partial(labels, image, start=(0, 0, 0), moments=moments)
    return finish(sums, shape=(z, y, x), spacing=spacing)


def check_image(labels: Any, image: Any) -> None:
    """Refuse intensities without exact sums, or on another grid than the labels.

    Raises
    ------
    UsageError
        If the image, an array or None, is of another type or shape.
    """
    if image is None:
        return
    if image.dtype.kind not in "iu" or image.dtype.itemsize > 2:
        raise UsageError(
            f"intensities of type {image.dtype} have no exact sums. Give integers of 8 or 16 bits."
        )
    if tuple(image.shape) != tuple(labels.shape):
        raise UsageError(
            f"the image has shape {tuple(image.shape)} and the labels {tuple(labels.shape)}. "
            "Give one grid."
        )


def _slabs(shape: Sequence[int]) -> Iterator[tuple[int, slice]]:
    step = max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))
    for z in range(0, shape[0], step):
        yield z, slice(z, z + step)


def _slab(
    labels: Labels, image: Image | None, start: Sequence[int], moments: bool
) -> Table:
    runs = Runs.of(labels)
    n = runs.stop - runs.start
    along_x = (runs.start + runs.stop - 1) * n // 2
    first = {"z": n * runs.z, "y": n * runs.y, "x": along_x}
    here = {name: runs.total(values) for name, values in first.items()}
    sums: Table = {"label": runs.label[runs.groups], "n_voxels": runs.total(n)}
    for name, begin in zip(AXES, start, strict=True):
        sums[f"sum_{name}"] = here[name] + sums["n_voxels"] * begin
    boxes = ((runs.z, runs.z), (runs.y, runs.y), (runs.start, runs.stop - 1))
    for name, begin, (low, high) in zip(AXES, start, boxes, strict=True):
        sums[f"start_{name}"] = runs.total(low, np.minimum) + begin
        sums[f"stop_{name}"] = runs.total(high, np.maximum) + (begin + 1)
    if moments:
        products = {
            "zz": first["z"] * runs.z, "zy": first["z"] * runs.y, "zx": along_x * runs.z,
            "yy": first["y"] * runs.y, "yx": along_x * runs.y,
            "xx": _squares_below(runs.stop) - _squares_below(runs.start),
        }
        second = {pair: runs.total(values) for pair, values in products.items()}
        sums |= _moved(second, here, sums["n_voxels"], start, labels.shape)
    if image is not None:
        voxels = image.ravel()[labels.ravel() != 0]
        for name, how in _INTENSITY.items():
            sums[name] = runs.total(runs.of_voxels(voxels, how), how)
        squares = np.square(voxels, dtype=np.int64)
        # Fewer than 2³¹ voxels of 16 bits: the squares of a slab fit 63 bits.
        sums |= wide.split(_SQUARES, runs.total(runs.of_voxels(squares, np.add)))
    return sums


def _squares_below(stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of the squares of all whole numbers from 0 to below `stop`."""
    return (stop - 1) * stop * (2 * stop - 1) // 6


def _moved(
    second: Table, here: Table, n: NDArray[np.int64], start: Sequence[int],
    shape: Sequence[int],
) -> Table:
    """Second moments about the corner of the volume, from those about that of the slab."""
    farthest = max(s + length for s, length in zip(start, shape, strict=True))
    kind = np.int64 if math.prod(shape) * farthest**2 < _SAFE else object
    moved: Table = {}
    for pair in PAIRS:
        a, b = pair[0], pair[1]
        s, t = start[AXES.index(a)], start[AXES.index(b)]
        about = second[pair].astype(kind) + here[b].astype(kind) * s + here[a].astype(kind) * t
        moved |= wide.split(f"sum_{pair}", about + n.astype(kind) * (s * t))
    return moved


def _together(tables: Sequence[Table]) -> Table:
    """All rows of one label made one row."""
    if len(tables) == 1:
        return tables[0]
    label = np.concatenate([table["label"] for table in tables])
    order = np.argsort(label, kind="stable")
    label = label[order]
    groups = first_of_equal(label)
    merged: Table = {"label": label[groups]}
    for name in tables[0]:
        if name != "label":
            values = np.concatenate([table[name] for table in tables])[order]
            how = _RULES.get(name.partition("_")[0], np.add)
            merged[name] = how.reduceat(values, groups) if len(groups) else values
    for name in (*(f"sum_{pair}" for pair in PAIRS), _SQUARES):
        if f"{name}_high" in merged:
            wide.carry(name, merged)
    return merged


def _standard_deviation(sums: Table) -> NDArray[np.float64]:
    """Of the intensities of all voxels of each object; exact up to the last root."""
    n, first = sums["n_voxels"].astype(object), sums["sum_intensity"].astype(object)
    exact = (n * wide.joined(_SQUARES, sums) - first * first) / (n * n)
    return np.asarray(np.sqrt(exact.astype(np.float64)))
