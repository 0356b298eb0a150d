"""What leaving resin out saves: `fibseg infer within=cell within_nm=[null,0]` against everywhere.

    python benchmarks/resin.py [--shape 32 4096 4096] [--share 0.3] [--model DIR] [--keep DIR]

The default U-Net on a phantom's image mirrored to `--shape`, in which an elliptic cylinder stands
for the cell; a flat cap leaves the first eighth of the planes without any. Both ways in turn, from
store to store, and by the time that cores worked. Inside of the cell both must agree to the last
bit.
"""

from __future__ import annotations

import argparse
import math
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phantom_model import larger, store_with, trained_model

from fibseg.blocks import Serial
from fibseg.pipeline import infer
from fibseg.pipeline.pyramid import finish_product
from fibseg.types import Mask, Shape
from fibseg.volume import Volume


def cylinder(shape: Shape, share: float) -> NDArray[np.uint8]:
    """An elliptic cylinder over this share of each plane, but for the first eighth of them."""
    _, height, width = shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    plane = (y * y + x * x <= 4 * share / math.pi).astype(np.uint8)
    planes = np.arange(shape[0]) >= shape[0] // 8
    found: NDArray[np.uint8] = planes[:, None, None] * plane
    return found


def with_cell(path: Path, image: NDArray[np.uint8], cell: NDArray[np.uint8]) -> Volume:
    """Store of the image with the labels `cell`."""
    store = store_with(path, image)
    if "cell" not in store.label_names():
        product = store.create_labels("cell", kind="labels", dtype=np.uint8, inputs="cylinder")
        product.array[:] = cell
        finish_product(product)
    return store


def timed(model: Path, store: Volume, name: str, **how: object) -> tuple[float, float]:
    """Seconds of one run by the clock and by the cores."""
    shutil.rmtree(store.path / "probabilities" / name, ignore_errors=True)
    clock, cores = time.perf_counter(), _cores()
    infer.run(  # type: ignore[arg-type]
        model=str(model), volume=str(store.path), name=name, blocks=Serial(), **how
    )
    return time.perf_counter() - clock, _cores() - cores


def _cores() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(words: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[32, 4096, 4096])
    parser.add_argument("--share", type=float, default=0.3, help="of each plane that is cell")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300, help="training steps of the model")
    parser.add_argument("--model", type=Path, help="a model folder, instead of training one")
    parser.add_argument("--keep", type=Path, help="folder for model and volume, used again")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        model = given.model or trained_model(folder, steps=given.steps)
        source = folder / "cell.ome.zarr"
        image = Volume.open(source).raw()[:] if source.exists() else _noise()
        cell = cylinder(tuple(given.shape), given.share)
        store = with_cell(folder / "large.ome.zarr", larger(image, given.shape), cell)
        ways = {"everywhere": {}, "inside": {"within": "cell", "within_nm": (None, 0.0)}}
        best: dict[str, tuple[float, float]] = {}
        for _ in range(given.rounds):
            for name, how in ways.items():
                took = timed(model, store, name, backend=given.backend, **how)
                best[name] = min(best.get(name, took), took)
        _refuse_other_values(store, cell > 0)
    for name, (clock, cores) in best.items():
        print(f"{name} | {clock:.1f} s | {cores:.1f} s of the cores")
    ratios = [a / b for a, b in zip(best["everywhere"], best["inside"], strict=True)]
    print(f"resin left out: {ratios[0]:.2f} x by the clock, {ratios[1]:.2f} x by the cores; "
          f"{cell.mean():.0%} of the voxels are cell")
    return {"clock": ratios[0], "cores": ratios[1]}


def _refuse_other_values(store: Volume, cell: Mask) -> None:
    """Nothing, if both ways gave the same inside of the cell, and one gave 0 outside."""
    whole, part = store.probabilities("everywhere"), store.probabilities("inside")
    for z in range(store.shape[0]):
        if not np.array_equal(part[z], whole[z] * cell[z]):
            raise SystemExit(f"plane {z} differs inside of the cell")


def _noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (16, 64, 64), np.uint8)


if __name__ == "__main__":
    main()
