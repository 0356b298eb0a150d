"""Units of length as microscopes and their programs write them, turned into nm."""

from __future__ import annotations

from typing import TypeAlias

FileSpacing: TypeAlias = tuple[float | None, float | None, float | None]
"""Size of one voxel in nm, (z, y, x), as far as a file states it; None where it does not."""

TOLERANCE = 0.01

_NM: dict[str, float] = {
    "pm": 1e-3, "picometer": 1e-3, "picometre": 1e-3,
    "å": 0.1, "a": 0.1, "angstrom": 0.1, "ångström": 0.1,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0,
    "µm": 1e3, "um": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometre": 1e3,
    "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6,
    "cm": 1e7, "centimeter": 1e7, "centimetre": 1e7,
    "inch": 2.54e7, "in": 2.54e7,
    "m": 1e9, "meter": 1e9, "metre": 1e9,
}  # fmt: skip


def nm_per_unit(unit: str | None) -> float | None:
    """Number of nm in one `unit`, or None for pixels, nothing and unknown words.

    >>> nm_per_unit("micron"), nm_per_unit("pixel")
    (1000.0, None)
    """
    if unit is None:
        return None
    word = unit.strip().strip('"').lower()
    # ImageJ escapes the micro sign; Unicode has two of them (U+00B5 and the Greek letter U+03BC)
    word = word.replace("\\u00b5", "µ").replace("\u03bc", "µ")
    return _NM.get(word)


def positive(value: float | None) -> float | None:
    """`value` if it can be a length (finite, above 0), otherwise None."""
    if value is None or not 0 < value < float("inf"):
        return None
    return value


def file_spacing(z: float | None, y: float | None, x: float | None) -> FileSpacing | None:
    """Spacing from up to three lengths in nm; None when no axis is stated."""
    spacing = (positive(z), positive(y), positive(x))
    return None if spacing == (None, None, None) else spacing


def differs(nm: float, stated: float) -> bool:
    """Whether a length is another one than was stated: by more than 1 %, which is no rounding."""
    return abs(nm - stated) > TOLERANCE * stated
