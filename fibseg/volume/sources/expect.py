"""What must fit before an import begins: spacing, plane numbers, and the shape of the raw image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.types import Shape, Spacing
from fibseg.volume.sources.folder import missing_planes
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.units import TOLERANCE, differs

_GREY = "iuf"


def expected_spacing(
    source: Source, given: Sequence[float] | None, *, trust_given: bool = False
) -> Spacing:
    """Voxel size in nm (z, y, x), given or read from the file, which must not contradict it.

    Raises
    ------
    UsageError
        If the given spacing is not three positive numbers.
    DataError
        If an axis is stated nowhere, or file and given spacing, or two files of a folder, differ
        by more than 1 %.
    """
    stated = source.spacing or (None, None, None)
    if given is None:
        _refuse_disagreement(source)
        z, y, x = stated
        if z and y and x:
            return z, y, x
        lacking = [axis for axis, v in zip("zyx", stated, strict=True) if not v]
        known = ", ".join(
            f"{a} = {v:g} nm" for a, v in zip("zyx", stated, strict=True) if v
        )
        raise DataError(
            f"{source.path} does not state the size of its voxels along {', '.join(lacking)}"
            f"{f' (only {known})' if known else ''}. Give it in nm as spacing=[z,y,x], "
            "e.g. spacing=[20,20,20]."
        )
    z, y, x = checked_spacing(given)
    refuse_contradiction(source, (z, y, x), trust_given=trust_given, what="spacing=")
    return z, y, x


def checked_spacing(given: Sequence[float]) -> Spacing:
    """Three positive lengths in nm; `UsageError` for anything else."""
    values = [float(v) for v in given] if isinstance(given, Sequence) else []
    if len(values) != 3 or not all(0 < v < float("inf") for v in values):
        raise UsageError(
            f"spacing={given} is not the size of a voxel. Give three lengths in nm above 0, "
            "(z, y, x): spacing=[20,20,20]."
        )
    return values[0], values[1], values[2]


def refuse_contradiction(
    source: Source, spacing: Spacing, *, trust_given: bool, what: str
) -> None:
    """`DataError` where the file states another voxel size (more than 1 %) than `spacing`."""
    if source.spacing is None or trust_given:
        return
    _refuse_disagreement(source)
    for axis, ours, theirs in zip("zyx", spacing, source.spacing, strict=True):
        if theirs is None or not differs(ours, theirs):
            continue
        ratio = ours / theirs
        unit = any(abs(ratio / f - 1) < TOLERANCE for f in (1e-3, 1e3, 0.1, 10.0))
        raise DataError(
            f"{source.path} states {theirs:g} nm along {axis}, {what} says {ours:g} nm"
            f"{', which looks like a mistaken unit' if unit else ''}. Leave spacing= out to use "
            "that of the file; if the file is wrong, add trust_spacing=true."
        )


def _refuse_disagreement(source: Source) -> None:
    if source.contradiction:
        raise DataError(
            f"{source.contradiction}. A stack has voxels of one size: move what does not belong to "
            "it out of the folder; if a file is wrong, give the size in nm as spacing=[z,y,x] with "
            "trust_spacing=true."
        )


def refuse_unless_image(source: Source) -> None:
    """`DataError` if the voxels cannot be grey values: colours, booleans, complex numbers."""
    if source.palette:
        raise DataError(
            f"{source.path} has a colour table: its voxels are numbers of colours, not "
            "intensities. Convert it to one grey channel (in Fiji: Image > Type > 8-bit)."
        )
    if source.dtype.kind not in _GREY:
        raise DataError(
            f"{source.path} has voxels of type {source.dtype}, which are no grey values. An image "
            "needs integers or floats; masks are imported with kind=labels."
        )


def refuse_gaps(source: Source) -> None:
    """`DataError` that names the planes left out of the numbers in the file names."""
    missing = missing_planes(source.planes) if source.planes else []
    if missing and source.planes:
        some = ", ".join(map(str, missing[:8])) + (" …" if len(missing) > 8 else "")
        raise DataError(
            f"{source.path} lacks {len(missing)} of its planes: number {some} between "
            f"{source.planes[0]} and {source.planes[-1]}. Add the missing files, or repeat a "
            "neighbouring plane under that number, so that distances along z stay true."
        )


def refuse_other_shape(source: Source, shape: Shape, *, any_depth: bool = False) -> None:
    """`DataError` if `source` does not lie on a grid of `shape`; says which axes look swapped.

    With `any_depth` only (y, x) must fit.
    """
    same = source.shape[1:] == shape[1:] if any_depth else source.shape == shape
    if same:
        return
    swap = _looks_like(source.shape, shape)
    if swap:
        remedy = f"{swap}: transpose it to (z, y, x)"
    elif source.shape[1:] == shape[1:]:
        remedy = "The number of planes differs: import all planes of the same stack"
    else:
        remedy = "It must be made on the very stack that was imported, neither cropped nor resized"
    raise DataError(
        f"{source.path} has shape {source.shape}, but the raw image has {shape} (z, y, x). "
        f"{remedy}."
    )


def _looks_like(shape: Sequence[int], wanted: Sequence[int]) -> str:
    """In words, which axes were swapped, or nothing."""
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2) and tuple(shape[k] for k in order) == tuple(wanted):
            moved = [k for k in range(3) if order[k] != k]
            if len(moved) == 2:
                return "The axes {} and {} look swapped".format(*("zyx"[k] for k in moved))
            stored = "".join("zyx"[order.index(k)] for k in range(3))
            return f"Its axes look like ({', '.join(stored)})"
    return ""


def bad_voxels(source: Source, survey: Any) -> DataError:
    """Error that counts NaN and infinite voxels and names the first one."""
    return DataError(
        f"{source.path} has {survey.n_bad} NaN or infinite voxels, the first at index "
        f"{survey.first_bad} (z, y, x). One of them spoils every result around it: replace them "
        "(e.g. numpy.nan_to_num) and import again."
    )
