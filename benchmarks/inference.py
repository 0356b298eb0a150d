"""Voxels per second of inference: plain MONAI, every backend, from store to store, and the limit.

    python benchmarks/inference.py [--shape 64 1024 1024] [--rounds 3] [--keep DIR] [--int8]

One run, one network (the default U-Net, trained for a minute or two on a phantom), one volume (the
phantom, mirrored as often as it takes). In turns, round by round, so that a busy minute hits all:

* plain MONAI: its sliding window with 256², overlap 0.5, gaussian, eager float32, of that network,
  on normalised planes in memory;
* fibseg's backends, from raw planes in memory to probabilities in memory; with `--int8` also
  8-bit integers, whose ranges and loss are measured on the volume first, outside of the clock;
* the bare network: windows of noise through the fastest backend, margins included, nothing else;
* `fibseg infer` from store to store: reading, normalising, writing with checksums, the pyramid;
* products of large matrices in bfloat16 and float32: the limit of what this CPU can compute.

Rates count voxels of the volume by wall time and by the time that cores worked (threads and
processes added up), which other jobs on the machine hardly change. Targets: 10 times plain MONAI
with native bfloat16 and 4 times without, IoU with the phantom's truth no more than 0.005 below
that of plain MONAI, from store to store at least 85 % of the bare network. For the seam score see
seams.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from phantom_model import larger, store_with, trained_model
from seams import seam_score
from torch.utils.flop_counter import FlopCounterMode

from fibseg.blocks import Processes
from fibseg.data import normalise
from fibseg.export import ModelSpec, load_network
from fibseg.geometry import Box
from fibseg.inference import Backend, Plan, Predictor, Wish, make_plan, model_normalisation
from fibseg.inference.backends import native_bfloat16
from fibseg.pipeline import infer, infer_int8
from fibseg.pipeline.infer_task import Looking, task_of
from fibseg.volume import Volume

Job = Callable[[], float]
"""Does the work once; returns how much it was, in millions."""


@dataclass
class Bench:
    """The volume, the model, and how the model runs on the volume."""

    volume: Volume
    model: Path
    network: torch.nn.Module
    spec: ModelSpec
    plan: Plan
    truth: NDArray[np.bool_]
    probs: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, shape: tuple[int, int, int], steps: int) -> Bench:
        """Everything made or found in `folder`."""
        model = trained_model(folder, steps=steps)
        image = np.asarray(Volume.open(folder / "cell.ome.zarr").raw()[:])
        volume = store_with(folder / f"{'x'.join(map(str, shape))}.ome.zarr", larger(image, shape))
        truth = tifffile.imread(folder / "phantom" / "truth_mitochondria.tif")
        network, spec = load_network(model)
        return cls(
            volume, model, network, spec, make_plan(spec, volume),
            larger((truth > 0).astype(np.uint8), shape) > 0,
        )

    def predictor(self, backend: Backend) -> Predictor:
        """The network on the volume, run by `backend`."""
        return Predictor(
            self.network, self.spec, plan=self.plan, backend=backend,
            normalisation=model_normalisation(self.spec, self.volume),
        )

    def int8(self) -> Backend:
        """8-bit integers, with ranges of this volume, whatever they lose."""
        unsettled = Backend("openvino", "int8")
        task = task_of(self.volume, self.spec, str(self.model), Looking(), backend=unsettled)
        trial = infer_int8.Trial(task.blocks, self.volume, self.spec)
        found = infer_int8.measured_int8(trial, lambda: self.network, most_loss=1.0)
        sys.stderr.write(f"int8 loses {found.loss} (1 - IoU with float32)\n")
        return replace(unsettled, int8=found)

    def planes(self, n: int) -> NDArray[np.uint8]:
        """The first planes of the raw."""
        return np.asarray(self.volume.raw()[:n])


def plain_monai(bench: Bench, n_planes: int) -> Job:
    """The script that a user would write, with the same network."""
    network, _ = load_network(bench.model)
    ready = normalise(bench.planes(n_planes), model_normalisation(bench.spec, bench.volume))
    images = torch.from_numpy(ready)[:, None]

    def run() -> float:
        with torch.inference_mode():
            logits = sliding_window_inference(
                images, (256, 256), 8, network, overlap=0.5, mode="gaussian"
            )
            probs = logits.softmax(1)[:, 1].mul(255).add(0.5).byte()
        bench.probs["plain MONAI"] = probs.numpy()
        return images.numel() / 1e6

    return run


def in_memory(bench: Bench, backend: Backend, n_planes: int) -> Job:
    """What infer does with a block, reading and writing files left out."""
    predictor, raw = bench.predictor(backend), bench.planes(n_planes)

    def run() -> float:
        write = Box((0, 0, 0), raw.shape)
        bench.probs[str(backend)] = predictor.box(lambda box: raw[box.slices], write)[0]
        return write.size / 1e6

    return run


def bare(bench: Bench, backend: Backend, n_planes: int) -> Job:
    """The network alone on as many windows as the planes have."""
    y, x = bench.plan.y, bench.plan.x
    shape = bench.plan.batch_shape(bench.spec.in_channels)
    run_network = backend.compile(bench.network, shape)
    images = torch.randn(shape)
    batches = -(-n_planes * y.n_windows * x.n_windows // bench.plan.batch)

    def run() -> float:
        for _ in range(batches):
            run_network(images)
        windows = batches * bench.plan.batch
        return windows / (y.n_windows * x.n_windows) * y.length * x.length / 1e6

    return run


def store_to_store(bench: Bench) -> Job:
    """All of `fibseg infer`, objects left out."""
    def run() -> float:
        shutil.rmtree(bench.volume.path / "probabilities", ignore_errors=True)
        infer.run(
            model=str(bench.model), volume=str(bench.volume.path), name="m", blocks=Processes()
        )
        return float(np.prod(bench.volume.shape)) / 1e6

    return run


def matrices(dtype: torch.dtype, side: int) -> Job:
    """Products of square matrices; the work in millions of operations."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))

    def run() -> float:
        for _ in range(4):
            a @ b
        return 4 * 2 * side**3 / 1e6

    return run


