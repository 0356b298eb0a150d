"""Voxels per second of fibseg's inference against a plain MONAI script, alternating in one run.

    python benchmarks/infer_speed.py [--threads 2] [--rounds 3]

Target: at least 5 times as many level-0 voxels a second. The peer is MONAI's BasicUNet with its
defaults, float32, windows of 256², overlap 0.5, gaussian. fibseg runs its default network, once on
the raw's own pixels and once at half the resolution. Wall time and, for busy machines, the time
that the cores really worked (all threads summed). "store to store" is all of `fibseg infer`:
reading, writing with checksums, clean-up, numbered objects and their table; the peer only computes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from infer_memory import make_model, make_volume
from monai.inferers import sliding_window_inference
from monai.networks.nets import BasicUNet
from numpy.typing import NDArray

from fibseg.blocks import Processes
from fibseg.data import Normalisation
from fibseg.export import ModelSpec, describe_model
from fibseg.geometry import Box
from fibseg.inference import Backend, Predictor, make_plan
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple
from fibseg.pipeline import infer
from fibseg.postprocess import closing, components, fill_holes, remove_small, threshold

STEPS = {
    "threshold": partial(threshold, level=0.5),
    "remove_small": partial(remove_small, min_voxels=64),
    "closing": partial(closing, radius_nm=20.0), "fill_holes": partial(fill_holes),
    "components": partial(components),
}


@dataclass
class Stack:
    """A volume in memory: what a plan needs to know."""

    image: NDArray[np.uint8]
    spacing: tuple[float, float, float] = (20.0, 20.0, 20.0)
    n_levels: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels."""
        return self.image.shape

    def level_spacing(self, level: int) -> tuple[float, float, float]:
        """Voxel of the only level, nm."""
        return self.spacing

    def raw(self, level: int = 0) -> NDArray[np.uint8]:
        """The only level."""
        return self.image


def plain_monai(stack: Stack, n_planes: int) -> Callable[[], int]:
    """The script that a user would write."""
    network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=2).eval()

    def run() -> int:
        planes = torch.from_numpy(stack.image[:n_planes].astype(np.float32))[:, None] / 255
        with torch.inference_mode():
            logits = sliding_window_inference(
                planes, (256, 256), 8, network, overlap=0.5, mode="gaussian"
            )
            logits.softmax(1)[:, 1].mul(255).byte()
        return int(planes.numel())

    return run


def fibseg_model(nm: float) -> ModelSpec:
    """The default network, working at pixels of `nm`."""
    network = NetworkSpec()
    return describe_model(
        network={"name": "unet", "features": list(network.features)}, classes=["object"],
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        context=0, receptive_field=receptive_margin(network),
        stride_multiple=stride_multiple(network), training={}, metrics={},
        spacing=(20.0, nm, nm),
    )


def fibseg_run(stack: Stack, nm: float, backend: Backend) -> Callable[[], int]:
    """What infer does with a block, reading and writing files left out."""
    spec = fibseg_model(nm)
    network = build_network(NetworkSpec(), in_channels=1, n_classes=1).eval()
    predictor = Predictor(
        network, spec, plan=make_plan(spec, stack), backend=backend,
        normalisation=Normalisation(10.0, 240.0, invert=True),
    )

    def run() -> int:
        write = Box.whole(stack.shape)
        predictor.box(lambda box: stack.image[box.slices], write)
        return write.size

    return run


def store_run(folder: Path, nm: float, shape: tuple[int, int, int]) -> Callable[[], int]:
    """All of `fibseg infer` on a store on disk."""
    volume = make_volume(folder / f"{nm:g}.ome.zarr", shape)
    model = make_model(folder / f"model-{nm:g}", (20.0, nm, nm), list(NetworkSpec().features))

    def run() -> int:
        for product in ("probabilities", "labels", "tables"):
            shutil.rmtree(volume.path / product, ignore_errors=True)
        infer.run(
            model=str(model), volume=str(volume.path), name="m", blocks=Processes(),
            postprocess=STEPS,
        )
        return int(np.prod(shape))

    return run


def core_seconds() -> float:
    """Time that cores worked for this process and its workers, those that ended included."""
    alive = psutil.Process().children(recursive=True)
    return sum(os.times()[:4]) + sum(sum(worker.cpu_times()[:2]) for worker in alive)


def race(contenders: dict[str, Callable[[], int]], rounds: int) -> dict[str, tuple[float, float]]:
    """Best rates of each, by wall time and by core time, million voxels a second."""
    best = dict.fromkeys(contenders, (0.0, 0.0))
    for _ in range(rounds):  # in turns, so that a busy minute hits all of them
        for name, run in contenders.items():
            wall, cpu = time.perf_counter(), core_seconds()
            n = run() / 1e6
            rates = n / (time.perf_counter() - wall), n / (core_seconds() - cpu)
            best[name] = (max(best[name][0], rates[0]), max(best[name][1], rates[1]))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=[8, 1024, 1024])
    parser.add_argument("--store", type=int, nargs=3, default=[64, 1024, 1024])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    stack = Stack(np.random.default_rng(0).integers(0, 255, given.shape, dtype=np.uint8))
    contenders = {"plain MONAI float32": plain_monai(stack, 1)}
    for nm in (20.0, 40.0):
        for backend in (Backend.choose(), *(Backend("torch", p) for p in ("bfloat16", "float32"))):
            name = f"fibseg {backend.name} {backend.precision} at {nm:g} nm"
            contenders[name] = fibseg_run(stack, nm, backend)
    with tempfile.TemporaryDirectory() as temporary:
        for nm in (20.0, 40.0):
            name = f"fibseg infer, store to store, at {nm:g} nm"
            contenders[name] = store_run(Path(temporary), nm, tuple(given.store))
        best = race(contenders, given.rounds)
    peer = best["plain MONAI float32"]
    sys.stdout.write(f"{given.threads} threads, best of {given.rounds}\n")
    for name, (wall, cpu) in best.items():
        sys.stdout.write(
            f"{name}: {wall:.2f} Mvoxel/s ({wall / peer[0]:.1f} x), "
            f"{cpu:.2f} per core-second ({cpu / peer[1]:.1f} x)\n"
        )


if __name__ == "__main__":
    main()
