"""How pores were found, step by step, where most of them lie: the panels of the case study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures import annotation_overlay, gray, overlay, probability
from fibseg.pipeline.model_folders import model_folder
from fibseg.pipeline.pocket_job import POCKETS
from fibseg.pipeline.pore_network import NAME as PORES
from fibseg.pipeline.pore_network import learned_painting
from fibseg.pipeline.pseudolabels import PAINTED, PSEUDO
from fibseg.pipeline.report_facts import table_of
from fibseg.report import Drawing, Panel, panels_figure
from fibseg.types import Table
from fibseg.volume import ProductInfo, Volume

SIDE_NM = 2600.0
"""Side of the place that is shown."""
DEPTH_NM = 150.0
"""Pores within that distance of a plane count as on it when the place is chosen."""
LEAST_PIXELS = 320
"""Pictures are enlarged to so many pixels at least, so that outlines are thin."""
POCKET, PORE = (0, 158, 115), (213, 94, 0)


def pore_figures(store: Volume, name: str) -> dict[str, Drawing]:
    """The steps from image to pores at one place; nothing where some of them are not there.

    A step is left out whose product has been made anew since, or of something else, so that what
    is shown beside each other belongs together. The caption tells.
    """
    table = table_of(store, name)
    needed = {POCKETS, PSEUDO, PORES}
    if (
        name != PORES or table is None or not len(table["label"])
        or not needed <= {*store.label_names(kind="labels")}
        or PAINTED not in store.label_names(kind="annotation")
        or PORES not in store.probability_names()
    ):
        return {}
    linked = chained(store)
    if "probabilities" not in linked:
        return {}
    z, ys, xs = _place(store, table)
    factor = max(1, -(-LEAST_PIXELS // (ys.stop - ys.start)))

    def cut(array: Any) -> NDArray[Any]:
        """What is seen of an array."""
        return _enlarged(np.asarray(array[z, ys, xs]), factor)

    raw = gray(cut(store.raw()), invert=store.polarity == "dark")
    pictures: dict[str, tuple[str, Callable[[], NDArray[np.uint8]]]] = {
        "image": ("image", lambda: raw),
        "pockets": (
            "pockets", lambda: overlay(raw, cut(store.labels(POCKETS)), color=POCKET)
        ),
        "pseudo-labels": (
            "pseudo-labels of pores", lambda: overlay(raw, cut(store.labels(PSEUDO)), color=PORE)
        ),
        "what was learned from": (
            "learned from; hatched: unlabelled",
            lambda: annotation_overlay(raw, cut(store.labels(PAINTED)), colors={2: PORE}),
        ),
        "probabilities": (
            "probability of the network", lambda: probability(cut(store.probabilities(PORES)))
        ),
        "pores": ("pores", lambda: overlay(raw, cut(store.labels(PORES)), color=PORE)),
    }
    spacing = store.spacing[1] / factor, store.spacing[2] / factor
    left_out = [step for step in pictures if step not in linked]
    note = f" (left out, as these pores did not come from it: {', '.join(left_out)})"
    return {f"From the image to pores{note if left_out else ''}": panels_figure([
        Panel(_rgb(draw()), title, spacing)
        for step, (title, draw) in pictures.items() if step in linked
    ])}


def chained(store: Volume) -> set[str]:
    """Which steps to the pores that stand there were made one of the other, back from the pores.

    Raises
    ------
    DataError
        If a product is missing.
    """
    linked = {"image", "pores"}
    pores, probs = store.labels_info(PORES), store.probabilities_info(PORES)
    painted, pseudo, pockets = (store.labels_info(n) for n in (PAINTED, PSEUDO, POCKETS))
    links: dict[str, Callable[[], bool]] = {
        "probabilities": lambda: (
            pores.derived_from == f"probabilities/{PORES}" and pores.source_digest == probs.digest
        ),
        "what was learned from": lambda: (
            learned_painting(store, model_folder(store, PORES)) == painted.digest
        ),
        "pseudo-labels": lambda: pseudo.inputs == painted.inputs,
        "pockets": lambda: (
            pseudo.derived_from == f"labels/{POCKETS}" and pseudo.source_digest == pockets.digest
            and _of_nucleus_of_now(store, pockets)
        ),
    }
    for step, holds in links.items():
        if not holds():
            break
        linked.add(step)
    return linked


def _of_nucleus_of_now(store: Volume, pockets: ProductInfo) -> bool:
    """Whether pockets were found in a nucleus as it is now."""
    nucleus = str(pockets.derived_from).removeprefix("labels/")
    return nucleus in store.label_names() and (
        store.labels_info(nucleus).digest == pockets.source_digest
    )


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
