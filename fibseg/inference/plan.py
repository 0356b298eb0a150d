"""Which pyramid level a model reads, and the grid of windows that it works on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec
from fibseg.geometry import Box
from fibseg.inference.axis import Axis, Ints, mirrored
from fibseg.types import Shape, Spacing

TOLERANCE = 0.10
"""Spacings that differ by no more count as equal."""
WHOLE_AXIS = 2048
"""Axes up to this many voxels are one block, and their windows are of equal, fitting size."""
MOST_FINER = 8
"""A model that works this many times finer than the volume is refused: there is nothing to see."""
_STEPS = (1536, 1024, 512, 256, 128, 64)


class Pyramid(Protocol):
    """What a plan needs to know of a volume."""

    @property
    def shape(self) -> Shape:
        """Voxels of level 0."""
        ...

    @property
    def spacing(self) -> Spacing:
        """Voxel of level 0, nm."""
        ...

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        ...

    def level_spacing(self, level: int) -> Spacing:
        """Voxel of `level`, nm."""
        ...

    def raw(self, level: int = 0) -> Any:
        """Array of `level`."""
        ...


@dataclass(frozen=True)
class Scale:
    """Pyramid level that is read for a working spacing, and how the two lie on level 0.

    Parameters
    ----------
    level
        Pyramid level.
    shape, source
        Voxels of level 0 and of that level.
    own
        Voxels of level 0 per voxel of that level, along each axis.
    wanted
        Voxels of level 0 per working pixel.
    """

    level: int
    shape: Shape
    source: tuple[int, ...]
    own: tuple[int, ...]
    wanted: tuple[float, ...]

    @classmethod
    def of(cls, spacing: Spacing, volume: Pyramid) -> Scale:
        """Scale of a model that works at `spacing`.

        Raises
        ------
        DataError
            If the volume is far too coarse.
        """
        level = _level(spacing, volume)
        at = volume.level_spacing(level)
        own = tuple(round(a / b) for a, b in zip(at, volume.spacing, strict=True))
        wanted = tuple(_wanted(m, s, f) for m, s, f in zip(spacing, at, own, strict=True))
        return cls(level, volume.shape, tuple(map(int, volume.raw(level).shape)), own, wanted)

    @property
    def z(self) -> Axis:
        """Grid across planes: whole voxels of the level, since planes are not interpolated."""
        own = self.own[0]
        step = max(own, round(self.wanted[0] / own) * own)
        return Axis(self.shape[0], self.source[0], own, 1, step, 0)


@dataclass(frozen=True)
class Plan:
    """How one model runs on one volume; nothing in it depends on blocks.

    Parameters
    ----------
    level
        Pyramid level that is read.
    z, y, x
        Grid along each axis.
    context
        Neighbouring working planes on each side, as channels.
    batch
        Windows that the network sees at once; a smaller last batch is padded.
    blended
        Whether windows are blended over their whole width instead of cut at their cores.
    """

    level: int
    z: Axis
    y: Axis
    x: Axis
    context: int
    batch: int
    blended: bool

    @classmethod
    def of(cls, scale: Scale, y: Axis, x: Axis, *, context: int, blended: bool) -> Plan:
        """Plan with these axes, and as many windows at once as fit a megapixel."""
        z = scale.z
        windows = z.n_work * y.n_windows * x.n_windows
        batch = max(1, min(8, round(2**20 / (y.window * x.window)), windows))
        return cls(scale.level, z, y, x, context, batch, blended)

    @property
    def shape(self) -> Shape:
        """Voxels of level 0."""
        return self.z.length, self.y.length, self.x.length

    def batch_shape(self, channels: int) -> tuple[int, int, int, int]:
        """What the network sees at once, (b, c, y, x)."""
        return self.batch, channels, self.y.window, self.x.window

    def block_shape(self, shards: Sequence[int]) -> Shape:
        """Voxels per block: whole planes where they fit, else whole windows of whole shards."""
        sides = []
        for axis, shard in zip((self.y, self.x), shards[1:], strict=True):
            unit = math.lcm(axis.step, shard)
            if unit > WHOLE_AXIS:  # they never end together: at least few windows are cut
                unit = shard
            fits = max(WHOLE_AXIS // unit, 1) * unit
            sides.append(axis.length if axis.length <= WHOLE_AXIS else fits)
        return shards[0], sides[0], sides[1]

    def read_box(self, write: Box) -> Box:
        """Voxels of the source that the voxels `write` of level 0 depend on."""
        if write.size == 0:
            return Box(write.start, write.start)
        ranges = [self.z.source_range(self._planes(write))]
        for axis, a, b in zip((self.y, self.x), write.start[1:], write.stop[1:], strict=True):
            pixels = axis.pixels(*axis.windows(a, b, blended=self.blended))
            ranges.append(axis.source_range(pixels))
        return Box(tuple(a for a, _ in ranges), tuple(b for _, b in ranges))

    def _planes(self, write: Box) -> Ints:
        """Working planes, those of the context included, behind the planes of `write`."""
        below, _ = self.z.neighbours(np.array([write.start[0], write.stop[0] - 1]))
        above = int(below[1]) + (1 if self.z.factor > 1 else 0)
        seen = np.arange(int(below[0]) - self.context, above + self.context + 1)
        return mirrored(seen, self.z.n_work)


def make_plan(
    spec: ModelSpec, volume: Pyramid, *, overlap: float = 0.0, square: bool = False
) -> Plan:
    """Plan for `spec` on `volume`.

    Parameters
    ----------
    overlap
        0 cuts windows at their cores, which equals the whole plane; above 0 they overlap by at
        least this share of a window and are blended with gaussian weights.
    square
        Windows as high as wide, for symmetries that turn by a quarter.

    Raises
    ------
    DataError
        If the planes are smaller than a window can be made from, or the volume is far too coarse.
    UsageError
        If `overlap` is not a share.
    """
    if not 0 <= overlap < 0.9:
        raise UsageError(f"overlap={overlap} is not a share from 0 to below 0.9. Use e.g. 0.25.")
    scale = Scale.of(spec.spacing, volume)
    sides = [
        _side(
            spec, volume.shape[i], scale.source[i], scale.own[i], scale.wanted[i], overlap, i - 1
        )
        for i in (1, 2)
    ]
    if square:
        side = max(a.core for a in sides)
        sides = [_with_core(a, side) for a in sides]
    y, x = sides
    _check_size(spec, volume.shape, y, x)
    return Plan.of(scale, y, x, context=spec.context, blended=overlap > 0)


def _level(model: Spacing, volume: Pyramid) -> int:
    """Coarsest level that is nowhere coarser than the model, except where level 0 is already."""
    best = 0
    for level in range(1, volume.n_levels):
        at = volume.level_spacing(level)
        if all(
            a <= m * (1 + TOLERANCE) or a == s
            for a, m, s in zip(at, model, volume.spacing, strict=True)
        ):
            best = level
    return best


def _wanted(model: float, at: float, own: int) -> float:
    """Voxels of level 0 per working pixel along one axis."""
    ratio = model / at
    if ratio < 1 / MOST_FINER:
        raise DataError(
            f"the volume's voxels are {at:g} nm, the model works at {model:g} nm: it was trained "
            f"on images {at / model:.0f} times finer. Check the spacing of the volume, or train a "
            "model on it."
        )
    return float(own) if abs(ratio - 1) <= TOLERANCE else own * ratio


def _side(
    spec: ModelSpec, length: int, source: int, own: int, factor: float, overlap: float, axis: int
) -> Axis:
    """Grid along y or x: windows of equal size on short axes, steps that tile shards on long."""
    multiple, most, margin = spec.stride_multiple, spec.window.core[axis], spec.window.margin
    if overlap > 0:
        window = most + 2 * margin
        most = max(int((1 - overlap) * window) // multiple, 1) * multiple
        margin = max((window - most) // (2 * multiple), 1) * multiple
    n_work = math.ceil(length / factor)
    if length <= WHOLE_AXIS:
        n_windows = -(-n_work // most)
        core = -(-math.ceil(n_work / n_windows) // multiple) * multiple
        return Axis(length, source, own, core, round(core * factor), margin)
    step = next((s for s in _STEPS if s / factor <= most), _STEPS[-1])
    core = max(round(step / factor / multiple), 1) * multiple
    return Axis(length, source, own, core, step, margin)


def _with_core(axis: Axis, core: int) -> Axis:
    """The axis with another core, its scale kept as nearly as whole numbers allow."""
    step = round(core * axis.step / axis.core)
    return Axis(axis.length, axis.source, axis.source_factor, core, step, axis.margin)


def _check_size(spec: ModelSpec, shape: Shape, y: Axis, x: Axis) -> None:
    """Refuse planes that would have to be mirrored more than twice to fill a margin."""
    least = spec.window.margin // 2 + 1
    if min(y.n_work, x.n_work) < least and min(y.n_work, x.n_work) * 2 <= y.window:
        need = math.ceil(least * max(y.factor, x.factor))
        raise DataError(
            f"the volume is smaller than one window of the model: its planes are {shape[1]} x "
            f"{shape[2]} voxels, and at least {need} x {need} are needed for a receptive radius "
            f"of {spec.receptive_field} px at {spec.spacing[1]:g} nm. Use a model with fewer "
            "floors (network.features), or check the spacing of the volume."
        )


def spacing_note(spec: ModelSpec, volume: Pyramid, plan: Plan) -> str:
    """Sentence on what is read and resampled where spacings differ; empty where they do not."""
    return note_on(spec.spacing, volume, plan)


def note_on(spacing: Spacing, volume: Pyramid, plan: Plan) -> str:
    """The same for a model that works at `spacing`."""
    pairs = zip(spacing, volume.spacing, strict=True)
    if all(abs(m / s - 1) <= TOLERANCE for m, s in pairs):
        return ""
    at = volume.level_spacing(plan.level)
    works = [a.factor * s for a, s in zip((plan.z, plan.y, plan.x), volume.spacing, strict=True)]
    same = all(abs(w / a - 1) < 1e-6 for w, a in zip(works, at, strict=True))
    resampled = "" if same else f", resamples it to {_nm(works)} nm"
    return (
        f"the model was trained at {_nm(spacing)} nm, the volume has {_nm(volume.spacing)} "
        f"nm: it reads pyramid level {plan.level} of {_nm(at)} nm{resampled} and writes on the "
        "grid of level 0"
    )


def _nm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{s:.4g}" for s in spacing)
