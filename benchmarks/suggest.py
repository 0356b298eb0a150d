"""What is gained by painting what `fibseg suggest` says, beside random and evenly spread choice.

    python benchmarks/suggest.py --data DIR --out FOLDER
    python benchmarks/suggest.py --data DIR --out FOLDER --table

A painter who never errs begins with three regions on each of two planes, drawn at random, and twice
paints as many again: where `fibseg suggest` says (its defaults for uncertainty and diversity), at
random, or evenly spread, as people do. After each round a network is trained anew. Everything else
is the same for all ways within a repetition: the first regions, seeds, steps, sizes, gaps.

sbem: the part of 20 planes left of (in every other repetition: right of) x = 680 is painted; tested
are seven planes of what lies beyond a gap of 640 nm on the other side, which is never suggested.
phantom: another cell for each repetition; planes 0-63 are painted, 72-95 tested.

IoU of the test at probability 0.5. Differences are paired by repetition; 95 % intervals are of
drawn repetitions (percentiles, 10 000 draws). Each finished round is a JSON file: the same command
goes on where it was killed. Round 0 also says, for each kind of uncertainty, how it goes with the
share of wrong pixels of a region (Spearman's coefficient over all regions of all planes).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from fibseg.data import SparseData
from fibseg.export import load_network
from fibseg.inference import predict_planes, predict_views
from fibseg.metrics import UNCERTAINTIES, region_boxes, region_edges, region_means
from fibseg.models import NetworkSpec
from fibseg.phantom import make_cell
from fibseg.pipeline import suggest, train
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.training import TrainerSettings
from fibseg.types import Spacing
from fibseg.volume import Volume, fingerprint

NAME = "mitochondria"
N_PLANES, N_REGIONS, ROUNDS = 2, 3, 2
GAP_NM = 60.0
SUGGESTED: dict[str, dict[str, Any]] = {
    "suggested": {}, "unsure alone": {"diversity": 0.0}, "new alone": {"diversity": 1.0},
    "views": {"uncertainty": "views"},
}
"""Ways that ask `fibseg suggest`, with what differs from its defaults."""
WAYS = ("suggested", "random", "even")
Place = tuple[int, int, int, int, int]
"""Plane, y0, x0, y1, x1."""


@dataclass(frozen=True)
class Sample:
    """A volume to paint, with its truth, and planes to test on that lie elsewhere."""

    image: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    test_image: NDArray[np.uint8]
    test_truth: NDArray[np.bool_]
    spacing: Spacing
    region_nm: float

    @property
    def places(self) -> list[Place]:
        """Every region of every plane, as `fibseg suggest` parts them."""
        ys, xs = (
            region_edges(n, self.region_nm / s)
            for n, s in zip(self.image.shape[1:], self.spacing[1:], strict=True)
        )
        return [(z, *box) for z in range(len(self.image)) for box in region_boxes(ys, xs)]


def sbem(data: Path, repeat: int) -> Sample:
    """Real tissue; which side is painted changes from repetition to repetition."""
    with np.load(data / "sbem_mitochondria.npz") as arrays:
        image, truth = arrays["image"], arrays["labels"] > 0
    if repeat % 2:
        image, truth = image[..., ::-1], truth[..., ::-1]
    return Sample(
        image[..., :680], truth[..., :680], image[::3, :, 744:], truth[::3, :, 744:],
        (30.0, 10.0, 10.0), 1500.0,
    )


def phantom(data: Path, repeat: int) -> Sample:
    """A cell of its own."""
    cell = make_cell((96, 160, 160), seed=100 + repeat, pores=False)
    truth = cell.labels[NAME] > 0
    return Sample(
        cell.image[:64], truth[:64], cell.image[72::4], truth[72::4], (20.0, 20.0, 20.0), 800.0
    )


SAMPLES: dict[str, Callable[[Path, int], Sample]] = {"sbem": sbem, "phantom": phantom}


def store_of(path: Path, image: NDArray[np.uint8], spacing: Spacing) -> Volume:
    """A store of the image; one that stands is taken."""
    if (path.parent / f"{path.name}.done").exists():
        return Volume.open(path)
    shutil.rmtree(path, ignore_errors=True)
    store = Volume.create(
        path, shape=image.shape, dtype=np.uint8, spacing=spacing, polarity="dark"
    )
    store.raw()[...] = image
    finish_raw(store)
    (path.parent / f"{path.name}.done").touch()
    return Volume.open(path)


def paint(store: Volume, sample: Sample, places: list[Place]) -> None:
    """The truth in these regions becomes the painting of the store."""
    product = store.create_labels(
        NAME, kind="annotation", dtype=np.uint8, inputs=fingerprint({"places": places}),
        classes={NAME: 2}, overwrite=True,
    )
    if product.complete:
        return
    painting = np.zeros(store.shape, np.uint8)
    for z, y0, x0, y1, x1 in places:
        painting[z, y0:y1, x0:x1] = 1 + sample.truth[z, y0:y1, x0:x1]
    product.array[...] = painting
    finish_product(product)


def trained(store: Volume, folder: Path, *, steps: int, seed: int) -> Path:
    """Folder of a network that learned from all that is painted."""
    shutil.rmtree(folder, ignore_errors=True)
    train.run(
        volume=str(store.path), annotation=NAME, out=str(folder), seed=seed,
        network=NetworkSpec(features=(8, 16, 32)),
        data=SparseData(patch=64, batch=8, pixel_nm=20.0, split="none", gap_nm=GAP_NM),
        trainer=TrainerSettings(
            max_time=None, max_steps=steps, threads=1, precision="bf16", n_pictures=0, ema=0.98,
        ),
    )
    return folder


def iou(model: Path, store: Volume, truth: NDArray[np.bool_]) -> float:
    """Of all test planes together."""
    network, spec = load_network(model)
    found = predict_planes(network, spec, store, range(len(truth)), backend="torch")
    both = either = 0
    for (probs,), true in zip(found, truth, strict=True):
        mask = probs >= 128
        both += int((mask & true).sum())
        either += int((mask | true).sum())
    return both / max(either, 1)


def first_places(sample: Sample, rng: np.random.Generator) -> list[Place]:
    """Drawn at random, until both mitochondria and background are there."""
    while True:
        places = at_random(sample, [], rng)
        shares = [sample.truth[z, y0:y1, x0:x1].mean() for z, y0, x0, y1, x1 in places]
        if 0.02 < np.mean(shares) < 0.9:
            return places


def far(z: int, painted: list[int], spacing: Spacing) -> bool:
    """Whether a plane keeps the gap, as `fibseg suggest` has it."""
    return all(abs(z - k) * spacing[0] >= GAP_NM - 1e-6 for k in painted)


def at_random(sample: Sample, before: list[Place], rng: np.random.Generator) -> list[Place]:
    """Planes that keep the gap, and regions of them, all as likely."""
    chosen: list[Place] = []
    for _ in range(N_PLANES):
        taken = sorted({p[0] for p in (*before, *chosen)})
        free = [z for z in range(len(sample.image)) if far(z, taken, sample.spacing)]
        z = int(rng.choice(free))
        here = [p for p in sample.places if p[0] == z]
        chosen += [here[i] for i in rng.choice(len(here), N_REGIONS, replace=False)]
    return chosen


def evenly(sample: Sample, before: list[Place], rng: np.random.Generator) -> list[Place]:
    """Each plane as far from all painted ones as can be, each region from all painted in (y, x).

    Where several are as far, one of them at random.
    """
    chosen: list[Place] = []
    for _ in range(N_PLANES):
        taken = sorted({p[0] for p in (*before, *chosen)})
        free = [z for z in range(len(sample.image)) if far(z, taken, sample.spacing)]
        z = _farthest(free, [min(abs(z - k) for k in taken) for z in free], rng)
        for _ in range(N_REGIONS):
            there = [_middle(p) for p in (*before, *chosen)]
            here = [p for p in sample.places if p[0] == z and p not in chosen]
            away = [min(np.hypot(*(a - b)) for b in there) for a in map(_middle, here)]
            chosen.append(_farthest(here, away, rng))
    return chosen


def _farthest(items: list[Any], away: list[float], rng: np.random.Generator) -> Any:
    best = np.flatnonzero(np.array(away) >= max(away) - 1e-9)
    return items[int(rng.choice(best))]


def _middle(place: Place) -> NDArray[np.float64]:
    _, y0, x0, y1, x1 = place
    return np.array([(y0 + y1) / 2, (x0 + x1) / 2])


def asked(way: str, store: Volume, model: Path, out: Path, sample: Sample) -> list[Place]:
    """What `fibseg suggest` says."""
    shutil.rmtree(out, ignore_errors=True)
    suggest.run(
        model=str(model), volume=str(store.path), out=str(out), n=N_PLANES, n_regions=N_REGIONS,
        region_nm=sample.region_nm, gap_nm=GAP_NM, backend="torch", **SUGGESTED[way],
    )
    with (out / "suggestions.csv").open(encoding="utf-8") as file:
        rows = [[int(row[k]) for k in ("plane", "y0", "x0", "y1", "x1")]
                for row in csv.DictReader(file)]
    return [(z, y0, x0, y1, x1) for z, y0, x0, y1, x1 in rows]


def correlations(model: Path, store: Volume, sample: Sample) -> dict[str, float]:
    """Of uncertainty and the share of wrong pixels, over regions of all planes, by its kind."""
    network, spec = load_network(model)
    ys, xs = (
        region_edges(n, sample.region_nm / s)
        for n, s in zip(sample.image.shape[1:], sample.spacing[1:], strict=True)
    )
    planes = range(0, len(sample.image), max(1, len(sample.image) // 16))
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in UNCERTAINTIES}
    wrong = []
    for z, views in zip(
        planes, predict_views(network, spec, store, planes, backend="torch"), strict=True
    ):
        wrong.append(region_means((views[0, 0] >= 128) != sample.truth[z], ys, xs))
        for name, unsure in UNCERTAINTIES.items():
            of = views if name == "views" else views[:1]
            found[name].append(region_means(unsure(of), ys, xs))
    truth = np.concatenate(wrong)
    return {
        name: float(stats.spearmanr(np.concatenate(values), truth).statistic)
        for name, values in found.items()
    }


def run_repeat(
    name: str, data: Path, folder: Path, repeat: int, *, steps: int, ways: list[str]
) -> None:
    """All rounds of all ways of a repetition that are not finished yet."""
    here = folder / name / f"{repeat:02d}"
    wanted = [here / f"{way}-{r}.json" for way in ways for r in range(1, ROUNDS + 1)]
    if all(path.exists() for path in (here / "start-0.json", *wanted)):
        return
    here.mkdir(parents=True, exist_ok=True)
    sample = SAMPLES[name](data, repeat)
    store = store_of(here / "pool.ome.zarr", sample.image, sample.spacing)
    test = store_of(here / "test.ome.zarr", sample.test_image, sample.spacing)

    def one_round(way: str, number: int, places: list[Place]) -> None:
        """Paint, train, test, and keep the result."""
        begin = time.monotonic()
        paint(store, sample, places)
        model = trained(store, here / f"{way}-{number}", steps=steps, seed=repeat)
        result: dict[str, Any] = {
            "way": way, "round": number, "repeat": repeat, "steps": steps, "places": places,
            "iou": iou(model, test, sample.test_truth), "seconds": time.monotonic() - begin,
        }
        if number == 0:
            result["spearman"] = correlations(model, store, sample)
        path = here / f"{way}-{number}.json"
        path.with_suffix(".partial").write_text(json.dumps(result) + "\n")
        path.with_suffix(".partial").replace(path)
        print(f"{name} {repeat} {way} {number}: {result['iou']:.3f}, {result['seconds']:.0f} s",
              flush=True)  # fmt: skip

    if not (here / "start-0.json").exists():
        one_round("start", 0, first_places(sample, np.random.default_rng([repeat, 0])))
    for way in ways:
        before = _read(here / "start-0.json")
        for number in range(1, ROUNDS + 1):
            path = here / f"{way}-{number}.json"
            if not path.exists():
                places = [(z, a, b, c, d) for z, a, b, c, d in before["places"]]
                rng = np.random.default_rng([repeat, number])
                if way in SUGGESTED:
                    paint(store, sample, places)  # a killed round may have left another painting
                    model = here / f"{before['way']}-{before['round']}"
                    new = asked(way, store, model, here / f"{way}-{number}-next", sample)
                else:
                    new = {"random": at_random, "even": evenly}[way](sample, places, rng)
                one_round(way, number, [*places, *new])
            before = _read(path)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def interval(values: NDArray[np.float64]) -> str:
    """Mean with the 95 % interval from drawing repetitions."""
    if len(values) < 2:
        return f"{values.mean():+.3f}"
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(0, len(values), (10_000, len(values)))].mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def table(folder: Path, name: str, ways: list[str]) -> None:
    """Print what is known of repetitions that all ways have finished."""
    done = [
        here for here in sorted((folder / name).glob("[0-9]*"))
        if all((here / f"{way}-{ROUNDS}.json").exists() for way in ways)
    ]
    starts = [_read(p) for p in sorted((folder / name).glob("[0-9]*/start-0.json"))]
    if starts:
        words = ", ".join(
            f"{kind} {np.mean([s['spearman'][kind] for s in starts]):.3f}" for kind in UNCERTAINTIES
        )
        print(f"\n{name}: uncertainty and error of regions, Spearman, {len(starts)} cells: {words}")
    if not done:
        return
    scores = {
        (way, r): np.array([_read(h / f"{way}-{r}.json")["iou"] for h in done])
        for way in ways for r in range(1, ROUNDS + 1)
    }
    start = np.array([_read(h / "start-0.json")["iou"] for h in done])
    print(f"{len(done)} repetitions, first round {start.mean():.3f}\n")
    print("| way | round 1 | round 2 | suggested less this, round 1 | round 2 | both |")
    print("|---|---|---|---|---|---|")
    for way in ways:
        cells = [f"{scores[way, r].mean():.3f}" for r in (1, 2)]
        gaps = [scores[ways[0], r] - scores[way, r] for r in (1, 2)]
        told = [interval(g) for g in (*gaps, np.mean(gaps, axis=0))]
        cells += told if way != ways[0] else [""] * 3
        print(f"| {way} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder that is kept")
    parser.add_argument("--samples", nargs="+", choices=list(SAMPLES), default=list(SAMPLES))
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--table", action="store_true", help="only print what is known")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger().setLevel(logging.ERROR)
    if not options.table:
        for repeat in range(options.repeats):
            for name in options.samples:
                with contextlib.redirect_stderr(io.StringIO()):
                    run_repeat(
                        name, options.data, options.out, repeat, steps=options.steps,
                        ways=options.ways,
                    )
    for name in options.samples:
        table(options.out, name, options.ways or list(WAYS))


if __name__ == "__main__":
    main()
