"""How what rays meet is lit, and how layers of it lie over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures.camera import Rays
from fibseg.pictures.palettes import Color
from fibseg.pictures.tracing import Field, Hits, sample
from fibseg.types import Spacing

_LAMP = np.array([-0.5, -0.65, -1.0])
"""Where the lamp is: to the left, above, before the volume."""
_AMBIENT, _DIFFUSE, _WRAP = 0.34, 0.72, 0.25
_SHINE, _POLISH = 0.16, 24
_CUT_AMBIENT, _CUT_DIFFUSE = 0.68, 0.36
_NEAR_BY = ((0.012, 0.35), (0.03, 0.3), (0.07, 0.25))
"""How far one looks for what takes light away, as a share of the volume, and how much it takes."""
_HAZE = 0.3
_EDGE = 0.5
_RIM, _FACE = 2.2, 0.22


@dataclass(frozen=True)
class Layer:
    """Colour (n, 3), opacity 0 to 1 and depth of every sample; infinitely deep where it is not."""

    rgb: NDArray[np.float64]
    alpha: NDArray[np.float64]
    depth_um: NDArray[np.float64]


def brightness(
    hits: Hits, bundle: Rays, *, field: Field | None = None, spacing: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the colour of each hit is multiplied with, and the white of its reflection, 0 to 1.

    Shading follows Lambert, with some light from everywhere. Where a `field` is given, corners
    that little of that reaches are darker: there the distance to the next object is short along
    the normal (Evans, SIGGRAPH 2006 course notes). Reflections follow Blinn. Faces where objects
    are cut off do not shine.
    """
    lamp = lamp_direction(bundle)
    facing = hits.normals @ lamp
    light = _AMBIENT + _DIFFUSE * np.clip((facing + _WRAP) / (1 + _WRAP), 0, 1)
    if field is not None:
        light *= _openness(field, hits, spacing)
    light[hits.on_cut] = _CUT_AMBIENT + _CUT_DIFFUSE * np.clip(facing[hits.on_cut], 0, 1)
    half = lamp - bundle.away
    shine = _SHINE * np.clip(hits.normals @ (half / np.linalg.norm(half)), 0, 1) ** _POLISH
    shine[hits.on_cut] = 0
    return light, shine


def lamp_direction(bundle: Rays) -> NDArray[np.float64]:
    """Unit vector to the lamp, (z, y, x); it goes with the camera."""
    lamp = _LAMP @ bundle.axes
    return np.asarray(lamp / np.linalg.norm(lamp))


def solid_layer(
    rgb: NDArray[np.float64], light: NDArray[np.float64], shine: NDArray[np.float64], hits: Hits,
    n: int, *, background: Color,
) -> Layer:
    """An opaque layer of `n` samples from colours of hits; the far fades into `background`."""
    lit = np.clip(rgb * light[:, None] + 255 * shine[:, None], 0, 255)
    if len(hits.rays):
        near, far = hits.depth_um.min(), hits.depth_um.max()
        haze = _HAZE * (hits.depth_um - near)[:, None] / max(far - near, 1e-12)
        lit = lit * (1 - haze) + np.array(background, float) * haze
    every, alpha, depth = np.zeros((n, 3)), np.zeros(n), np.full(n, np.inf)
    every[hits.rays], alpha[hits.rays], depth[hits.rays] = lit, 1, hits.depth_um
    return Layer(every, alpha, depth)


def shell_layer(
    color: Color, opacity: float, hits: Hits, bundle: Rays, *, background: Color
) -> Layer:
    """A translucent layer, densest at rims, where one looks along it."""
    n = len(bundle.origins_um)
    light = 0.75 + 0.25 * np.clip(hits.normals @ lamp_direction(bundle), 0, 1)
    rgb = np.tile(np.array(color, float), (len(hits.rays), 1))
    layer = solid_layer(rgb, light, np.zeros(len(hits.rays)), hits, n, background=background)
    along = 1 - np.clip(np.abs(hits.normals @ bundle.away), 0, 1)
    along[hits.on_cut] = 0
    layer.alpha[hits.rays] = opacity * (_FACE + (1 - _FACE) * along**_RIM)
    return layer


def with_edges(layer: Layer, objects: NDArray[np.int64]) -> Layer:
    """The layer with the rim darker of every object that is before another one.

    `objects` is the number in every sample, (rows, columns), 0 for none.
    """
    depth = layer.depth_um.reshape(objects.shape)
    edge = np.zeros(objects.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            differs = np.roll(objects, step, axis) != objects
            edge |= differs & (objects > 0) & (np.roll(depth, step, axis) >= depth)
    dark = np.where(edge.ravel(), _EDGE, 1.0)[:, None]
    return Layer(layer.rgb * dark, layer.alpha, layer.depth_um)


def composed(layers: Sequence[Layer], *, background: Color) -> NDArray[np.float64]:
    """Colours of all layers over the background, the nearest last, (n, 3)."""
    depths = np.stack([layer.depth_um for layer in layers])
    picture = np.tile(np.array(background, float), (depths.shape[1], 1))
    for places in np.argsort(-depths, axis=0, kind="stable"):
        for number, layer in enumerate(layers):
            mine = np.flatnonzero((places == number) & np.isfinite(layer.depth_um))
            alpha = layer.alpha[mine, None]
            picture[mine] = picture[mine] * (1 - alpha) + layer.rgb[mine] * alpha
    return picture


def _openness(field: Field, hits: Hits, spacing: Spacing) -> NDArray[np.float64]:
    """How much of the light from all around reaches each hit, 0 to 1."""
    size = max(n * s * 1e-3 for n, s in zip(field.shape, spacing, strict=True))
    taken = np.zeros(len(hits.rays))
    for share, weight in _NEAR_BY:
        far = share * size
        room = -sample(field, hits.points_um + far * hits.normals, spacing=spacing)
        taken += weight * (1 - np.clip(room / far, 0, 1))
    return 1 - np.clip(taken, 0, 1)