def core_seconds() -> float:
    """Time that cores worked for this process and its workers, those that ended included."""
    alive = psutil.Process().children(recursive=True)
    return sum(os.times()[:4]) + sum(sum(worker.cpu_times()[:2]) for worker in alive)


def race(jobs: dict[str, Job], rounds: int) -> dict[str, tuple[float, float]]:
    """Best rates of each by wall time and by core time, millions a second."""
    best = dict.fromkeys(jobs, (0.0, 0.0))
    for number in range(rounds):
        for name, job in jobs.items():
            wall, cpu = time.perf_counter(), core_seconds()
            n = job()
            rates = n / (time.perf_counter() - wall), n / max(core_seconds() - cpu, 1e-9)
            best[name] = (max(best[name][0], rates[0]), max(best[name][1], rates[1]))
            sys.stderr.write(f"round {number + 1}: {name} {rates[0]:.3g}, {rates[1]:.3g}\n")
    return best


def operations(network: torch.nn.Module) -> float:
    """Arithmetic operations of the network for one pixel, multiplication and addition apart."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, next(network.parameters()).shape[1], 256, 256))
    return counter.get_total_flops() / 256**2


def iou(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Intersection over union of what is above one half."""
    p, q = a >= 128, b >= 128
    return float((p & q).sum() / max((p | q).sum(), 1))


