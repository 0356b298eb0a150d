"""What a TIFF says about itself: voxel size, planes that should be there, and planes that are."""

from __future__ import annotations

import io
import math
import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import tifffile

from fibseg.errors import DataError
from fibseg.volume.sources.units import FileSpacing, file_spacing, nm_per_unit

LARGEST_PIXEL_NM = 10_000.0  # the 72 or 300 dpi of an office program are 350 µm and 85 µm
_TAG_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
    17: 8, 18: 8,
}  # fmt: skip
_RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "µm"}


def tiff_spacing(tif: tifffile.TiffFile) -> FileSpacing | None:
    """Voxel size in nm (z, y, x) from OME-XML, ImageJ metadata or the resolution tags."""
    if tif.ome_metadata:
        return _ome_spacing(tif.ome_metadata)
    page = tif.pages.first
    y, x = (_pixels_per_unit(page, f"{axis}Resolution") for axis in "YX")
    imagej = tif.imagej_metadata
    if imagej and imagej.get("unit"):
        nm = nm_per_unit(str(imagej["unit"]))
        if nm is None:
            return None
        z = imagej.get("spacing")
        return file_spacing(float(z) * nm if z else None, y and nm / y, x and nm / x)
    unit = page.tags.get("ResolutionUnit")
    nm = nm_per_unit(_RESOLUTION_UNITS.get(int(unit.value))) if unit is not None else None
    if imagej or not (nm and y and x) or max(nm / y, nm / x) > LARGEST_PIXEL_NM:
        return None
    return file_spacing(None, nm / y, nm / x)


def _pixels_per_unit(page: Any, tag: str) -> float | None:
    """A resolution tag as a number, None when absent, zero or 1 (the default of many writers)."""
    found = page.tags.get(tag)
    if found is None:
        return None
    above, below = found.value if isinstance(found.value, tuple) else (found.value, 1)
    return above / below if above and below and above != below else None


def _ome_pixels(xml: str) -> dict[str, str]:
    """Attributes of the first Pixels element, read no farther: a list of all files follows it."""
    try:
        for _, element in ET.iterparse(io.StringIO(xml), events=["start"]):
            if element.tag.rpartition("}")[2] == "Pixels":
                return dict(element.attrib)
    except ET.ParseError:
        pass
    return {}


def _ome_spacing(xml: str) -> FileSpacing | None:
    pixels = _ome_pixels(xml)
    lengths: list[float | None] = []
    for axis in "ZYX":
        nm = nm_per_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        value = pixels.get(f"PhysicalSize{axis}")
        lengths.append(float(value) * nm if value and nm else None)
    return file_spacing(*lengths)


def check_complete(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuse a TIFF whose pages or voxels end before its own headers say so.

    A TIFF that was cut off reads as a shorter stack without any error in most readers, so the
    chain of page directories is walked here, every voxel segment is compared with the length of
    the file, and the number of planes with what OME-XML, ImageJ or tifffile noted.

    Raises
    ------
    DataError
        If pages or voxels are missing.
    """
    n_pages, ended = _walk_pages(tif)
    cure = "The file was cut off while written or copied; copy or export it again."
    if not ended:
        raise DataError(
            f"{path} is truncated: its list of pages breaks off after {n_pages} pages. {cure}"
        )
    n_bytes = tif.filehandle.size
    for index, page in enumerate(tif.pages):
        ends = [a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if not ends or max(ends) > n_bytes or 0 in page.databytecounts:
            raise DataError(
                f"{path} is truncated: voxels of page {index} of {n_pages} end at byte "
                f"{max(ends, default=0)}, the file at byte {n_bytes}. {cure}"
            )
    promised, found = _promised_planes(tif), _found_planes(tif)
    if promised is not None and found < promised:
        raise DataError(
            f"{path} is truncated: its metadata promises {promised} planes, it holds {found}. "
            f"{cure}"
        )


def _walk_pages(tif: tifffile.TiffFile) -> tuple[int, bool]:
    """Number of page directories and whether the chain ends as it should."""
    file, layout, n_pages, seen = tif.filehandle, tif.tiff, 0, set[int]()
    position = 8 if layout.is_bigtiff else 4
    try:
        while True:
            file.seek(position)
            (offset,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
            if offset == 0:
                return n_pages, n_pages > 0
            if offset in seen:
                return n_pages, False
            seen.add(offset)
            file.seek(offset)
            (n_tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
            tags = file.read(n_tags * layout.tagsize)
            position = offset + layout.tagnosize + n_tags * layout.tagsize
            if position + layout.offsetsize > file.size or _end_of_values(tags, layout) > file.size:
                return n_pages, False
            n_pages += 1
    except (struct.error, OSError, ValueError):
        return n_pages, False


def _end_of_values(tags: bytes, layout: Any) -> int:
    """Byte at which the last of the values that are stored outside their tags ends."""
    order, wide = layout.byteorder, layout.offsetsize == 8
    form = f"{order}HHQQ" if wide else f"{order}HHII"
    end = 0
    for _, kind, count, offset in struct.iter_unpack(form, tags):
        n_bytes = count * _TAG_BYTES.get(kind, 0)
        if n_bytes > layout.offsetsize:
            end = max(end, offset + n_bytes)
    return end


def _promised_planes(tif: tifffile.TiffFile) -> int | None:
    """Number of planes that the metadata speak of, None when they are silent."""
    if tif.ome_metadata:
        pixels = _ome_pixels(tif.ome_metadata)
        sizes = [int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT"]
        samples = tif.pages.first.samplesperpixel
        return math.prod(sizes) // samples if pixels else None
    if tif.imagej_metadata:
        images = tif.imagej_metadata.get("images")
        return int(images) if images else None
    if tif.shaped_metadata:
        shape = tif.shaped_metadata[0].get("shape", ())
        page = tif.pages.first
        return math.prod(shape) // max(1, math.prod(page.shape)) if shape else None
    return None


def _found_planes(tif: tifffile.TiffFile) -> int:
    """Number of planes that are really in the file (of the first series)."""
    series = tif.series[0]
    if series.dataoffset is not None:  # one block of voxels, often under a single page directory
        plane_bytes = math.prod(tif.pages.first.shape) * series.dtype.itemsize
        there = tif.filehandle.size - series.dataoffset
        return int(min(there, series.size * series.dtype.itemsize) // max(1, plane_bytes))
    return sum(page is not None for page in series.pages)
