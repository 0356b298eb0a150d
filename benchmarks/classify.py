"""`fibseg classify`: IoU from 200 painted voxels, and seconds per gigavoxel of raw.

    python benchmarks/classify.py phantom [--cells 3] [--paintings 3]
    python benchmarks/classify.py speed [--shape 1024 1024 1024] [--precision 40 80]

Targets: IoU of at least 0.97 with the phantom's cell; the rate is stated. "forest alone" is what
the coarse level gives without the second forest at the border; "random forest" has fitted
thresholds (scikit-learn's RandomForestClassifier) instead of random ones. For the speed a cell with
texture and a membrane is made, voxels of 8 nm, and 200 voxels of it are painted; time from store to
store, training included, clean-up not.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Processes, Serial
from fibseg.phantom import dabbed_annotation, make_cell
from fibseg.phantom.dabs import DAB
from fibseg.pipeline import classify, classify_train
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.postprocess import components, fill_holes, keep_largest, threshold
from fibseg.volume import Volume

CLEAN_UP = {
    "threshold": partial(threshold, level=0.5),
    "largest": partial(keep_largest, n=1, connectivity=6),
    "fill_holes": partial(fill_holes), "components": partial(components),
}
NM = 8.0


def iou(found: NDArray[Any], truth: NDArray[Any]) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@contextmanager
def patched(**names: Any) -> Iterator[None]:
    """Time in which the training has other settings."""
    before = {name: getattr(classify_train, name) for name in names}
    vars(classify_train).update(names)
    try:
        yield
    finally:
        vars(classify_train).update(before)


def random_forest(features: NDArray[Any], values: NDArray[Any], *, n_trees: int, seed: int) -> Any:
    """Trees whose thresholds are fitted."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_trees, class_weight="balanced", random_state=seed
    ).fit(features, values)


def phantoms(n_cells: int, n_paintings: int) -> None:
    """Scores on the demo's phantoms, each painted anew several times."""
    alone = {**classify_train.SIGMAS, "border": ()}
    ways: dict[str, tuple[float, dict[str, Any]]] = {
        "fibseg, 40 nm": (40.0, {}), "forest alone, 40 nm": (40.0, {"SIGMAS": alone}),
        "random forest, 40 nm": (40.0, {"fit_forest": random_forest}),
    }
    scores: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for seed in range(n_cells):
        cell = make_cell(seed=seed)
        truth = cell.labels["cell"]
        with tempfile.TemporaryDirectory() as name:
            store = Volume.create(
                Path(name) / "cell.ome.zarr", shape=cell.image.shape, dtype=np.uint8,
                spacing=cell.spacing, polarity="dark",
            )
            store.raw()[:] = cell.image
            finish_raw(store)
            for n in range(n_paintings):
                paint(store, f"p{n}", dabbed_annotation(truth, seed=n, spacing=cell.spacing))
            for n, (way, (nm, changes)) in itertools.product(range(n_paintings), ways.items()):
                with patched(**changes):
                    classify.run(
                        volume=str(store.path), annotation=f"p{n}", name="cell", precision_nm=nm,
                        model=f"{name}/{way}-{n}", postprocess=CLEAN_UP, overwrite=True,
                    )
                probs, labels = store.probabilities("cell")[:], store.labels("cell")[:]
                scores[way].append((iou(probs >= 128, truth), iou(labels > 0, truth)))
    for way, found in scores.items():
        raw, clean = np.array(found).T
        sys.stdout.write(
            f"{way:<22} probabilities {raw.mean():.3f} (least {raw.min():.3f}), "
            f"the cell {clean.mean():.3f} (least {clean.min():.3f})\n"
        )


def paint(store: Volume, name: str, annotation: NDArray[np.uint8]) -> None:
    """Store a painting of the class `cell`."""
    product = store.create_labels(
        name, kind="annotation", dtype=np.uint8, inputs=name, classes={"cell": 2}
    )
    product.array[...] = annotation
    finish_product(product)


def outside_nm(shape: tuple[int, ...], z: NDArray[Any]) -> NDArray[np.float32]:
    """Distance from the membrane in nm, about, of whole planes `z`: a ball with waves on it."""
    y, x = (np.arange(n, dtype=np.float32) - n / 2 for n in shape[1:])
    z = (z - shape[0] / 2).astype(np.float32)[:, None, None]
    y, x = y[:, None], x[None, :]
    radius = np.sqrt(z**2 + y**2 + x**2)
    waves = 12 * np.sin(z / 41) * np.sin(y / 37) * np.sin(x / 43)
    return np.float32(NM) * (radius + waves.astype(np.float32) - np.float32(0.42 * min(shape)))


