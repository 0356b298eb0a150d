"""What a sweep of short trials gains on real electron microscopy, on planes that no trial saw.

    python benchmarks/sweep.py --data DIR --trials 20 --steps 400 --repeats 3 --out FOLDER

SBEM: trials learn from the painted boxes of three of the planes 0, 5, 10 and 15 (3.4 % of their
pixels), and the fourth chooses the settings. The test is the dense truth on planes 17 to 19. That
the best of many trials is lucky with its seed is seen by training the settings as they were and the
best ones again, with other seeds. The same command goes on where it was killed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SPACING = "[30,10,10]"
NAME = "swept"


def fibseg(folder: Path, *words: object) -> None:
    """Run one command as a user would."""
    subprocess.run(
        [sys.executable, "-m", "fibseg", *map(str, words)], cwd=folder, check=True
    )  # fmt: skip


def make_stores(data: Path, folder: Path) -> None:
    """``early``, painted sparsely, to learn from; ``late``, painted all over, for the test."""
    with np.load(data / "sbem_mitochondria.npz") as arrays:
        image, labels, annotation = (arrays[k] for k in ("image", "labels", "annotation"))
    dense = np.where(labels > 0, 2, 1).astype(np.uint8)
    stores = {"early": (image[:16], annotation[:16]), "late": (image[17:20], dense[17:20])}
    for name, (raw, paint) in stores.items():
        store = f"{name}.ome.zarr"
        if (folder / f"{name}.done").exists():
            continue
        np.savez(folder / f"{name}.npz", raw=raw, paint=paint)
        source, again = f"source={name}.npz", "overwrite=true"
        fibseg(folder, "import", source, "array=raw", f"volume={store}", f"spacing={SPACING}",
               "polarity=dark", again)  # fmt: skip
        fibseg(folder, "import", source, "array=paint", f"volume={store}", "kind=annotation",
               "name=mitochondria", again)  # fmt: skip
        (folder / f"{name}.done").touch()


def compared(folder: Path, models: Sequence[str], out: str) -> list[dict[str, object]]:
    """Rows of ``fibseg evaluate`` of several models on the test, or of one."""
    listed = f"[{','.join(models)}]" if len(models) > 1 else models[0]
    fibseg(folder, "evaluate", f"model={listed}", "volume=late.ome.zarr", f"out={out}")
    found = json.loads((folder / out).read_text())
    if len(models) == 1:
        return [{"model": models[0], **found["thresholds"]["mitochondria"]["at_half"]}]
    rows: list[dict[str, object]] = found["compared"]["mitochondria"]
    return rows


def repeated(folder: Path, steps: int, n: int) -> dict[str, list[float]]:
    """IoU on the test of both settings with `n` other seeds each, trained as the trials were."""
    (folder / "conf" / "experiment").mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / f"sweep/best/experiment/{NAME}.yaml", folder / "conf/experiment")
    scores: dict[str, list[float]] = {"mitochondria": [], NAME: []}
    for experiment, found in scores.items():
        for seed in range(1, n + 1):
            model = f"again/{experiment}-{seed}"
            fibseg(folder, "train", f"experiment={experiment}", "volume=early.ome.zarr",
                   "annotation=mitochondria", f"out={model}", f"seed={seed}",
                   "trainer.max_time=null", f"trainer.max_steps={steps}")  # fmt: skip
            (row,) = compared(folder, [model], f"{model}.json")
            found.append(row["iou"]["value"])  # type: ignore[index]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder that is kept")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("extra", nargs="*", help="further key=value for fibseg sweep")
    options = parser.parse_args()
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    make_stores(options.data, folder)
    begin = time.monotonic()
    fibseg(
        folder, "sweep", "experiment=mitochondria", "volume=early.ome.zarr",
        "annotation=mitochondria", "out=sweep", f"name={NAME}", f"n_trials={options.trials}",
        f"n_workers={options.workers}", "test_planes=[]", "trainer.max_time=null",
        f"trainer.max_steps={options.steps}", *options.extra,
    )  # fmt: skip
    minutes = (time.monotonic() - begin) / 60
    found = json.loads((folder / "sweep" / "sweep.json").read_text())
    best = found["summary"]["best"]
    models = list(dict.fromkeys(["sweep/trials/000/model", best["model"]]))
    rows = compared(folder, models, "test.json")
    print(json.dumps(rows, indent=1))
    print(f"\n{found['summary']['counts']}, {options.steps} steps each, {minutes:.1f} min")
    print(f"validation IoU {best['score']:.3f}, as it was {found['summary']['default_score']:.3f}")
    print(f"best settings: {json.dumps(best['params'])}")
    if options.repeats and len(models) > 1:
        for experiment, scores in repeated(folder, options.steps, options.repeats).items():
            spread = statistics.stdev(scores) if len(scores) > 1 else float("nan")
            print(f"{experiment}: test IoU {statistics.fmean(scores):.3f} ± {spread:.3f} of "
                  f"{len(scores)} seeds")  # fmt: skip


if __name__ == "__main__":
    main()
