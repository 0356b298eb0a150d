"""Pores of nuclei that the network never saw, learned from pseudo-labels alone; an ablation.

    python benchmarks/pores.py --out DIR
    python benchmarks/pores.py --out DIR --seeds 21 22 --train z rotated oblique pockets_2d \
        --infer z orthogonal oblique

One phantom for each seed. On each, `fibseg pores` finds pockets and pseudo-labels, a network is
trained on a part of the nucleus, and its threshold chosen on another part, against pseudo-labels.
The test is the whole nucleus of the next seed, of which the network has seen nothing and no truth
was ever used; its true pores count, matched one to one within 60 nm. Recall is given in three
parts of equal count by |cos| of the angle between the axis of a pore and z, with Wilson intervals.
`pockets_2d` is what one would do by hand: true pockets painted on every 10th plane, a network
across z, and pockets found are counted instead, at the threshold that suits the true pockets of the
nucleus trained on best: more than one could know. Mvoxel/s is the whole volume
over the wall time of the command, start-up included, though only the shell is computed. A second
run of the same command goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.geometry import Box
from fibseg.metrics import PointScores, match_points
from fibseg.phantom import make_cell
from fibseg.pipeline.pore_level import chosen_level
from fibseg.pipeline.pore_objects import on_validation
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

WITHIN_UM = 0.06
TRAINED = {
    "z": ["data.planes=z", "data.every=0"],
    "rotated": ["data.planes=rotated", "data.every=5"],
    "oblique": [],
    "pockets_2d": [],
}
Points = NDArray[np.float64]


def fibseg(*words: str) -> float:
    """Run a command; returns its seconds."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "fibseg", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"fibseg {' '.join(words)}\n{done.stderr}")
    return time.monotonic() - begin


def phantom(folder: Path, seed: int, shape: list[int]) -> Volume:
    """Store of a phantom with its nucleus, its true pores in a file beside it."""
    path = folder / f"{seed}.ome.zarr"
    if (folder / f"{seed}.json").exists():
        return Volume.open(path)
    cell = make_cell(shape, seed=seed)
    store = Volume.create(
        path, shape=cell.image.shape, dtype=np.uint8, spacing=cell.spacing, polarity="dark"
    )
    store.raw()[...] = cell.image
    finish_raw(store)
    every_10th = (np.arange(cell.image.shape[0]) % 10 == 5)[:, None, None]
    paint = np.where(every_10th, 1 + (cell.labels["pockets"] > 0), 0)
    pockets = {"background": 1, "pocket": 2}
    for name, values, kind, classes in (
        ("nucleus", cell.labels["nucleus"], "labels", None),
        ("annotation_pockets", paint, "annotation", pockets),
    ):
        product = store.create_labels(
            name, kind=kind, dtype=np.uint8, inputs="truth", classes=classes
        )
        product.array[...] = values.astype(np.uint8)
        finish_product(product)
    z, y, x = np.nonzero(cell.labels["pockets"])
    number = cell.labels["pockets"][z, y, x]
    n = np.maximum(np.bincount(number), 1)
    middle = [
        np.bincount(number, v) / n * s / 1000
        for v, s in zip((z, y, x), cell.spacing, strict=True)
    ]
    truth = {
        "pores": np.stack([cell.pores[f"{a}_um"] for a in "zyx"], 1).tolist(),
        "cos": np.abs(cell.pores["axis_z"]).tolist(),
        "pockets": np.stack(middle, 1)[cell.pores["label"]].tolist(),
    }
    (folder / f"{seed}.json").write_text(json.dumps(truth))
    return store


@dataclass
class Tally:
    """What was found of several nuclei."""

    scores: PointScores = field(default_factory=lambda: PointScores(0, 0, 0))
    away_um: list[float] = field(default_factory=list)
    cos: list[float] = field(default_factory=list)
    hit: list[bool] = field(default_factory=list)
    mvoxel_s: list[float] = field(default_factory=list)

    def add(self, found: Points, true: Points, cos: Points) -> None:
        """Count a nucleus."""
        pairs = match_points(found, true, within=WITHIN_UM)
        self.scores += PointScores(len(found), len(true), len(pairs))
        self.away_um += np.linalg.norm(found[pairs[:, 0]] - true[pairs[:, 1]], axis=1).tolist()
        self.cos += cos.tolist()
        self.hit += np.isin(np.arange(len(true)), pairs[:, 1]).tolist()

    def rate(self) -> str:
        """Mean of Mvoxel/s; what stood there from an earlier run has none."""
        known = [rate for rate in self.mvoxel_s if rate == rate]
        return f"{np.mean(known):.2f}" if known else "–"

    def by_angle(self) -> str:
        """Recall in three parts of equal count, from across z to along z."""
        hit = np.array(self.hit)[np.argsort(self.cos)]
        return ", ".join(wilson(int(part.sum()), len(part)) for part in np.array_split(hit, 3))


def wilson(k: int, n: int, z: float = 1.96) -> str:
    """Share with its 95 % interval (Wilson 1927)."""
    middle = (k + z * z / 2) / (n + z * z)
    half = z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return f"{k / n:.2f} ({max(0, middle - half):.2f}–{min(1, middle + half):.2f})"


