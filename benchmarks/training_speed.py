"""Training steps a second of fibseg against a plain MONAI script, alternating in one run.

    python benchmarks/training_speed.py [--rounds 3] [--steps 20] [--patch 128] [--batch 8]

Target: at least 2 times as many steps a second, and less than 10 % of a step spent on data. Both
train the same network (fibseg's default U-Net) on the same planes with the same patch and batch.
The peer is what a user would write: a CacheDataset, a Compose of RandCropByPosNegLabeld and the
usual augmentations (rotation, zoom and elastic bending in one resampling, mirror images, blur,
contrast, brightness, noise), a DataLoader, AdamW, eager float32; once with worker processes and
once without, and, for fairness, once without any augmentation. fibseg is `fibseg.training.fit` as
`fibseg train` calls it, with its own augmentation of every patch, checkpoints, averaged weights
and all; in the precision that it chooses here, and in float32. Each round of each has a process of
its own. Medians of wall time and, for busy machines, means of the time that the cores really worked
(all threads and workers summed).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from monai import transforms as mt
from monai.data import CacheDataset, DataLoader, set_track_meta
from numpy.typing import NDArray
from plain_monai import masked_loss

from fibseg.data import Normalisation, PaintedPlanes, PlaneStack, Share, SparseData
from fibseg.data.patches import ALL
from fibseg.data.split import Split
from fibseg.models import NetworkSpec, build_network
from fibseg.training import TrainerSettings, fit
from fibseg.training.segmenter import Segmenter

SPACING = (10.0, 10.0, 10.0)
CLASSES = {"mitochondria": 2}
QUIET = {"PYTHONWARNINGS": "ignore"}
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait sleep, for all ways alike, as fibseg asks for: see busy_machine.py."""


@dataclass
class Times:
    """Seconds of single steps: wall, of the cores, and of what is done to make their data."""

    wall: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)

    def add(self, other: Times) -> None:
        """Append the steps of another round."""
        self.wall += other.wall
        self.cores += other.cores
        self.data += other.data


