"""Planes of one orientation or of many, on real isotropic FIB-SEM: membranes of fly medulla.

    python benchmarks/orientations.py --data DIR --out DIR [--steps 2000]

`medulla_fibsem.npz`, 250³ voxels of 10 nm: two networks learn the boundary class of one half
(x < 125), one from XY planes, one from planes at any angle; both are tested on x ≥ 155 of the
other half, inferred along z, y and x alone and fused over the three. IoU at a probability of 0.5.
Asked: the spread over z, y and x of the network of rotated planes is at most 0.02, and fused is
best. A second run goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fibseg.cli import main as fibseg
from fibseg.metrics import Overlap
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

TRAINED = {"XY planes": "z", "rotated as in the study": "rotated", "any angle": "oblique"}
WAYS = ("z", "y", "x", "orthogonal")
FIRST_TESTED = 155
"""A receptive field and more away from what was trained on."""


def store_of(data: Path, path: Path) -> Volume:
    """The store, made at the first run."""
    if path.exists():
        return Volume.open(path)
    with np.load(data / "medulla_fibsem.npz") as file:
        image, boundary = file["image"], file["boundary"]
    store = Volume.create(
        path, shape=image.shape, dtype=np.uint8, spacing=(10.0,) * 3, polarity="dark"
    )
    store.raw()[...] = image
    finish_raw(store)
    product = store.create_labels("boundary", kind="labels", dtype=np.uint8, inputs="truth")
    product.array[...] = boundary
    finish_product(product)
    return store


def run(*words: str) -> None:
    """A command that has to succeed."""
    if fibseg(list(words)):
        raise SystemExit(f"fibseg {' '.join(words)} failed")


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    store = store_of(given.data, given.out / "medulla.ome.zarr")
    truth = np.asarray(store.labels("boundary")[:, :, FIRST_TESTED:]) > 0
    rows = []
    for name, planes in TRAINED.items():
        model = given.out / f"{planes}-{given.steps}"
        run(
            "train", "data=oblique", f"data.planes={planes}", "data.region=[0,0,0,250,250,125]",
            f"volume={store.path}", "annotation=labels/boundary", f"out={model}",
            f"trainer.max_steps={given.steps}", "trainer.max_time=null", "network=unet_small",
            "trainer.n_pictures=2",
        )
        scores = []
        for way in WAYS:
            probs = f"{planes}_{way}_{given.steps}"
            run(
                "infer", f"model={model}", f"volume={store.path}", f"name={probs}",
                f"orientations={way}", "postprocess=null", "blocks=serial",
            )
            found = np.asarray(store.probabilities(probs)[:, :, FIRST_TESTED:]) >= 128
            overlap = Overlap().update(found, truth, scored=np.ones_like(truth))
            scores.append(overlap.compute()["iou"])
        spread = max(scores[:3]) - min(scores[:3])
        rows.append(f"| {name} | " + " | ".join(f"{s:.3f}" for s in scores) + f" | {spread:.3f} |")
    print("| trained on | z | y | x | fused | spread over z, y, x |\n" + "|---" * 6 + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
