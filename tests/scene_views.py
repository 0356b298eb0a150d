"""The 3D view and the planes of a page in a browser: what is seen there, and where."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from fibseg.report.lut import PALETTES

N_MITOCHONDRIA = 40
SIZE_UM = (6.0, 10.0, 10.0)
_HIDDEN = ".colors, .card, #axes, #bar3d, .hint3d { visibility: hidden !important; }"


def pixels(tab: Any) -> NDArray[np.int64]:
    """What the 3D view shows now, without what lies over it and the frame of what has the focus."""
    tab.mouse.move(2, 2)
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    picture = tab.locator("#canvas").screenshot(style=_HIDDEN)
    return imagecodecs.png_decode(picture)[12:-12, 12:-12, :3].astype(int)


def n_drawn(picture: NDArray[np.int64]) -> int:
    """Pixels of objects: neither ground nor edge of the volume."""
    return int(np.count_nonzero(np.ptp(picture, axis=-1) > 32))


def place(tab: Any, point_um: NDArray[np.float64]) -> tuple[float, float]:
    """Where a point (z, y, x) lies on the screen if seen along z: x right, y down."""
    box = tab.locator("#canvas").bounding_box()
    half_height = 1.06 * max(SIZE_UM[1] / 2, SIZE_UM[2] / 2 * box["height"] / box["width"])
    um = 2 * half_height / box["height"]
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return (
        middle_x + (point_um[2] - SIZE_UM[2] / 2) / um,
        middle_y + (point_um[1] - SIZE_UM[1] / 2) / um,
    )


def drag(tab: Any, dx: int, dy: int) -> None:
    box = tab.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + dx, y + dy, steps=3)
    tab.mouse.up()


def plane_color(tab: Any, view: int, row: int, column: int) -> list[int]:
    """Colour and opacity of a pixel of the mitochondria in a plane."""
    return tab.evaluate(
        "([view, row, column]) => Array.from(document.querySelector(`[data-view='${view}'] "
        "canvas.layer-2`).getContext('2d').getImageData(column, row, 1, 1).data)",
        [view, row, column],
    )


def lookup(value: float, limits: tuple[float, float], name: str) -> NDArray[np.float64]:
    stops = np.array(PALETTES[name], float)
    at = np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1) * (len(stops) - 1)
    return np.array([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)])


def middle_pixel(labels: NDArray[np.uint32], label: int) -> tuple[int, int]:
    """A pixel of an object in a plane, far from its rim."""
    at = np.argwhere(labels == label)
    return tuple(at[np.argmin(np.abs(at - at.mean(axis=0)).sum(axis=1))].tolist())
