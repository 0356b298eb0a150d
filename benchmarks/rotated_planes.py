"""Rotated planes for training: cut one by one, or from rotated copies of the stack as in the study.

    python benchmarks/rotated_planes.py [--side 320]

Both give image and mask on planes turned by 0, 30, 60 and 90 degrees about X and about Y, every
5th. The study's way rotates the whole stack seven times (SciPy, linear for the image, nearest for
the mask) and keeps the copies. Each way runs in a process of its own; memory is the peak above
that of the stack itself. A plane has the sides of the stack.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EVERY, BATCH, PATCH = 5, 8, 96
TURNS = [((0, 1), 30), ((0, 1), 60), ((0, 1), 90), ((0, 2), 30), ((0, 2), 60), ((0, 2), 90)]


def stack(side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A random image and a mask with both values."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (side,) * 3, np.uint8)
    return image, (image > 200).astype(np.uint8)


class Memory:
    """Peak of the memory of this process above where it began, MB."""

    def __enter__(self) -> Memory:
        self.begin = self.peak = _resident_mb()
        self.on = True
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while self.on:
            self.peak = max(self.peak, _resident_mb())
            time.sleep(0.002)

    def __exit__(self, *args: object) -> None:
        self.on = False
        self.thread.join()

    @property
    def used(self) -> float:
        """MB."""
        return self.peak - self.begin


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def study(side: int) -> dict[str, float]:
    """Rotate all, keep all, then cut."""
    from scipy import ndimage

    image, mask = stack(side)
    with Memory() as memory:
        begin = time.perf_counter()
        copies = [(image, mask)]
        for axes, degrees in TURNS:
            copies.append((
                ndimage.rotate(image, degrees, axes=axes, order=1),
                ndimage.rotate(mask, degrees, axes=axes, order=0),
            ))
        first = time.perf_counter() - begin
        rng = np.random.default_rng(0)
        batch = []
        for _ in range(BATCH):
            picture, _ = copies[rng.integers(len(copies))]
            z = rng.integers(picture.shape[0] // EVERY) * EVERY
            batch.append(picture[z, :PATCH, :PATCH].astype(np.float32))
        np.stack(batch)
        n = sum(-(-c.shape[0] // EVERY) for c, _ in copies)
        total = time.perf_counter() - begin
    return {"MB": memory.used, "first batch, s": total, "ms a plane": 1000 * first / n, "planes": n}


def lazy(side: int) -> dict[str, float]:
    """Cut each plane where it lies."""
    from fibseg.data import LabelledPart, Normalisation, ObliqueData, ObliquePatches
    from fibseg.geometry import plane_points, sample_labels, sample_linear, study_orientations

    image, mask = stack(side)
    part = LabelledPart(
        "a", image, mask + np.uint8(1), Normalisation(0, 255, invert=False), (20.0,) * 3
    )
    with Memory() as memory:
        begin = time.perf_counter()
        patches = ObliquePatches(
            [part], n_channels=2, data=ObliqueData(patch=PATCH, batch=BATCH), pixel_nm=20.0,
            orientations=study_orientations(), every=EVERY,
        )
        patches.batch(0)
        first = time.perf_counter() - begin
        begin, n = time.perf_counter(), 0
        for orientation in study_orientations():
            for offset in range(-2, 3):
                points = plane_points(
                    orientation, np.full(3, side * 10.0), shape=(side, side), pixel_nm=20.0,
                    offset_nm=offset * EVERY * 20.0,
                )
                sample_linear(part.image, points, spacing=part.spacing)
                sample_labels(part.annotation, points, spacing=part.spacing)
                n += 1
        each = 1000 * (time.perf_counter() - begin) / n
    return {"MB": memory.used, "first batch, s": first, "ms a plane": each, "planes": n}


WAYS = {"study": study, "lazy": lazy}


def main() -> None:
    """Print both and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=320, help="voxels of the stack on every side")
    parser.add_argument("--way", choices=list(WAYS), help="only that, as JSON")
    given = parser.parse_args()
    if given.way:
        print(json.dumps(WAYS[given.way](given.side)))
        return
    found = {}
    for way in WAYS:
        words = [sys.executable, __file__, "--side", str(given.side), "--way", way]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout)
    print("| | the study's way | one by one | ratio |\n|---|---|---|---|")
    for name in ("MB", "first batch, s", "ms a plane"):
        a, b = found["study"][name], found["lazy"][name]
        print(f"| {name} | {a:.3g} | {b:.3g} | {a / b:.1f} |")


if __name__ == "__main__":
    main()
