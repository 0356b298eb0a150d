"""The grid of windows of a model that was made elsewhere: the file says how large they may be."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fibseg.data import RULE
from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec, WindowSpec
from fibseg.export.foreign import ForeignModel, Side
from fibseg.export.foreign.model import USUAL
from fibseg.inference.axis import Axis
from fibseg.inference.plan import WHOLE_AXIS, Plan, Pyramid, Scale, make_plan, note_on
from fibseg.types import Spacing

OVERLAP = 0.25
"""Share by which windows overlap and are blended, where a file tells no margin."""

_SHARD = 256
"""Side of the files that volumes are stored in."""

_POOLING = 32
"""Corners of windows stay on a grid of up to so many px: networks halve a plane up to 5 times."""


def make_foreign_plan(
    model: ForeignModel, volume: Pyramid, *, overlap: float = 0.0, square: bool = False
) -> Plan:
    """Plan for a model file on `volume`.

    Parameters
    ----------
    overlap
        Above 0, windows overlap by at least this share and are blended. At 0 they are cut at their
        margins; a file that tells none gets `OVERLAP`.
    square
        Windows as high as wide, for symmetries that turn by a quarter.

    Raises
    ------
    DataError
        If windows have nothing inside their margins, or the volume is far too coarse.
    UsageError
        If `overlap` is not a share, or windows cannot be square that have to.
    """
    if not 0 <= overlap < 0.9:
        raise UsageError(f"overlap={overlap} is not a share from 0 to below 0.9. Use e.g. 0.25.")
    if model.core is not None and all(side.step for side in model.sides):
        return make_plan(_as_spec(model, volume), volume, overlap=overlap, square=square)
    share = overlap if overlap or model.margin is not None else OVERLAP
    scale = Scale.of(working_spacing(model, volume), volume)
    y, x = (_axis(model, scale, i, share) for i in (1, 2))
    if square or model.square:
        if model.sides[0] != model.sides[1]:
            raise UsageError(
                f"tta=d4 turns windows, and those of the file are {model.sides[0].least} x "
                f"{model.sides[1].least} px. Use tta=flips."
            )
        wider = y if y.core >= x.core else x
        y, x = (_like(a, wider) for a in (y, x))
    return Plan.of(scale, y, x, context=model.context, blended=share > 0)


def working_spacing(model: ForeignModel, volume: Pyramid) -> Spacing:
    """Pixels that a model works at, nm; those of level 0 where the file does not tell."""
    if model.spacing is None:
        return volume.spacing
    z, y, x = model.spacing
    return volume.spacing[0] if z is None else z, y, x


def foreign_note(model: ForeignModel, volume: Pyramid, plan: Plan) -> str:
    """Sentences on what was assumed or resampled; empty where nothing was."""
    if model.spacing is None:
        found = "the file tells no spacing: level 0 is taken as it is, so check that its pixels "
        found += "are of the size that the model was trained on"
    else:
        found = note_on(working_spacing(model, volume), volume, plan)
    if model.margin is None and plan.blended:
        share = 1 - plan.x.core / plan.x.window
        found += "; " * bool(found) + (
            f"windows overlap by {share:.0%} and are blended, since the file tells no margin"
        )
    return found


def _as_spec(model: ForeignModel, volume: Pyramid) -> ModelSpec:
    """One of fibseg's own as its folder describes it, so that it gets the very same windows."""
    core, margin = model.core or (USUAL, USUAL), (model.margin or (0, 0))[0]
    return ModelSpec(
        network={"name": model.kind}, classes=model.names, normalisation=RULE,
        spacing=working_spacing(model, volume), context=model.context,
        window=WindowSpec(core, margin), receptive_field=margin,
        stride_multiple=model.multiple,
    )


def _axis(model: ForeignModel, scale: Scale, axis: int, share: float) -> Axis:
    """Grid along y or x: no more windows than needed on short axes, steps that tile long ones."""
    side, length, factor = model.sides[axis - 1], scale.shape[axis], scale.wanted[axis]
    least = 0 if share or model.margin is None else model.margin[axis - 1]
    windows = next(filter(None, (
        list(_windows(side, unit, least, share)) for unit in (_unit(model, side), 1)
    )), None)
    if windows is None:
        raise DataError(
            f"windows of {side.least} px have a margin of {least} px on both sides: nothing is "
            "left inside. Use another model, or overlap=0.25."
        )
    core, margin = _chosen(windows, length, factor)
    return Axis(length, scale.source[axis], scale.own[axis], core, round(core * factor), margin)


def _unit(model: ForeignModel, side: Side) -> int:
    """Pixels of the grid that margins are multiples of, so that windows pool alike."""
    if model.multiple > 1:
        return model.multiple
    if side.step:
        return math.gcd(side.step, _POOLING) if side.least % side.step == 0 else 1
    return math.gcd(side.least, min(_POOLING, max(1, 2 ** (side.least.bit_length() - 4))))


def _windows(side: Side, unit: int, least: int, share: float) -> Iterator[tuple[int, int]]:
    """Core and margin of windows that are allowed, the largest core first.

    Parameters
    ----------
    unit
        Margins are multiples of it.
    least, share
        Least margin in px, and as the share of a window that neighbours have in common.
    """
    for window in range(side.fitting(USUAL), side.least - 1, -side.step or -side.least):
        margin = -(-max(least, math.ceil(share * window / 2)) // unit) * unit
        while window > 2 * margin:
            yield window - 2 * margin, margin
            if side.step:
                break
            margin += unit


def _chosen(windows: list[tuple[int, int]], length: int, factor: float) -> tuple[int, int]:
    """Core and margin for an axis."""
    most = max(core for core, _ in windows)
    if length <= WHOLE_AXIS:
        n_work = math.ceil(length / factor)
        n = -(-n_work // most)
        return next(w for w in reversed(windows) if w[0] * n >= n_work)
    windows = sorted(windows, reverse=True)
    tiles = (w for w in windows if 2 * w[0] >= most and _tiles(round(w[0] * factor)))
    return next(tiles, windows[0])


def _tiles(step: int) -> bool:
    """Whether steps and files have a common multiple that is a fair block."""
    return step > 0 and math.lcm(step, _SHARD) <= WHOLE_AXIS


def _like(axis: Axis, other: Axis) -> Axis:
    """The axis with the windows of another."""
    step = round(other.core * axis.factor)
    return Axis(axis.length, axis.source, axis.source_factor, other.core, step, other.margin)
