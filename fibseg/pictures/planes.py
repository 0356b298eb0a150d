"""Pictures of one plane (y, x): raw, labels with outlines, annotation, errors, probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.pictures.palettes import (
    CORRECT,
    INVENTED,
    MISSED,
    Color,
    class_color,
    heat,
    object_colors,
)

Plane = NDArray[Any]
RGB = NDArray[np.uint8]
RGBA = NDArray[np.uint8]


def gray(
    plane: Plane, *, low: float | None = None, high: float | None = None, invert: bool = False
) -> NDArray[np.uint8]:
    """Intensities of a plane stretched to 0–255, shape (y, x), uint8.

    Parameters
    ----------
    low, high
        Intensities that become black and white; percentiles 0.5 and 99.5 of the plane if left
        out.
    invert
        Show dark as bright.

    >>> gray(np.array([[10, 20, 30]]), low=10, high=30).tolist()
    [[0, 128, 255]]
    """
    values = np.asarray(plane, np.float32)
    if values.size == 0:
        return np.zeros(values.shape, np.uint8)
    if low is None or high is None:
        bottom, top = np.percentile(values, (0.5, 99.5))
        low, high = bottom if low is None else low, top if high is None else high
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(((1 - scaled if invert else scaled) * 255).round(), np.uint8)


def outlines(labels: Plane, *, width: int = 1) -> NDArray[np.bool_]:
    """Rim pixels of every object, inside of it, shape (y, x); `width` pixels wide."""
    values = np.asarray(labels)
    edge = np.zeros(values.shape, bool)
    for axis in (0, 1):
        for step in range(1, width + 1):
            a = _cut(axis, slice(None, -step))
            b = _cut(axis, slice(step, None))
            differ = values[a] != values[b]
            edge[a] |= differ
            edge[b] |= differ
    return np.asarray(edge & (values != 0))


def label_layer(
    labels: Plane, *, color: Color | None = None, alpha: float = 0.35, outline_width: int = 1
) -> RGBA:
    """Transparent picture of objects to lay over raw, shape (y, x, 4).

    Parameters
    ----------
    labels
        Numbered objects, or a mask.
    color
        One colour for all objects; otherwise every label has its own.
    alpha
        How opaque the inside is, 0–1; outlines are opaque.
    """
    values = np.asarray(labels)
    rgba = np.zeros((*values.shape, 4), np.uint8)
    inside = values != 0
    rgba[inside, :3] = color if color is not None else object_colors(values[inside])
    rgba[inside, 3] = round(255 * alpha)
    if outline_width > 0:
        rgba[outlines(values, width=outline_width), 3] = 255
    return rgba


def overlay(
    plane: Plane, labels: Plane, *, color: Color | None = None, alpha: float = 0.35,
    outline_width: int = 1,
) -> RGB:
    """Objects with outlines over a grey plane, shape (y, x, 3).

    `plane` is uint8 as from `gray`; any other type goes through `gray`.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    _require_same_shape(plane, labels)
    layer = label_layer(labels, color=color, alpha=alpha, outline_width=outline_width)
    return blend(plane, layer)


def blend(plane: Plane, layer: RGBA) -> RGB:
    """A transparent layer over a grey (y, x) or RGB (y, x, 3) picture, shape (y, x, 3)."""
    below = _rgb(plane).astype(np.float32)
    a = layer[..., 3:].astype(np.float32) / 255
    mixed: RGB = (below * (1 - a) + layer[..., :3] * a).round().astype(np.uint8)
    return mixed


def hatch(picture: Plane, where: NDArray[np.bool_], *, pitch: int = 8) -> RGB:
    """The picture with diagonal light lines where `where` is True, dimmed there."""
    return blend(picture, hatch_layer(where, pitch=pitch))


def hatch_layer(where: NDArray[np.bool_], *, pitch: int = 8) -> RGBA:
    """Transparent picture of diagonal light lines on dimmed ground, shape (y, x, 4)."""
    rgba = np.zeros((*where.shape, 4), np.uint8)
    yy, xx = np.ogrid[: where.shape[0], : where.shape[1]]
    rgba[where] = (0, 0, 0, 115)
    rgba[where & ((yy + xx) % pitch < max(1, pitch // 6))] = (117, 117, 117, 185)
    return rgba


def annotation_overlay(
    plane: Plane, annotation: Plane, *, colors: Mapping[int, Color] | None = None
) -> RGB:
    """Painting over a grey plane: classes coloured, unlabelled hatched, shape (y, x, 3).

    Parameters
    ----------
    annotation
        0 unlabelled, 1 background, 2… classes.
    colors
        Of class values; of the palette otherwise.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    _require_same_shape(plane, annotation)
    rgb = hatch(plane, np.asarray(annotation) == 0)
    for value in np.unique(annotation):
        if value >= 2:
            chosen = (colors or {}).get(int(value), class_color(int(value) - 2))
            rgb = blend(rgb, label_layer(np.asarray(annotation) == value, color=chosen))
    return rgb


def error_map(
    plane: Plane, prediction: Plane, truth: Plane, *, scored: NDArray[np.bool_] | None = None
) -> RGB:
    """Right, invented and missed voxels over a grey plane, shape (y, x, 3).

    Green where both are inside, vermilion where only the prediction is, sky blue where only the
    truth is; hatched where nothing is `scored`.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    _require_same_shape(plane, prediction)
    return blend(plane, error_layer(prediction, truth, scored=scored))


def error_layer(
    prediction: Plane, truth: Plane, *, scored: NDArray[np.bool_] | None = None
) -> RGBA:
    """Transparent picture of `error_map` to lay over raw, shape (y, x, 4).

    Raises
    ------
    DataError
        If the shapes differ.
    """
    _require_same_shape(prediction, truth)
    p, t = np.asarray(prediction).astype(bool), np.asarray(truth).astype(bool)
    rgba = np.zeros((*p.shape, 4), np.uint8)
    for mask, color, alpha in (
        (p & t, CORRECT, 0.4), (p & ~t, INVENTED, 0.75), (t & ~p, MISSED, 0.75),
    ):  # fmt: skip
        rgba[mask] = (*color, round(255 * alpha))
    if scored is not None:
        rgba[~scored] = hatch_layer(~scored)[~scored]
    return rgba


def probability(plane: Plane) -> RGB:
    """Probabilities 0–1 (float) or 0–255 (uint8) in colours from dark to light, (y, x, 3)."""
    values = np.asarray(plane)
    return heat(values / 255 if values.dtype == np.uint8 else values.astype(float))


def _rgb(picture: Plane) -> RGB:
    """A new RGB picture of a grey plane or an RGB picture."""
    values = np.asarray(picture)
    if values.ndim == 3:
        return values.astype(np.uint8)
    return np.repeat((values if values.dtype == np.uint8 else gray(values))[..., None], 3, axis=-1)


def _cut(axis: int, part: slice) -> tuple[slice, slice]:
    return (part, slice(None)) if axis == 0 else (slice(None), part)


def _require_same_shape(plane: Plane, other: Plane) -> None:
    if np.shape(plane)[:2] != np.shape(other)[:2]:
        raise DataError(
            f"the plane has shape {np.shape(plane)[:2]} and what lies over it "
            f"{np.shape(other)[:2]}. Give both on one grid."
        )
