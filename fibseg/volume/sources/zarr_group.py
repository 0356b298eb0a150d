"""Zarr and OME-Zarr, version 2 or 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from fibseg.errors import DataError
from fibseg.volume.sources.source import ArraySource, Source, kept_axes
from fibseg.volume.sources.units import FileSpacing, file_spacing, nm_per_unit

MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / mark).is_file() for mark in MARKS)


def open_zarr(path: Path, *, dataset: str | None) -> Source:
    """Source on a Zarr array: the largest level of an OME-Zarr, the only array, or `dataset`.

    Raises
    ------
    DataError
        For damaged metadata, a missing dataset, several arrays without a choice, channels and
        axes in another order than (z, y, x).
    """
    try:
        node = zarr.open(path, mode="r", path=dataset.strip("/") if dataset else None)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} has no readable Zarr {f'dataset {dataset!r}' if dataset else 'array'} "
            f"({error}). Check dataset= and the folder."
        ) from error
    if isinstance(node, zarr.Array):
        return _source(path, node, _spacing_above(path, dataset, node))
    multiscales = _multiscales(node)
    if multiscales:
        level = multiscales[0]["datasets"][0]["path"]
        array = node[level]
        return _source(path, array, _spacing(path, multiscales[0], level, array))
    arrays = {name: item for name, item in node.arrays() if item.ndim >= 2}
    if len(arrays) != 1:
        listed = ", ".join(f"{n} {a.shape}" for n, a in arrays.items())
        inside = listed or ", ".join(node.group_keys()) or "nothing"
        raise DataError(
            f"{path} is a Zarr group without OME metadata and without exactly one array. "
            f"Set dataset= to an array in it: {inside}."
        )
    return _source(path, next(iter(arrays.values())), None)


def _source(path: Path, array: Any, spacing: FileSpacing | None) -> Source:
    """Source on an array, plane-wise where its chunks are whole planes."""
    whole_planes = all(c >= n for c, n in zip(array.chunks[-2:], array.shape[-2:], strict=True))
    return ArraySource(path, array, spacing=spacing, plane_wise=whole_planes)


def _multiscales(group: Any) -> list[Any]:
    """The multiscales of OME-Zarr 0.5 (under "ome") or 0.4."""
    attributes = dict(group.attrs)
    found = attributes.get("ome", attributes).get("multiscales", [])
    return list(found)


def _spacing_above(path: Path, dataset: str | None, array: Any) -> FileSpacing | None:
    """Spacing of an array that was named directly, from the multiscales of its group."""
    folder, _, level = (dataset or "").strip("/").rpartition("/")
    where = path / folder if dataset else path.parent
    if not is_zarr(where):
        return None
    group = zarr.open(where, mode="r")
    if isinstance(group, zarr.Array):
        return None
    for entry in _multiscales(group):
        name = level if dataset else path.name
        if name in [d["path"] for d in entry["datasets"]]:
            return _spacing(path, entry, name, array)
    return None


def _spacing(path: Path, entry: Any, level: str, array: Any) -> FileSpacing | None:
    """Voxel size in nm of one level; refuses axes in another order."""
    axes = [{"name": a} if isinstance(a, str) else a for a in entry.get("axes", [])]
    if len(axes) != array.ndim:
        return None
    kept = kept_axes(array.shape, name=str(path))
    names = [str(axes[k]["name"]).lower() for k in kept]
    if names not in (["z", "y", "x"], ["y", "x"]):
        raise DataError(
            f"{path} has the axes {names}, but a volume has (z, y, x). Transpose it, and export "
            "one channel and one time point."
        )
    scale = [1.0] * array.ndim
    stated = False
    dataset = next(d for d in entry["datasets"] if d["path"] == level)
    for step in [*dataset.get("coordinateTransformations", []),
                 *entry.get("coordinateTransformations", [])]:  # fmt: skip
        if step.get("type") == "scale":
            stated = True
            scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
    lengths: list[float | None] = []
    for k in kept:
        nm = nm_per_unit(axes[k].get("unit"))
        lengths.append(scale[k] * nm if nm and stated else None)
    return file_spacing(*[None, None, None, *lengths][-3:])
