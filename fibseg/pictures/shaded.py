"""Still pictures of cells in 3D: shaded objects in translucent shells, and the cell cut open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.pictures.camera import Camera, Rays, Wedge, outermost, rays
from fibseg.pictures.column_colors import MISSING
from fibseg.pictures.lighting import (
    Layer,
    brightness,
    composed,
    shell_layer,
    solid_layer,
    with_edges,
)
from fibseg.pictures.palettes import Color
from fibseg.pictures.planes import gray
from fibseg.pictures.tracing import Hits, depth_field, first_hits, objects_at, sample
from fibseg.types import Image, Labels, Mask, Spacing

WHITE: Color = (255, 255, 255)
BODY: Color = (214, 203, 186)
CELL: Color = (120, 140, 165)
NUCLEUS: Color = (88, 122, 196)
CAMERA = Camera()
_CONTRAST = (0.5, 99.5)


@dataclass(frozen=True)
class Shell:
    """A translucent body around the objects, such as the nucleus or the whole cell.

    Parameters
    ----------
    mask
        On the grid of the objects, anything but 0 is inside.
    opacity
        Of its rim, 0 to 1; where it is seen straight on it is a fifth of that.
    """

    mask: Labels
    color: Color = CELL
    opacity: float = 0.55


@dataclass(frozen=True)
class Shaded:
    """A picture of a volume in 3D.

    Attributes
    ----------
    rgb
        (rows, columns, 3), 0 to 255.
    objects
        (rows, columns), label of the object in each pixel, 0 for none.
    um_per_pixel
        The same everywhere, since rays are parallel: for lengths in the plane of the picture.
    """

    rgb: NDArray[np.uint8]
    objects: NDArray[np.int64]
    um_per_pixel: float


@dataclass(frozen=True)
class Scene:
    """Objects as rays met them, to be coloured by this and that: `trace` makes it."""

    hits: Hits
    found: NDArray[np.int64]
    light: NDArray[np.float64]
    shine: NDArray[np.float64]
    shells: tuple[Layer, ...]
    bundle: Rays
    camera: Camera
    background: Color

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        n = self.camera.supersampling
        return self.bundle.shape[0] // n, self.bundle.shape[1] // n

    def colored(self, colors: NDArray[np.uint8], *, numbers: NDArray[np.integer]) -> Shaded:
        """The picture with these colours of objects.

        Parameters
        ----------
        colors
            One for each of `numbers`, (n, 3), 0 to 255; other objects are grey.
        numbers
            Labels that `colors` are of.

        Raises
        ------
        DataError
            If there is not one colour for each number.
        """
        if colors.shape != (len(numbers), 3):
            raise DataError(
                f"there are {len(numbers)} labels and colours of shape {colors.shape}. Give red, "
                "green and blue for each."
            )
        n = len(self.bundle.origins_um)
        rgb = _looked_up(self.found, colors, numbers)
        solid = solid_layer(
            rgb, self.light, self.shine, self.hits, n, background=self.background
        )
        objects = np.zeros(n, np.int64)
        objects[self.hits.rays] = self.found
        solid = with_edges(solid, objects.reshape(self.bundle.shape))
        picture = composed([solid, *self.shells], background=self.background)
        return _shrunk(picture, objects, self.bundle, self.camera)


def trace(
    labels: Labels, *, shells: Sequence[Shell] = (), wedge: Wedge | None = None,
    camera: Camera = CAMERA, background: Color = WHITE, spacing: Spacing,
) -> Scene:
    """What is seen of objects in translucent shells, lit from the upper left, colours still open.

    Of each ray the first object counts, and the first wall of every shell before it.

    Parameters
    ----------
    labels
        Numbered objects, shape (z, y, x), from a pyramid level of some 256³ voxels.
    shells
        Bodies around them, on the same grid.
    wedge
        What is cut away of objects and shells.
    background
        Colour where there is nothing.

    Raises
    ------
    DataError
        If there is no volume, or shells lie on another grid.
    """
    _check(labels, shells)
    whole = np.logical_or.reduce([labels != 0, *(shell.mask != 0 for shell in shells)])
    bundle = rays(camera, outermost(whole, spacing=spacing))
    field = depth_field(labels, spacing=spacing)
    hits = first_hits(field, bundle, wedge=wedge, spacing=spacing)
    light, shine = brightness(hits, bundle, field=field, spacing=spacing)
    layers = []
    for shell in shells:
        walls = first_hits(
            depth_field(shell.mask != 0, spacing=spacing), bundle, wedge=wedge, spacing=spacing
        )
        layers.append(
            shell_layer(shell.color, shell.opacity, walls, bundle, background=background)
        )
    found = objects_at(labels, hits, spacing=spacing)
    return Scene(hits, found, light, shine, tuple(layers), bundle, camera, background)


def shaded_cell(
    image: Image, cell: Labels, *, wedge: Wedge | None = None, color: Color = BODY,
    camera: Camera = CAMERA, background: Color = WHITE, invert: bool = False, spacing: Spacing,
) -> Shaded:
    """The body of a cell, cut open: where it is cut, the raw image is seen.

    Parameters
    ----------
    image
        Raw, shape (z, y, x).
    cell
        Inside of the cell, anything but 0, of the same shape; ones everywhere for the whole block.
    wedge
        What is cut away; a `quarter` where none is given.
    color
        Of the surface.
    invert
        Show the image with bright and dark exchanged.

    Returns
    -------
    Shaded
        In its ``objects`` 1 for the surface and 2 for the image.

    Raises
    ------
    DataError
        If the shapes differ, or there is no cell.
    """
    if image.shape != cell.shape or image.ndim != 3:
        raise DataError(
            f"the image has shape {image.shape} and the cell {cell.shape}. Give both on one grid, "
            "(z, y, x)."
        )
    inside = cell != 0
    if not inside.any():
        raise DataError("the mask of the cell is empty. Give one with voxels in it.")
    bundle = rays(camera, outermost(inside, spacing=spacing))
    wedge = quarter(inside, camera=camera, spacing=spacing) if wedge is None else wedge
    field = depth_field(inside, spacing=spacing)
    hits = first_hits(field, bundle, wedge=wedge, spacing=spacing)
    light, shine = brightness(hits, bundle, field=field, spacing=spacing)
    rgb = np.tile(np.array(color, float), (len(hits.rays), 1))
    # Resin around the cell takes no part in the contrast.
    low, high = np.percentile(image[inside], _CONTRAST)
    raw = gray(image, low=float(low), high=float(high), invert=invert)
    rgb[hits.on_cut] = sample(raw, hits.points_um[hits.on_cut], spacing=spacing)[:, None]
    n = len(bundle.origins_um)
    parts = np.zeros(n, np.int64)
    parts[hits.rays] = 1 + hits.on_cut
    solid = solid_layer(rgb, light, shine, hits, n, background=background)
    solid = with_edges(solid, parts.reshape(bundle.shape))
    return _shrunk(composed([solid], background=background), parts, bundle, camera)


def quarter(mask: Mask, *, camera: Camera = CAMERA, spacing: Spacing) -> Wedge:
    """What to cut away so that the camera looks into the middle of a body: the quarter before it.

    Both planes go through the middle of the body, along the grid; they are those of the axes
    that point most towards the viewer.
    """
    corners = outermost(mask, spacing=spacing)
    z, y, x = ((corners.min(axis=0) + corners.max(axis=0)) / 2).tolist()
    away = camera.axes[2]
    nearest = sorted(np.argsort(-np.abs(away), kind="stable")[:2].tolist())
    towards = [(-1.0 if away[a] > 0 else 1.0) * np.eye(3)[a] for a in nearest]
    return Wedge((z, y, x), tuple((float(n[0]), float(n[1]), float(n[2])) for n in towards))


def _check(labels: Labels, shells: Sequence[Shell]) -> None:
    if labels.ndim != 3 or 0 in labels.shape:
        raise DataError(f"labels have shape {labels.shape}. Give a volume (z, y, x).")
    for shell in shells:
        if shell.mask.shape != labels.shape:
            raise DataError(
                f"a shell has shape {shell.mask.shape} and the labels {labels.shape}. Give both "
                "on one grid."
            )


def _looked_up(
    found: NDArray[np.int64], colors: NDArray[np.uint8], numbers: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Colour of the object at each hit."""
    rgb = np.tile(np.array(MISSING, float), (len(found), 1))
    if len(numbers):
        order = np.argsort(numbers)
        known = np.asarray(numbers, np.int64)[order]
        place = np.minimum(np.searchsorted(known, found), known.size - 1)
        listed = known[place] == found
        rgb[listed] = colors[order][place[listed]]
    return rgb


def _shrunk(
    picture: NDArray[np.float64], objects: NDArray[np.int64], bundle: Rays, camera: Camera
) -> Shaded:
    """Mean over the samples of every pixel, and the object of the one nearest its middle."""
    n = camera.supersampling
    rows, columns = (size // n for size in bundle.shape)
    mean = picture.reshape(rows, n, columns, n, 3).mean(axis=(1, 3))
    middle = objects.reshape(rows, n, columns, n)[:, n // 2, :, n // 2]
    rgb = mean.round().clip(0, 255).astype(np.uint8)
    return Shaded(rgb, middle, bundle.um_per_sample * n)
