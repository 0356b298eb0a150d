"""Axes of bioimage.io tensors: which order, which sizes, which pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fibseg.errors import DataError
from fibseg.export.foreign.limits import SIDE
from fibseg.export.foreign.model import Side
from fibseg.export.schema import is_number

UNITS = {
    "angstrom": 0.1, "picometer": 1e-3, "nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6,
    "centimeter": 1e7, "meter": 1e9,
}
"""Units of length in nm."""

_LETTERS = {"batch": "b", "channel": "c"}
_KEYS = {
    "batch": {"size"}, "channel": {"channel_names"},
    "space": {"size", "unit", "scale", "halo", "concatenable"},
}
_REMEDY = "Use a 2D model, or have it packed again in the format 0.5 of bioimage.io."


@dataclass(frozen=True)
class Axes:
    """Axes of one tensor.

    Parameters
    ----------
    layout
        Letters of ``"bcyx"`` in the order of the axes.
    ids
        Names of the axes y and x.
    sides
        Allowed lengths of y and x, where they do not follow those of another tensor.
    square
        Whether one of them follows the other.
    channels
        Names of the channels; None without such an axis.
    references
        Tensor and axis that the lengths of y and x follow.
    offset
        Whether a length differs from the one it follows.
    scales
        Of y and x, in nm if `physical`.
    physical
        Whether the pixels have a size.
    halo
        Pixels at the border that do not count, y and x; None where not told.
    """

    layout: str
    ids: dict[str, str]
    sides: tuple[Side, Side] | None
    square: bool
    channels: tuple[str, ...] | None
    references: dict[str, tuple[str, str]]
    offset: bool
    scales: tuple[float, float]
    physical: bool
    halo: tuple[int, int] | None

    @property
    def spacing(self) -> tuple[float | None, float, float] | None:
        """Size of a pixel in nm, (z, y, x), where it is told; z never is."""
        return (None, *self.scales) if self.physical else None


def read_axes(data: Any, where: str) -> Axes:
    """Axes of a tensor, each checked.

    Raises
    ------
    DataError
        If they are not those of a plane, or break a rule of the format.
    """
    if not isinstance(data, list) or not all(isinstance(a, Mapping) for a in data):
        raise DataError(f"the axes of {where} are {str(data)[:100]}, not a list. {_REMEDY}")
    axes = {_letter(axis, where): axis for axis in data}
    if len(axes) != len(data) or not {"y", "x"} <= set(axes):
        raise DataError(f"{where} has the axes {list(axes)}, not y and x once each. {_REMEDY}")
    y, x = (_Space.of(axes[a], f"the axis {a} of {where}") for a in "yx")
    if axes.get("b", {}).get("size") not in (None, 1):
        raise DataError(f"{where} takes batches of {axes['b']['size']!r} only. {_REMEDY}")
    sides, square = _sides(y, x, where)
    return Axes(
        layout="".join(axes), ids={"y": y.id, "x": x.id}, sides=sides, square=square,
        channels=_channels(axes.get("c"), where),
        references={a: s.follows for a, s in (("y", y), ("x", x)) if s.follows is not None},
        offset=bool(y.offset or x.offset), scales=(y.scale, x.scale),
        physical=y.physical and x.physical,
        halo=(y.halo or 0, x.halo or 0) if y.halo or x.halo else None,
    )


@dataclass(frozen=True)
class _Space:
    """An axis y or x."""

    id: str
    side: Side | None
    follows: tuple[str, str] | None
    offset: int
    scale: float
    physical: bool
    halo: int | None

    @classmethod
    def of(cls, axis: Mapping[str, Any], where: str) -> _Space:
        """The axis, its sizes and pixels checked."""
        side, follows, offset = _size(axis.get("size"), where)
        scale, unit = axis.get("scale", 1.0), axis.get("unit")
        if not is_number(scale) or scale <= 0 or (unit is not None and unit not in UNITS):
            raise DataError(f"{where} has pixels of {scale!r} {unit!r}. {_REMEDY}")
        halo = axis.get("halo")
        if halo is not None:
            halo = _whole(halo, f"halo of {where}", least=0)
        name = str(axis.get("id", "x"))
        return cls(name, side, follows, offset, float(scale) * UNITS.get(unit or "", 1.0),
                   unit is not None, halo)


def _letter(axis: Mapping[str, Any], where: str) -> str:
    """The axis as a letter."""
    kind = axis.get("type")
    letter = _LETTERS.get(str(kind), str(axis.get("id", "x")))
    if kind not in _KEYS or letter not in "bcyx":
        raise DataError(
            f"{where} has an axis {axis.get('id')!r} of the type {kind!r}; fibseg gives planes. "
            f"{_REMEDY}"
        )
    unknown = sorted(set(axis) - _KEYS[str(kind)] - {"type", "id", "description"})
    if unknown:
        raise DataError(f"the axis {letter} of {where} has the keys {unknown}. {_REMEDY}")
    return letter


def _size(value: Any, where: str) -> tuple[Side | None, tuple[str, str] | None, int]:
    """Allowed lengths, or what the length follows and by how much it differs."""
    if isinstance(value, Mapping) and set(value) == {"min", "step"}:
        least = _whole(value["min"], f"min of {where}", least=1)
        return Side(least, _whole(value["step"], f"step of {where}", least=1)), None, 0
    if isinstance(value, Mapping) and {"tensor_id", "axis_id"} <= set(value) <= {
        "tensor_id", "axis_id", "offset"
    }:
        offset = value.get("offset", 0)
        return None, (str(value["tensor_id"]), str(value["axis_id"])), int(_whole(offset, where))
    return Side(_whole(value, f"size of {where}", least=1), 0), None, 0


def _sides(y: _Space, x: _Space, where: str) -> tuple[tuple[Side, Side] | None, bool]:
    """Allowed lengths of both, and whether one follows the other."""
    if y.side is not None and x.side is not None:
        return (y.side, x.side), False
    if y.side is None and x.side is None:
        return None, False
    free, bound, name = (x, y, "y") if y.side is None else (y, x, "x")
    follows = bound.follows
    if free.side is None or follows is None or follows[1] != free.id or bound.offset:
        raise DataError(f"the size of {name} of {where} follows {follows}. {_REMEDY}")
    return (free.side, free.side), True


def _channels(axis: Mapping[str, Any] | None, where: str) -> tuple[str, ...] | None:
    """Names of the channels."""
    if axis is None:
        return None
    value = axis.get("channel_names")
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise DataError(f"{where} has the channels {str(value)[:100]}, not a list of names.")
    return tuple(v[:256] for v in value)


def _whole(value: Any, where: str, *, least: int = -SIDE) -> int:
    """A whole number within what windows can be."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= SIDE:
        raise DataError(f"{where} is {value!r}, not a whole number of {least} to {SIDE}. {_REMEDY}")
    return value
