"""A small painted cell and a model folder that says it learned from it, for what to paint next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference_fakes import random_model
from painted_cell import make_cell

from fibseg.export import save_model_folder
from fibseg.volume import Volume

SHAPE = (24, 64, 80)
SPACING = (40.0, 20.0, 20.0)
PAINTED = (3, 4)
HELD_OUT, RESERVED = 20, 12


def painted_store(
    path: Path, *, planes: Sequence[int] = (*PAINTED, HELD_OUT), **more: Any
) -> Volume:
    """Store with a painting of mitochondria on some planes."""
    return make_cell(path, shape=SHAPE, planes=planes, spacing=SPACING, **more)


def model_of(
    folder: Path, store: Volume | None, *, classes: Sequence[str] = ("mitochondria",),
    annotation: str = "annotation_mitochondria", gap_nm: float = 100.0, seed: int = 0,
    more: Sequence[str] = (), **split: Any,
) -> Path:
    """Folder of a network with random weights, which learned from the painting of `store`.

    And from that of `more` volumes, which it only knows by name.
    """
    network, spec = random_model(n_classes=len(classes), spacing=SPACING, core=64, seed=seed)
    training: dict[str, Any] = {"settings": {"data": {"gap_nm": gap_nm}}}
    if store is not None:
        training["volumes"] = [{
            "name": store.name, "raw_digest": store.raw_digest, "annotation": annotation,
            "annotation_digest": "x",
        }, *({"name": n, "raw_digest": n, "annotation": annotation} for n in more)]
        training["split"] = {
            "kind": "planes", "train_planes": {store.name: list(PAINTED)},
            "held_out": {store.name: [{"z": HELD_OUT, "boxes": None}]}, **split,
        }
    save_model_folder(folder, network, replace(spec, classes=tuple(classes), training=training))
    return folder


def arguments(store: Volume, model: Path, out: Path, **more: Any) -> dict[str, Any]:
    """Of ``fibseg suggest``: two planes, two regions each, torch."""
    return {
        "model": str(model), "volume": str(store.path), "out": str(out), "n": 2, "n_regions": 2,
        "region_nm": 400.0, "backend": "torch", **more,
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the text that names the folder itself."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "HOWTO.txt"
    }


