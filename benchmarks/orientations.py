"""Planes of one orientation or of many, learned from dense labels of one half of a volume.

    python benchmarks/orientations.py --data DIR --out DIR [--steps 2000] [--context 1]
    python benchmarks/orientations.py --sample phantom --out DIR [--steps 600]

Membranes of real isotropic FIB-SEM (`medulla_fibsem.npz`, 250³ voxels of 10 nm), or mitochondria
of the built-in phantom (176 × 224 × 224 of 20 nm). Networks learn from one half: from XY planes,
from the planes of the case study, from planes at any angle. All are tested on the other half,
a receptive field and more away, inferred along z, y and x alone and fused over the three. IoU at a
probability of 0.5. Asked of the membranes: the spread over z, y and x of rotated training is at
most 0.02, and fused is best. A second run goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.cli import main as fibseg
from fibseg.metrics import Overlap
from fibseg.phantom import make_cell
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.types import Spacing
from fibseg.volume import Volume

TRAINED = {"z": "XY planes", "rotated": "rotated as in the study", "oblique": "any angle"}
WAYS = ("z", "y", "x", "orthogonal")


@dataclass(frozen=True)
class Sample:
    """A volume with dense labels; voxels of x below `n_trained` are learned from."""

    name: str
    spacing: Spacing
    n_trained: int
    first_tested: int

    def arrays(self, data: Path | None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Image and labels."""
        if self.name == "mitochondria":
            cell = make_cell((176, 224, 224), seed=31)
            return cell.image, cell.labels["mitochondria"] > 0
        if data is None:
            raise SystemExit("--data: where does medulla_fibsem.npz lie?")
        with np.load(data / "medulla_fibsem.npz") as file:
            return file["image"], file["boundary"]

    def store(self, data: Path | None, path: Path) -> Volume:
        """The store, made at the first run."""
        if path.exists():
            return Volume.open(path)
        image, labels = self.arrays(data)
        store = Volume.create(
            path, shape=image.shape, dtype=np.uint8, spacing=self.spacing, polarity="dark"
        )
        store.raw()[...] = image
        finish_raw(store)
        product = store.create_labels(self.name, kind="labels", dtype=np.uint8, inputs="truth")
        product.array[...] = labels
        finish_product(product)
        return store


SAMPLES = {
    "medulla": Sample("boundary", (10.0,) * 3, n_trained=125, first_tested=155),
    "phantom": Sample("mitochondria", (20.0,) * 3, n_trained=112, first_tested=142),
}


def run(*words: str) -> None:
    """A command that has to succeed."""
    if fibseg(list(words)):
        raise SystemExit(f"fibseg {' '.join(words)} failed")


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sample", choices=list(SAMPLES), default="medulla")
    parser.add_argument("--data", type=Path, help="folder of medulla_fibsem.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--context", type=int, default=0, help="neighbouring planes on each side")
    parser.add_argument("--train", nargs="+", choices=list(TRAINED), default=list(TRAINED))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sample = SAMPLES[given.sample]
    store = sample.store(given.data, given.out / f"{given.sample}.ome.zarr")
    truth = np.asarray(store.labels(sample.name)[:, :, sample.first_tested :]) > 0
    region = [0, 0, 0, *store.shape[:2], sample.n_trained]
    rows = []
    for planes in given.train:
        kind = f"{planes}_{given.steps}" + (f"_c{given.context}" if given.context else "")
        model = given.out / f"{given.sample}_{kind}"
        run(
            "train", "data=oblique", f"data.planes={planes}", f"data.region={region}",
            f"volume={store.path}", f"annotation=labels/{sample.name}", f"out={model}",
            f"trainer.max_steps={given.steps}", "trainer.max_time=null", "network=unet_small",
            "trainer.n_pictures=2",
            f"network.context={given.context}",
        )
        scores = []
        for way in WAYS:
            probs = f"{kind}_{way}"
            run(
                "infer", f"model={model}", f"volume={store.path}", f"name={probs}",
                f"orientations={way}", "postprocess=null", "blocks=serial",
            )
            probabilities = store.probabilities(probs)
            found = np.asarray(probabilities[:, :, sample.first_tested :]) >= 128
            overlap = Overlap().update(found, truth, scored=np.ones_like(truth))
            scores.append(overlap.compute()["iou"])
        spread = max(scores[:3]) - min(scores[:3])
        cells = [TRAINED[planes], *(f"{score:.3f}" for score in [*scores, spread])]
        rows.append(f"| {' | '.join(cells)} |")
    print("| trained on | z | y | x | fused | spread over z, y, x |\n" + "|---" * 6 + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
