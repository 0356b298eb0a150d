"""Error at the seams of windows against what margins and overlap cost.

    python benchmarks/seams.py [--side 1024] [--planes 2] [--core 256] [--keep DIR]

The default U-Net, trained for a minute or two on a phantom. Reference: the whole plane, mirrored at
its border and seen at once, in float32. Each row is a way to cut it into windows:

* cut at their cores, with margins from none to the receptive field (the default of fibseg);
* overlapping and blended by gaussian weights (`overlap=` of `fibseg infer`);
* plain MONAI: 256², overlap 0.5, gaussian, no mirrored border.

"work" is pixels computed for each one that counts, where planes are large. Errors are in
probability, at least a margin away from the border of the plane: the largest, and the mean over
pixels beside a seam. The seam score is the mean step from pixel to pixel across seams, as a share
of that one pixel before and behind them; 1 is no seam.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from phantom_model import larger, store_with, trained_model

from fibseg.data import normalise
from fibseg.export import ModelSpec, WindowSpec, load_network
from fibseg.geometry import Box
from fibseg.inference import Backend, Predictor, make_plan, model_normalisation
from fibseg.volume import Volume

FLOAT32 = Backend("torch", "float32")


def seam_score(probs: NDArray[Any], step: int) -> float:
    """Mean step across seams at multiples of `step` along x, as a share of that beside them.

    NaN where there is no seam. An image without seams has 1, up to chance.

    >>> seam_score(np.tile(np.arange(16.0), (2, 2, 1)), 4)
    1.0
    """
    steps = np.abs(np.diff(np.asarray(probs, np.float64), axis=-1))
    at = np.arange(step, probs.shape[-1] - 2, step) - 1
    if not len(at):
        return float("nan")
    beside = (steps[..., at - 1].mean() + steps[..., at + 1].mean()) / 2
    return float(steps[..., at].mean() / max(beside, 1e-12))


def whole(
    network: torch.nn.Module, images: torch.Tensor, spec: ModelSpec
) -> NDArray[np.float32]:
    """Probabilities of whole planes, mirrored at their border."""
    pad, multiple = spec.window.margin, spec.stride_multiple
    height, width = images.shape[-2:]
    sides = (pad, pad + -width % multiple, pad, pad + -height % multiple)
    seen = torch.nn.functional.pad(images, sides, mode="reflect")
    with torch.inference_mode():
        probs = torch.cat([network(one[None]).softmax(1)[:, 1] for one in seen])
    return probs[:, pad : pad + height, pad : pad + width].numpy()


def in_windows(
    network: torch.nn.Module, spec: ModelSpec, volume: Volume, n: int, overlap: float
) -> tuple[NDArray[np.float32], int, float]:
    """Probabilities before they are rounded, the distance of seams, and the work of a pixel."""
    plan = make_plan(spec, volume, overlap=overlap)
    predictor = Predictor(
        network, spec, plan=plan, normalisation=model_normalisation(spec, volume), backend=FLOAT32
    )
    raw, write = volume.raw(), Box((0, 0, 0), (n, *volume.shape[1:]))
    stream = predictor._working_planes(lambda b: np.asarray(raw[b.slices]), list(range(n)), write)
    probs = np.stack([p.numpy()[0] for _, p in stream])
    return probs, plan.x.step, plan.y.window * plan.x.window / (plan.y.core * plan.x.core)


def monai(network: torch.nn.Module, images: torch.Tensor) -> NDArray[np.float32]:
    """Probabilities of plain MONAI."""
    with torch.inference_mode():
        logits = sliding_window_inference(
            images, (256, 256), 4, network, overlap=0.5, mode="gaussian"
        )
    return logits.softmax(1)[:, 1].numpy()


def row(
    name: str, probs: NDArray[np.float32], wanted: NDArray[np.float32], step: int, work: float,
    inset: int,
) -> str:
    """Line of the table."""
    inner = (slice(None), slice(inset, -inset), slice(inset, -inset))
    error = np.abs(probs - wanted)
    x = np.arange(wanted.shape[-1])
    near = np.minimum(x % step, -x % step) <= 2
    near[:inset] = near[-inset:] = False
    beside = error[:, inset:-inset][..., near].mean() if near.any() else 0.0
    p, q = probs[inner] >= 0.5, wanted[inner] >= 0.5
    iou = (p & q).sum() / max((p | q).sum(), 1)
    return (
        f"{name} | {work:.2f} | {error[inner].max():.2g} | {beside:.2g} | {1 - iou:.2g} | "
        f"{seam_score(probs[inner[0], inner[1]], step):.3f}"
    )


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--planes", type=int, default=2)
    parser.add_argument("--core", type=int, default=256, help="side of the windows' cores")
    parser.add_argument("--margins", type=int, nargs="+", default=[0, 16, 32, 48, 64, 80, 96])
    parser.add_argument("--steps", type=int, default=300, help="training steps of the model")
    parser.add_argument("--keep", type=Path, help="folder for model and volume, used again")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder, n = given.keep or Path(temporary), given.planes
        model = trained_model(folder, steps=given.steps)
        image = np.asarray(Volume.open(folder / "cell.ome.zarr").raw()[:n])
        path = folder / f"seams-{n}x{given.side}.ome.zarr"
        volume = store_with(path, larger(image, (n, given.side, given.side)))
        network, spec = load_network(model)
        ready = normalise(np.asarray(volume.raw()[:]), model_normalisation(spec, volume))
        images = torch.from_numpy(ready)[:, None]
        wanted, full = whole(network, images, spec), spec.window.margin
        sys.stdout.write("windows | work | largest | beside seams | 1 - IoU | seam score\n")
        for margin in [*given.margins, full]:
            cut = dataclasses.replace(spec, window=WindowSpec((given.core, given.core), margin))
            result = in_windows(network, cut, volume, n, 0.0)
            name = f"margin {margin}" + (", the default" if margin == full else "")
            sys.stdout.write(row(name, result[0], wanted, *result[1:], full) + "\n")
        for overlap in (0.25, 0.5):
            side = given.core - 2 * full if given.core > 2 * full else given.core
            cut = dataclasses.replace(spec, window=WindowSpec((side, side), full))
            result = in_windows(network, cut, volume, n, overlap)
            name = f"overlap {overlap}, windows of {side + 2 * full}"
            sys.stdout.write(row(name, result[0], wanted, *result[1:], full) + "\n")
        peer = row("plain MONAI", monai(network, images), wanted, 128, 4.0, full)
        sys.stdout.write(peer + "\n")


if __name__ == "__main__":
    main()