def planes_of(n: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Grey planes with blobs in them, and their paint: (n, size, size) each."""
    rng = np.random.default_rng(0)
    grid = np.arange(size) - size / 2
    image, paint = (np.zeros((n, size, size), np.uint8) for _ in range(2))
    for k in range(n):
        grey, classes = np.full((size, size), 150.0), np.ones((size, size), np.uint8)
        for _ in range(size // 12):
            y, x, r = *rng.uniform(-size / 2, size / 2, 2), rng.uniform(5, size / 16)
            inside = (grid[:, None] - y) ** 2 + (grid[None] - x) ** 2 < r * r
            grey[inside], classes[inside] = 90, 2
        image[k] = np.clip(grey + rng.normal(0, 20, grey.shape), 0, 255)
        paint[k] = classes
    return image, paint


def cpu_seconds() -> float:
    """Time that the cores have worked for this process and its workers."""
    process = psutil.Process()
    alive = [process, *process.children(recursive=True)]
    return sum(sum(p.cpu_times()[:2]) for p in alive)


# --- the plain script ----------------------------------------------------------------------------


def monai_transform(patch: int, n_samples: int, *, augmented: bool) -> mt.Compose:
    """Random crops around painted pixels, and what is done to them."""
    both = ["image", "label"]
    steps: list[Any] = [
        mt.EnsureChannelFirstd(both, channel_dim="no_channel"),
        mt.ScaleIntensityRanged("image", 40, 220, -2.5, 2.5),
        mt.RandCropByPosNegLabeld(
            both, "pos", (patch, patch), pos=1, neg=3, num_samples=n_samples, allow_smaller=False
        ),
    ]
    steps[0] = mt.EnsureChannelFirstd([*both, "pos"], channel_dim="no_channel")
    if augmented:
        steps += [
            mt.Rand2DElasticd(
                both, spacing=(patch / 6, patch / 6), magnitude_range=(0, 3), prob=1.0,
                rotate_range=np.pi, scale_range=(0.35, 0.35), padding_mode="reflection",
                mode=("bilinear", "nearest"),
            ),
            mt.RandFlipd(both, prob=0.5, spatial_axis=0),
            mt.RandGaussianSmoothd("image", (0.3, 1.2), (0.3, 1.2), prob=0.5),
            mt.RandAdjustContrastd("image", prob=0.7, gamma=(0.86, 1.16)),
            mt.RandScaleIntensityd("image", 0.1, prob=1.0),
            mt.RandShiftIntensityd("image", 0.1, prob=1.0),
            mt.RandGaussianNoised("image", prob=0.7, std=0.3),
        ]
    return mt.Compose(steps)


def monai_steps(
    image: NDArray[np.uint8], paint: NDArray[np.uint8], given: argparse.Namespace, *,
    augmented: bool, workers: int,
) -> Iterator[float]:
    """Train for ever; yield, after each step, the seconds that its data took or were waited for."""
    torch.manual_seed(0)
    set_track_meta(False)  # faster, and nothing here needs it
    n_samples = 4 if given.batch % 4 == 0 else 1
    items = [
        {"image": i.astype(np.float32), "label": p.astype(np.float32), "pos": p == 2}
        for i, p in zip(image, paint, strict=True)
    ] * 64
    loader = DataLoader(
        CacheDataset(
            items, monai_transform(given.patch, n_samples, augmented=augmented),
            cache_num=len(image), progress=False,
        ),
        batch_size=given.batch // n_samples, shuffle=True, num_workers=workers,
        persistent_workers=workers > 0, drop_last=True,
    )
    network = build_network(NetworkSpec(), in_channels=1, n_classes=1).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    while True:
        begin = time.perf_counter()
        for batch in loader:
            seconds = time.perf_counter() - begin
            target = batch["label"][:, 0].long() - 1
            loss = masked_loss(network(batch["image"]), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield seconds
            begin = time.perf_counter()


def monai_round(steps: Iterator[float], n: int, warm: int) -> Times:
    """Times of `n` steps after some to warm up."""
    found = Times()
    for k in range(n + warm):
        begin, cores = time.perf_counter(), cpu_seconds()
        data = next(steps)
        if k >= warm:
            found.wall.append(time.perf_counter() - begin)
            found.cores.append(cpu_seconds() - cores)
            found.data.append(data)
    return found


# --- fibseg --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Watched(PaintedPlanes):
    """Painted planes whose batches note when each is asked for, and how long it takes."""

    noted: list[tuple[float, float, float]] = field(default_factory=list)

    def batches(self, *, seed: int, share: Share = ALL) -> Any:
        """Batches that take notes."""
        patches, noted = super().batches(seed=seed, share=share), self.noted
        cut = patches.batch

        def batch(step: int) -> Any:
            """The batch of a step."""
            begin, cores = time.perf_counter(), cpu_seconds()
            found = cut(step)
            noted.append((begin, cores, time.perf_counter() - begin))
            return found

        patches.batch = batch  # type: ignore[method-assign]
        return patches


def fibseg_round(
    image: NDArray[np.uint8], paint: NDArray[np.uint8], given: argparse.Namespace, *,
    precision: str, n: int, warm: int,
) -> Times:
    """Times of `n` steps of a training after some to warm up."""
    data = SparseData(patch=given.patch, batch=given.batch)
    stack = PlaneStack(
        name="planes", z=tuple(range(len(image))), image=image,
        rows=np.arange(len(image))[:, None], annotation=paint,
        normalisation=Normalisation(40.0, 220.0, invert=False), shape=image.shape,
        spacing=SPACING, working=SPACING,
    )
    source = Watched([stack], Split("none", (), (), ()), 2, data)
    settings = TrainerSettings(
        max_time=None, max_steps=warm + n + 1, precision=precision, n_pictures=0
    )
    augment: list[float] = []
    quick = Segmenter.on_after_batch_transfer

    def watched(self: Segmenter, *a: Any, **k: Any) -> Any:
        """The augmentation of a batch, timed."""
        found = quick(self, *a, **k)
        augment.append(self.timings["augment"])
        return found

    Segmenter.on_after_batch_transfer = watched  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            fit(
                source, CLASSES, network=NetworkSpec(), data=data, trainer=settings, seed=0,
                folder=Path(folder), started=time.monotonic(),
            )
    finally:
        Segmenter.on_after_batch_transfer = quick  # type: ignore[method-assign]
    found = Times()
    for k in range(warm, warm + n):
        (begin, cores, cut), (end, cores_end, _) = source.noted[k : k + 2]
        found.wall.append(end - begin)
        found.cores.append(cores_end - cores)
        found.data.append(cut + augment[k])
    return found


# --- both ----------------------------------------------------------------------------------------


def ways_of(given: argparse.Namespace) -> dict[str, Callable[[], Times]]:
    """What is compared, each to be run in a process of its own."""
    image, paint = planes_of(given.planes, given.size)

    def monai(**told: Any) -> Times:
        """A round of the plain script."""
        return monai_round(monai_steps(image, paint, given, **told), given.steps, given.warm)

    def own(precision: str) -> Times:
        """A round of fibseg."""
        return fibseg_round(
            image, paint, given, precision=precision, n=given.steps, warm=given.warm
        )

    ways = {
        "MONAI": partial(monai, augmented=True, workers=0),
        f"MONAI, {given.workers} workers": partial(monai, augmented=True, workers=given.workers),
        "MONAI without augmentation": partial(monai, augmented=False, workers=0),
        "fibseg": partial(own, "auto"), "fibseg, float32": partial(own, "32"),
    }
    ways.pop("MONAI, 0 workers", None)
    return ways


def compared(given: argparse.Namespace) -> dict[str, Times]:
    """Times of every way, round by round in turns, each in a new process as a user's would be."""
    times = {name: Times() for name in ways_of(given)}
    waiting = {} if given.spin else WAITING
    for _ in range(given.rounds):
        for name, found in times.items():
            done = subprocess.run(
                [sys.executable, *sys.argv, "--way", name], env=os.environ | QUIET | waiting,
                check=True, stdout=subprocess.PIPE, text=True,
            )
            found.add(Times(**json.loads(done.stdout.splitlines()[-1])))
            print(f"{name}: {statistics.median(found.wall):.3f} s", file=sys.stderr)
    return times


def table(times: dict[str, Times]) -> list[str]:
    """Rows of a table in Markdown."""
    plain = [name for name in times if name.startswith("MONAI") and "without" not in name]
    best = {
        "wall": min(statistics.median(times[name].wall) for name in plain),
        "cores": min(statistics.fmean(times[name].cores) for name in plain),
    }
    rows = ["| | s a step, wall | s of the cores | data, share of a step | times the better MONAI, "
            "wall | cores |", "|---|---|---|---|---|---|"]
    for name, found in times.items():
        wall, cores = statistics.median(found.wall), statistics.fmean(found.cores)
        share = statistics.median(
            d / w for d, w in zip(found.data, found.wall, strict=True)
        )
        rows.append(
            f"| {name} | {wall:.3f} | {cores:.3f} | {share:.0%} | {best['wall'] / wall:.2f} | "
            f"{best['cores'] / cores:.2f} |"
        )
    return rows


def main() -> None:
    """Print the table; with ``--way``, the times of one round of that way."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in {
        "rounds": 3, "steps": 20, "warm": 5, "patch": 128, "batch": 8, "planes": 8, "size": 512,
        "workers": 2, "threads": 0,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--spin", action="store_true", help="leave threads that wait as they are")
    parser.add_argument("--way", default="")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.way:
        print(json.dumps(asdict(ways_of(given)[given.way]())))
    else:
        print("\n".join(table(compared(given))))


if __name__ == "__main__":
    main()
