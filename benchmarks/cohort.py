"""Four phantom cells through ``fibseg cohort``: seconds on one worker and on two, and the load.

python benchmarks/cohort.py --out DIR

One worker is timed twice: left one core, and with all cores for its one cell. Every way starts from
fresh copies of the same stores, and their tables must come out equal.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from fibseg.blocks import usable_cores
from fibseg.pipeline import ingest, phantom
from fibseg.volume import Volume

SHAPE, SPACING = [96, 192, 192], [20.0, 20.0, 20.0]
LABELS = ("cell", "nucleus", "mitochondria")
WAYS = {
    "1 worker, 1 core": (1, {"FIBSEG_CORES": "1"}),
    "1 worker, all cores": (1, {}),
    "2 workers, shared cores": (2, {}),
}


def make_cells(folder: Path, n: int) -> None:
    """Stores of phantom cells whose truth is what is profiled, and the list of them."""
    rows = []
    for seed in range(n):
        sample, store = folder / f"sample{seed}", folder / f"cell{seed}.ome.zarr"
        phantom.run(out=str(sample), shape=SHAPE, spacing=SPACING, seed=seed)
        ingest.run(
            source=str(sample / "stack"), volume=str(store), spacing=SPACING, polarity="dark"
        )
        for name in LABELS:
            ingest.run(
                source=str(sample / f"truth_{name}.tif"), volume=str(store), kind="labels",
                name=name,
            )
        shutil.rmtree(sample)
        rows.append({
            "name": f"cell{seed}", "volume": store.name,
            "condition": "control" if seed % 2 else "drug",
        })
    (folder / "cells.yaml").write_text(yaml.safe_dump({"cells": rows}))


def timed(fresh: Path, folder: Path, n_workers: int, more: dict[str, str]) -> float:
    """Seconds of the command on a copy of the stores."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(fresh, folder)
    words = [f"cells={folder / 'cells.yaml'}", f"out={folder / 'out'}",
             f"blocks.n_workers={n_workers}"]
    begin = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "fibseg", "cohort", *words], check=True, env=os.environ | more,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - begin


def tables(folder: Path) -> list[bytes]:
    """Bytes of all tables of all cells."""
    stores = [Volume.open(path) for path in sorted(folder.glob("*.ome.zarr"))]
    return [path.read_bytes() for s in stores for path in sorted((s.path / "tables").iterdir())]


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the cells")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    fresh = given.out / "fresh"
    if not (fresh / "cells.yaml").exists():
        fresh.mkdir(parents=True, exist_ok=True)
        make_cells(fresh, given.cells)
    print(f"{given.cells} cells of {SHAPE}, {usable_cores()} cores")
    first: list[bytes] = []
    for _ in range(given.rounds):
        for way, (n_workers, more) in WAYS.items():
            before = os.getloadavg()[0]
            seconds = timed(fresh, given.out / "run", n_workers, more)
            made = tables(given.out / "run")
            first = first or made
            equal = "equal" if made == first else "DIFFERENT"
            print(f"{way:<26} {seconds:7.1f} s  load before {before:.1f}  tables {equal}",
                  flush=True)


if __name__ == "__main__":
    main()
