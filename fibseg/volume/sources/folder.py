"""A folder of planes, one TIFF or PNG file each, ordered by the number in the file name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.volume.sources.png import png_header, read_png
from fibseg.volume.sources.source import PlaneSource, Source
from fibseg.volume.sources.tiff import decoded, is_palette, tiff_file
from fibseg.volume.sources.tiff_metadata import check_complete, tiff_spacing
from fibseg.volume.sources.units import FileSpacing, differs, file_spacing

TIFF_SUFFIXES = (".tif", ".tiff")
PNG_SUFFIXES = (".png",)


class _Header(NamedTuple):
    """What a file says about its plane: shape (y, x), dtype, whether it has a colour table."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    palette: bool
    spacing: FileSpacing | None


class PlaneFolder(PlaneSource):
    """Planes in files of one shape and dtype.

    The spacing is, along each axis, what the files state: one that states nothing contradicts
    nothing, since many programs describe a stack in its first file only.
    """

    def __init__(self, path: Path, files: Sequence[Path], numbers: list[int] | None) -> None:
        self._files = list(files)
        first = _header(files[0])
        headers = [first]
        for file in files[1:]:
            headers.append(header := _header(file))
            if (header.shape, header.dtype) != (first.shape, first.dtype):
                raise DataError(
                    f"{file} has shape {header.shape} and type {header.dtype}, but {files[0].name} "
                    f"has {first.shape} and {first.dtype}. A stack needs planes of one shape and "
                    "one type: export them again, or move what does not belong to it out of the "
                    "folder."
                )
        spacing, contradiction = _stated(files, headers)
        super().__init__(
            path, shape=(len(files), *first.shape), dtype=first.dtype, spacing=spacing,
            planes=numbers, plane_wise=True, palette=first.palette, contradiction=contradiction,
        )  # fmt: skip

    def plane(self, index: int) -> NDArray[Any]:
        """Plane `index`, shape (y, x)."""
        file = self._files[index]
        if file.suffix.lower() in PNG_SUFFIXES:
            return read_png(file)
        with tiff_file(file) as tif:
            return decoded(file, tif.pages.first, self.shape[1:], 0)


def open_folder(path: Path) -> Source:
    """Source on a folder of TIFF or PNG planes; other files in it are ignored.

    Raises
    ------
    DataError
        For an empty folder, TIFF and PNG side by side, planes of different shape or type,
        truncated files, and numbers that occur twice.
    """
    files = [f for f in path.iterdir() if f.is_file() and not f.name.startswith(".")]
    planes = [f for f in files if f.suffix.lower() in TIFF_SUFFIXES + PNG_SUFFIXES]
    if not planes:
        others = ", ".join(f"{n} {s or 'without suffix'}" for s, n in _suffixes(files)) or "nothing"
        raise DataError(
            f"{path} holds no TIFF or PNG plane, only {others}. Give the folder that has the "
            "planes in it (.tif, .tiff, .png)."
        )
    if len({f.suffix.lower() in PNG_SUFFIXES for f in planes}) > 1:
        raise DataError(
            f"{path} holds TIFF and PNG files side by side: "
            f"{', '.join(f'{n} {s}' for s, n in _suffixes(planes))}. Leave one kind of them there."
        )
    numbers = plane_numbers([f.stem for f in planes])
    if numbers is None:
        return PlaneFolder(path, sorted(planes), None)
    order = sorted(range(len(planes)), key=lambda k: numbers[k])
    return PlaneFolder(path, [planes[k] for k in order], [numbers[k] for k in order])


def plane_numbers(names: Sequence[str]) -> list[int] | None:
    """Plane number in every name, or None when the names carry none.

    Of several numbers in a name it is the one that makes the names a sequence without a gap, or
    else the last one that differs everywhere.

    >>> plane_numbers(["cell2_z_008_um0.4", "cell2_z_009_um0.4", "cell2_z_010_um0.8"])
    [8, 9, 10]

    Raises
    ------
    DataError
        If the only numbers there are occur twice.
    """
    groups = [[int(d) for d in re.findall(r"\d+", name)] for name in names]
    columns = list(zip(*groups, strict=False))
    if not columns:
        return None
    if len(names) == 1:
        return [columns[-1][0]]
    distinct = [list(c) for c in columns if len(set(c)) == len(c)]
    for column in distinct:
        if max(column) - min(column) == len(column) - 1:
            return column
    if distinct:
        return distinct[-1]
    number, count = Counter(columns[-1]).most_common(1)[0]
    same = [n for n, value in zip(names, columns[-1], strict=True) if value == number][:3]
    raise DataError(
        f"{count} planes have the number {number}: {', '.join(same)} … Number the planes, each "
        "with its own number in the file name."
    )


def missing_planes(numbers: Sequence[int]) -> list[int]:
    """Numbers left out of an ascending sequence with the usual step.

    >>> missing_planes([3, 4, 6, 7])
    [5]
    >>> missing_planes([0, 10, 20])
    []
    """
    steps = np.diff(np.asarray(numbers, np.int64))
    if not steps.size:
        return []
    values, counts = np.unique(steps, return_counts=True)
    step = int(values[np.argmax(counts)])
    there = set(numbers)
    return [n for n in range(numbers[0], numbers[-1], step) if n not in there] or (
        [] if (steps == step).all() else [int(numbers[int(np.argmax(steps != step))]) + step]
    )


def _suffixes(files: Sequence[Path]) -> list[tuple[str, int]]:
    return Counter(f.suffix.lower() for f in files).most_common(4)


def _stated(
    files: Sequence[Path], headers: Sequence[_Header]
) -> tuple[FileSpacing | None, str]:
    """Spacing that the files state, and the first contradiction among them in words, or nothing."""
    spacing: list[float | None] = [None, None, None]
    named, contradiction = ["", "", ""], ""
    for file, header in zip(files, headers, strict=True):
        for axis, nm in enumerate(header.spacing or ()):
            if nm is None:
                continue
            before = spacing[axis]
            if before is None:
                spacing[axis], named[axis] = nm, file.name
            elif not contradiction and differs(nm, before):
                contradiction = (
                    f"{file} states {nm:g} nm along {'zyx'[axis]}, but {named[axis]} states "
                    f"{before:g} nm"
                )
    return file_spacing(*spacing), contradiction


def _header(file: Path) -> _Header:
    """What the header of one plane says; refuses what is no single grey plane."""
    if file.suffix.lower() in PNG_SUFFIXES:
        return _Header(*png_header(file), None)
    with tiff_file(file) as tif:
        page = tif.pages.first
        if page.samplesperpixel > 1:
            raise DataError(
                f"{file} is an RGB image ({page.samplesperpixel} samples per pixel). Convert it "
                "to one grey channel (in Fiji: Image > Type > 8-bit)."
            )
        if len(tif.pages) > 1 and not tif.is_ome:
            raise DataError(
                f"{file} holds {len(tif.pages)} pages, but in a folder each file is one plane. "
                "Give the file itself as source, or export single planes."
            )
        if not tif.is_ome:  # an OME plane describes the stack of all files, not its own planes
            check_complete(file, tif)
        return _Header(
            (int(page.imagelength), int(page.imagewidth)),
            np.dtype(page.dtype).newbyteorder("="),
            is_palette(tif),
            tiff_spacing(tif),
        )
