"""``fibseg paint``: planes to paint in Fiji or napari, with masks that can be imported back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.pipeline.paint_folder import IMAGE, PaintFolder, open_folder
from fibseg.progress import track
from fibseg.volume import Volume


def run(
    *, volume: str, out: str, name: str = "objects",
    classes: Mapping[str, int] | Sequence[str] | None = None, every: int = 10,
    planes: Sequence[int] | None = None, blocks: Runner | None = None,
) -> dict[str, Any]:
    """Planes and masks to paint; where they are, and what to type when they are painted.

    The same command again adds what is missing; masks that stand are kept as they are.

    Parameters
    ----------
    volume
        Path of the store.
    out
        Folder that is made, or added to.
    name, classes
        Of the painting, as for ``fibseg import``; what is painted of that name already is taken
        over, with its classes.
    every, planes
        Every how many planes of the volume, or which ones.
    blocks
        Where planes that are painted already are looked for.

    Raises
    ------
    UsageError
        If planes lie outside the volume, or names and classes cannot be.
    ExistsError
        If the folder was made for another volume or painting.
    """
    store = Volume.open(volume)
    folder = open_folder(store, Path(out), name, classes)
    chosen = chosen_planes(store.shape[0], every, planes)
    before = folder.painted(runner=blocks)
    folder.begin()
    wanted = sorted({*chosen, *before})
    n_kept = sum(
        not folder.write(z)
        for z in track(wanted, total=len(wanted), label="paint", unit="plane")
    )
    return summary(folder, n_planes=len(wanted), n_painted=len(before), n_kept=n_kept)


def chosen_planes(depth: int, every: int, planes: Sequence[int] | None) -> list[int]:
    """Numbers of the planes to paint: those that are named, or every so many from half of that on.

    >>> chosen_planes(30, 10, None), chosen_planes(30, 10, [3, 1])
    ([5, 15, 25], [1, 3])

    Raises
    ------
    UsageError
        If there is no such plane.
    """
    if planes is None:
        if every < 1:
            raise UsageError(f"every={every} is no number of planes. Use 1 or more, e.g. 10.")
        return list(range(min(every // 2, depth - 1), depth, every))
    outside = [z for z in planes if not 0 <= z < depth]
    if outside or not planes:
        raise UsageError(
            f"planes={list(planes)}: the volume has the planes 0 to {depth - 1}"
            + (f", not {outside}." if outside else ". Name at least one.")
        )
    return sorted(set(planes))


def summary(
    folder: PaintFolder, *, n_planes: int, n_painted: int, n_kept: int
) -> dict[str, Any]:
    """What the command prints."""
    return {
        "image": str(folder.folder / IMAGE),
        "masks": str(folder.folder / folder.name),
        "planes": n_planes,
        **({"painted before": n_painted} if n_painted else {}),
        **({"masks left as they were": n_kept} if n_kept else {}),
        "when painted": folder.import_command,
    }