def make_volume(path: Path, shape: tuple[int, int, int]) -> Volume:
    """A cell in resin, written slab by slab, and its painting."""
    volume = Volume.create(
        path, shape=shape, dtype=np.uint8, spacing=(NM, NM, NM), polarity="dark"
    )
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 8, (64, *shape[1:])).astype(np.float32)
    grain = np.repeat(np.repeat(rng.normal(0, 22, (64, *(-(-n // 6) for n in shape[1:]))), 6, 1),
                      6, 2)[:, : shape[1], : shape[2]].astype(np.float32)
    product = volume.create_labels(
        "cell", kind="annotation", dtype=np.uint8, inputs="cell", classes={"cell": 2}
    )
    for z in range(0, shape[0], 64):
        planes = np.arange(z, min(z + 64, shape[0]))
        away = outside_nm(shape, planes)
        image = np.where(away < 0, 155 + grain[: len(planes)], 205)
        image -= 90 * np.exp(-((away / 12) ** 2))
        volume.raw()[z : z + 64] = np.clip(image + noise[: len(planes)], 0, 255).astype(np.uint8)
        product.array[z : z + 64] = dabs(away, max(1, 200 // DAB * len(planes) // shape[0]), rng)
    finish_raw(volume)
    finish_product(product)
    return volume


def dabs(away: NDArray[Any], n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Painting of a slab: `n` rows of 10 voxels, in turn inside and outside, near and anywhere."""
    out = np.zeros(away.shape, np.uint8)
    for number in range(n):
        z = int(rng.integers(len(away)))
        plane = away[z]
        side = plane < -8 if number % 2 else plane > 8
        near = side & (np.abs(plane) < 60)
        spots = np.argwhere((near if number % 4 < 2 and near.any() else side)[:, :-DAB])
        if len(spots):
            y, x = spots[rng.integers(len(spots))]
            row = away[z, y, x : x + DAB]
            out[z, y, x : x + DAB] = np.where(row < 0, 2, 1)
    return out


def speed(shape: tuple[int, int, int], precisions: list[float], keep: Path | None) -> None:
    """Time of the whole command, probabilities only, and how good they are."""
    runners: dict[str, Callable[[], Any]] = {"one process": Serial, "processes": Processes}
    with tempfile.TemporaryDirectory() as name:
        path = (keep or Path(name)) / f"{'x'.join(map(str, shape))}.ome.zarr"
        volume = Volume.open(path) if path.exists() else make_volume(path, shape)
        for nm, (words, runner) in itertools.product(precisions, runners.items()):
            shutil.rmtree(path / "probabilities", ignore_errors=True)
            begin = time.perf_counter()
            made = classify.run(
                volume=str(path), annotation="cell", name="cell", precision_nm=nm,
                model=f"{name}/{nm}-{words}", blocks=runner(),
            )["probabilities/cell"]
            seconds, giga = time.perf_counter() - begin, np.prod(shape) / 1e9
            sys.stdout.write(
                f"{giga:.2f} gigavoxels at {NM:g} nm, precision {nm:g} nm, {words}: "
                f"{seconds:.1f} s in all, {made['seconds'] / giga:.1f} s per gigavoxel for the "
                f"probabilities, IoU {score(volume, shape):.4f}\n"
            )
            sys.stdout.flush()


def score(volume: Volume, shape: tuple[int, int, int]) -> float:
    """IoU of the probabilities with the truth, slab by slab."""
    both, either = 0, 0
    for z in range(0, shape[0], 64):
        planes = np.arange(z, min(z + 64, shape[0]))
        found = volume.probabilities("cell")[z : z + 64] >= 128
        truth = outside_nm(shape, planes) < 0
        both, either = both + (found & truth).sum(), either + (found | truth).sum()
    return float(both / either)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["phantom", "speed"])
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--paintings", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=[1024, 1024, 1024])
    parser.add_argument("--precision", type=float, nargs="+", default=[40.0, 80.0])
    parser.add_argument("--keep", type=Path, help="folder for the volume, used again next time")
    given = parser.parse_args()
    if given.what == "phantom":
        phantoms(given.cells, given.paintings)
    else:
        speed(tuple(given.shape), given.precision, given.keep)


if __name__ == "__main__":
    main()