def report(bench: Bench, best: dict[str, tuple[float, float]], threads: int) -> list[str]:
    """Lines of the result."""
    peer, limits = best["plain MONAI"], [n for n in best if n.startswith("matrices")]
    y, x = bench.plan.y, bench.plan.x
    lines = [
        f"{threads} threads, {bench.volume.shape} voxels, windows of {y.window} x {x.window} px "
        f"with cores of {y.core} x {x.core}, {operations(bench.network) / 1e6:.4f} MFLOP a pixel",
        "job | Mvoxel/s | x | per core-second | x",
    ]
    lines += [
        f"{name} | {wall:.2f} | {wall / peer[0]:.1f} | {cpu:.2f} | {cpu / peer[1]:.1f}"
        for name, (wall, cpu) in best.items() if name not in limits
    ]
    for name in limits:
        lines.append(f"{name}: {best[name][0] / 1e3:.0f} GFLOP/s, {best[name][1] / 1e3:.0f} a core")
    return lines + _shares(bench, best) + _agreement(bench)


def _shares(bench: Bench, best: dict[str, tuple[float, float]]) -> list[str]:
    """How near the end of the chain is to the bare network, and that to the limit."""
    y, x = bench.plan.y, bench.plan.x
    seen = y.n_windows * x.n_windows * y.window * x.window / (y.length * x.length)
    network, end = best["bare network"], best["store to store"]
    limit = best[f"matrices {'bfloat16' if native_bfloat16() else 'float32'}"]
    lines = []
    for how, at in (("wall", 0), ("core", 1)):
        used = network[at] * seen * operations(bench.network) / limit[at]
        lines.append(
            f"by {how} time: store to store is {end[at] / network[at]:.0%} of the bare network; "
            f"that computes at {used:.0%} of the limit, {1 / seen:.0%} of it for pixels that count"
        )
    return lines


def _agreement(bench: Bench) -> list[str]:
    """IoU with plain MONAI, and seams."""
    n = min(len(probs) for probs in bench.probs.values())
    truth = bench.truth[:n].astype(np.uint8) * 255
    exact = bench.probs[str(Backend.choose("torch", "float32"))][:n]
    peer = iou(bench.probs["plain MONAI"][:n], truth)
    lines = [f"{n} planes: IoU with the truth, less that of plain MONAI | IoU with torch float32 | "
             "seam score"]
    for name, probs in bench.probs.items():
        step = 128 if name == "plain MONAI" else bench.plan.x.step
        found = iou(probs[:n], truth)
        lines.append(
            f"{name} | {found:.4f}, {found - peer:+.4f} | {iou(probs[:n], exact):.4f} | "
            f"{seam_score(probs, step):.3f}"
        )
    return lines


def jobs_of(bench: Bench, given: argparse.Namespace) -> dict[str, Job]:
    """All that is timed, by name."""
    backends = list(Wish().candidates())
    backends += [b for b in Wish(precision="float32").candidates() if b not in backends]
    if given.int8:
        backends.append(bench.int8())
    if given.compile:
        backends.append(Backend.choose("compile"))
    jobs: dict[str, Job] = {"plain MONAI": plain_monai(bench, given.peer_planes)}
    for backend in backends:
        jobs[str(backend)] = in_memory(bench, backend, given.planes)
    jobs["bare network"] = bare(bench, backends[0], given.planes)
    jobs["store to store"] = store_to_store(bench)
    for dtype, name in ((torch.bfloat16, "bfloat16"), (torch.float32, "float32")):
        jobs[f"matrices {name}"] = matrices(dtype, given.matrix)
    return jobs


def main(words: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[64, 1024, 1024])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--planes", type=int, default=8, help="planes of jobs in memory")
    parser.add_argument("--peer-planes", type=int, default=1, help="planes of plain MONAI")
    parser.add_argument("--matrix", type=int, default=4096, help="side of the matrices")
    parser.add_argument("--steps", type=int, default=300, help="training steps of the model")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    parser.add_argument("--int8", action="store_true", help="8-bit integers in OpenVINO as well")
    parser.add_argument("--keep", type=Path, help="folder for model and volume, used again")
    given = parser.parse_args(words)
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench.of(given.keep or Path(temporary), tuple(given.shape), given.steps)
        best = race(jobs_of(bench, given), given.rounds)
        sys.stdout.write("\n".join(report(bench, best, given.threads)) + "\n")
    return best


if __name__ == "__main__":
    main()
