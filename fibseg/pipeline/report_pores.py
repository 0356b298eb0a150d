"""How pores were found, step by step, where most of them lie: the panels of the case study."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures import annotation_overlay, gray, overlay, probability
from fibseg.pipeline.report_facts import table_of
from fibseg.report import Drawing, Panel, panels_figure
from fibseg.types import Table
from fibseg.volume import Volume

PORES = "pores"
SIDE_NM = 2600.0
"""Side of the place that is shown."""
DEPTH_NM = 150.0
"""Pores within that distance of a plane count as on it when the place is chosen."""
LEAST_PIXELS = 320
"""Pictures are enlarged to so many pixels at least, so that outlines are thin."""
POCKET, PORE = (0, 158, 115), (213, 94, 0)


def pore_figures(store: Volume, name: str) -> dict[str, Drawing]:
    """The steps from image to pores at one place; nothing where some of them are not there."""
    table = table_of(store, name)
    needed = {"pockets", "pores_pseudo", PORES}
    if (
        name != PORES or table is None or not len(table["label"])
        or not needed <= {*store.label_names(kind="labels")}
        or "annotation_pores" not in store.label_names(kind="annotation")
        or PORES not in store.probability_names()
    ):
        return {}
    z, ys, xs = _place(store, table)
    factor = max(1, -(-LEAST_PIXELS // (ys.stop - ys.start)))

    def cut(array: Any) -> NDArray[Any]:
        """What is seen of an array."""
        return _enlarged(np.asarray(array[z, ys, xs]), factor)

    raw = gray(cut(store.raw()), invert=store.polarity == "dark")
    pockets, pseudo, pores = (
        cut(store.labels(n)) for n in ("pockets", "pores_pseudo", PORES)
    )
    painted = cut(store.labels("annotation_pores"))
    pictures = {
        "image": raw,
        "pockets": overlay(raw, pockets, color=POCKET),
        "pseudo-labels of pores": overlay(raw, pseudo, color=PORE),
        "learned from; hatched: unlabelled": annotation_overlay(raw, painted, colors={2: PORE}),
        "probability of the network": probability(cut(store.probabilities(PORES))),
        "pores": overlay(raw, pores, color=PORE),
    }
    spacing = store.spacing[1] / factor, store.spacing[2] / factor
    return {"From the image to pores": panels_figure([
        Panel(_rgb(picture), title, spacing) for title, picture in pictures.items()
    ])}


def _place(store: Volume, table: Table) -> tuple[int, slice, slice]:
    """The plane and the window that show most pores."""
    centres = np.stack([table[f"centroid_{a}_um"] for a in "zyx"], axis=1) * 1000
    half = np.array([DEPTH_NM, SIDE_NM / 2, SIDE_NM / 2])
    chosen = centres[:: max(1, len(centres) // 2000)]
    counts = [int((np.abs(centres - c) <= half).all(axis=1).sum()) for c in chosen]
    z, y, x = (
        round(float(v / s)) for v, s in zip(chosen[int(np.argmax(counts))], store.spacing,
                                            strict=True)
    )
    windows = []
    for middle, size, n in zip((y, x), store.spacing[1:], store.shape[1:], strict=True):
        side = min(n, round(SIDE_NM / size))
        start = min(max(0, middle - side // 2), n - side)
        windows.append(slice(start, start + side))
    return z, windows[0], windows[1]


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture as one with colours."""
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _enlarged(plane: NDArray[Any], factor: int) -> NDArray[Any]:
    """Every pixel as a square of so many."""
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)