def learn(folder: Path, store: Volume, trained: str, minutes: str, steps: int | None) -> Path:
    """Model folder of one network."""
    model = folder / f"{store.name}.{trained}"
    limits = [f"trainer.max_time={minutes}", f"trainer.max_steps={steps or 'null'}",
              "trainer.n_pictures=2"]
    if trained == "pockets_2d":
        words = ["network=pores", "data.patch=64", "data.batch=16", "data.foreground=0.9",
                 "annotation=pockets"]
    else:
        words = ["experiment=pores", "annotation=pores", *TRAINED[trained]]
    fibseg("train", *words, f"volume={store.path}", f"out={model}", *limits)
    return model


def look(store: Volume, model: Path, trained: str, orientations: str) -> tuple[str, float]:
    """Name of the probabilities of a model in a store, and Mvoxel of the volume a second."""
    name = f"{model.name.replace('.', '_')}_{orientations}"
    if name in store.probability_names():
        return name, float("nan")
    near = "[-300,100]" if trained == "pockets_2d" else "[-150,100]"
    seconds = fibseg(
        "infer", f"model={model}", f"volume={store.path}", f"name={name}", "within=nucleus",
        f"within_nm={near}", f"orientations={orientations}", "postprocess=null", "blocks=serial",
    )
    return name, np.prod(store.shape) / 1e6 / seconds


def chosen(own: Volume, name: str, model: Path, trained: str) -> list[str]:
    """Words for the clean-up, with the threshold that suits the nucleus trained on."""
    settings = resolved(compose_verb("pores", ["volume=x"]))["objects"]
    words = ["postprocess=pores"]
    if trained == "pockets_2d":
        left_out = ("preserve_bright_particles", "split_large", "filter_objects")
        words += [f"postprocess.{step}=null" for step in left_out]
        operators = {
            key: None if key in left_out else step
            for key, step in build_parts({"steps": settings["postprocess"]})["steps"].items()
        }
        truth = np.array(truth_of(Path(own.path).parent, own)["pockets"])
        level = chosen_level(
            own.probabilities(name), np.ones(own.shape, np.uint8),
            {f"{axis}_um": truth[:, k] for k, axis in enumerate("zyx")}, operators,
            levels=settings["levels"], box=Box.whole(own.shape), spacing=own.spacing,
        ).level
    else:
        level = on_validation(
            own, name, build_parts({"steps": settings["postprocess"]})["steps"], model=str(model),
            places="pores_pseudo", annotation="annotation_pores", levels=settings["levels"],
        )["level"]
    return [*words, f"postprocess.threshold.level={level}"]


def truth_of(folder: Path, store: Volume) -> dict[str, list[Any]]:
    """Places of pores and of pockets, and how pores lie."""
    found: dict[str, list[Any]] = json.loads((folder / f"{store.name}.json").read_text())
    return found


def places(store: Volume, name: str) -> Points:
    """Centres of the objects of a table, µm."""
    table = store.table(name)
    return np.stack([table[f"centroid_{a}_um"] for a in "zyx"], axis=1)


def main() -> None:
    """Print a row for each way of training and of looking."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="where stores and models are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22, 23, 24])
    parser.add_argument("--train", nargs="+", default=["oblique"], choices=list(TRAINED))
    parser.add_argument("--infer", nargs="+", default=["orthogonal"])
    parser.add_argument("--shape", type=int, nargs=3, default=[176, 224, 224])
    parser.add_argument("--max-time", default="00:00:05:00", help="of each training")
    parser.add_argument("--steps", type=int, default=800, help="of each training, at most")
    given = parser.parse_args()
    if len(given.seeds) < 2:
        parser.error("give two seeds or more: each network is tested on the nucleus of the next")
    given.out.mkdir(parents=True, exist_ok=True)
    stores = [phantom(given.out, seed, given.shape) for seed in given.seeds]
    for store in stores:
        fibseg("pores", f"volume={store.path}", "steps=[pockets,pseudolabels]", "blocks=serial")
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for own, other in zip(stores, stores[1:] + stores[:1], strict=True):
        truth = truth_of(given.out, other)
        for trained in given.train:
            model = learn(given.out, own, trained, given.max_time, given.steps)
            for way in given.infer if trained != "pockets_2d" else ["z"]:
                tally = tallies[trained, way]
                name, _ = look(own, model, trained, way)
                words = chosen(own, name, model, trained)
                _, rate = look(other, model, trained, way)
                fibseg("objects", f"volume={other.path}", f"name={name}", *words, "overwrite=true",
                       "blocks=serial")
                what = "pockets" if trained == "pockets_2d" else "pores"
                tally.add(places(other, name), np.array(truth[what]), np.array(truth["cos"]))
                tally.mvoxel_s.append(rate)
                print(f"{own.name} to {other.name}, {trained}, {way}: {tally.scores}", flush=True)
    print("| trained on | along | pores | precision | recall | F1 | count | error, nm | recall by "
          "angle: across z, between, along z | Mvoxel/s |\n|" + "---|" * 10)
    for (trained, way), t in tallies.items():
        s = t.scores
        print(f"| {trained} | {way} | {s.n_true} | {s.precision:.3f} | {s.recall:.3f} | "
              f"{s.f1:.3f} | {s.n_found / s.n_true - 1:+.1%} | "
              f"{1000 * np.median(t.away_um or [np.nan]):.1f} | "
              f"{t.by_angle()} | {t.rate()} |")


if __name__ == "__main__":
    main()
