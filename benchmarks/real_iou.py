"""IoU on real electron microscopy from sparse paint, fibseg beside plain MONAI, same minutes.

    python benchmarks/real_iou.py --data DIR --sample sbem --minutes 10
    python benchmarks/real_iou.py --data DIR --sample hela --minutes 10

SBEM: trained on the painted boxes of planes 0, 5, 10 and 15 alone; scored against the dense truth
on planes 17 to 19 and over every unpainted voxel. HeLa: three separate planes of one cell, trained
on two, tested on the painted pixels of the third, all three ways. Nothing is held out of training
besides (data.split=none). Threshold 0.5 everywhere. fibseg's recipe was developed with these data
at hand: its scores are those of a recipe that suits them, not of a blind test.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plain_monai
from numpy.typing import NDArray

from fibseg.volume import Volume


@dataclass(frozen=True)
class Case:
    """One training and its test: volumes (z, y, x) to learn from, volumes to score, where."""

    name: str
    spacing: tuple[int, int, int]
    train: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    test: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    regions: dict[str, NDArray[np.bool_]]


def sbem_cases(data: Path) -> list[Case]:
    """The one SBEM case."""
    with np.load(data / "sbem_mitochondria.npz") as arrays:
        image, labels, annotation = (arrays[k] for k in ("image", "labels", "annotation"))
    late = np.zeros(image.shape, bool)
    late[17:20] = True
    regions = {"planes 17-19": late, "all unpainted": annotation == 0}
    return [
        Case("sbem", (30, 10, 10), {"a": (image, annotation)}, image, labels > 0, regions)
    ]


def hela_cases(data: Path) -> list[Case]:
    """Three cases: each plane is the test once."""
    with np.load(data / "hela_mitochondria.npz") as arrays:
        image, annotation = arrays["image"], arrays["annotation"]
    planes = {f"plane{z}": (image[z : z + 1], annotation[z : z + 1]) for z in range(3)}
    return [
        Case(
            f"hela test {name}",
            (50, 10, 10),
            {k: v for k, v in planes.items() if k != name},
            test[0],
            test[1] == 2,
            {"painted": test[1] > 0},
        )
        for name, test in planes.items()
    ]


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    """Intersection over union inside `where`."""
    return float((found & truth & where).sum() / max(1, ((found | truth) & where).sum()))


def fibseg(*words: object) -> None:
    """Run one fibseg command as a user would."""
    subprocess.run([sys.executable, "-m", "fibseg", *map(str, words)], check=True)


def run_fibseg(case: Case, folder: Path, minutes: float, extra: list[str]) -> dict[str, float]:
    """Scores of fibseg's probabilities and of its cleaned objects."""
    volumes = []
    for name, (image, annotation) in {**case.train, "test": (case.test, None)}.items():
        store = folder / f"{name}.ome.zarr"
        np.savez(folder / f"{name}.npz", image=image)
        fibseg(
            "import", f"source={folder / name}.npz", "array=image", f"volume={store}",
            f"spacing={list(case.spacing)}".replace(" ", ""), "polarity=dark",
        )  # fmt: skip
        if annotation is not None:
            np.savez(folder / f"{name}-paint.npz", paint=annotation)
            fibseg(
                "import", f"source={folder / name}-paint.npz", "array=paint", f"volume={store}",
                "kind=annotation", "name=mitochondria",
            )  # fmt: skip
            volumes.append(str(store))
    clock = time.strftime("00:%H:%M:%S", time.gmtime(round(60 * minutes)))
    start = time.perf_counter()
    fibseg(
        "train", "experiment=mitochondria", f"volume=[{','.join(volumes)}]",
        "annotation=mitochondria", f"out={folder / 'model'}", "data.split=none",
        f"trainer.max_time={clock}", *extra,
    )  # fmt: skip
    trained = time.perf_counter()
    fibseg("infer", f"model={folder / 'model'}", f"volume={store}", "name=mitochondria")
    done = time.perf_counter()
    cell = Volume.open(store)
    probs, objects = cell.probabilities("mitochondria")[:], cell.labels("mitochondria")[:]
    scores = {"train_min": (trained - start) / 60, "infer_s": done - trained}
    for region, where in case.regions.items():
        scores[f"{region} probabilities"] = iou(probs >= 128, case.truth, where)
        scores[f"{region} objects"] = iou(objects > 0, case.truth, where)
    return scores


def run_monai(case: Case, minutes: float) -> dict[str, float]:
    """Scores of the plain script."""
    planes = [
        (image[z], annotation[z])
        for image, annotation in case.train.values()
        for z in range(len(image))
        if annotation[z].any()
    ]
    images, annotations = zip(*planes, strict=True)
    start = time.perf_counter()
    network, steps = plain_monai.train(images, annotations, minutes=minutes)
    trained = time.perf_counter()
    probs = np.stack([plain_monai.predict(network, plane) for plane in case.test])
    scores = {
        "train_min": (trained - start) / 60,
        "infer_s": time.perf_counter() - trained,
        "steps": float(steps),
    }
    for region, where in case.regions.items():
        scores[f"{region} probabilities"] = iou(probs >= 0.5, case.truth, where)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sample", choices=["sbem", "hela"], required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", choices=["fibseg", "monai"])
    parser.add_argument("--out", type=Path, help="folder to keep the stores and models in")
    parser.add_argument("extra", nargs="*", help="further key=value for fibseg train")
    options = parser.parse_args()
    cases = {"sbem": sbem_cases, "hela": hela_cases}[options.sample](options.data)
    rows = []
    for case in cases:
        folder = Path(tempfile.mkdtemp(prefix="real_iou_", dir=options.out))
        if options.only != "monai":
            scores = run_fibseg(case, folder, options.minutes, options.extra)
            rows.append({"case": case.name, "with": "fibseg", **scores})
        if options.only != "fibseg":
            scores = run_monai(case, options.minutes)
            rows.append({"case": case.name, "with": "plain MONAI", **scores})
        print(json.dumps(rows[-2:], indent=1), flush=True)
    print(f"\n{platform.processor() or platform.machine()}, minutes={options.minutes}")
    for row in rows:
        print("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else str(v) for k, v in row.items()))


if __name__ == "__main__":
    main()
