"""Inference from memory to memory, and training, on one GPU: voxels and patches a second.

    python benchmarks/inference_gpu.py --device cuda [--side 1024] [--keep DIR]

Stands ready, and is tested on a CPU at a small size; it has not run on a GPU. Targets on an H200:
1024³ voxels along one orientation in at most 4 s, along three in at most 12 s.

The way is fibseg's own: planes of grey values go to the device, are normalised, mirrored and seen
by the network there (bfloat16, channels last; `--compile` adds torch.compile with CUDA graphs), and
probabilities of one byte come back. A batch that does not fit is halved. Three orientations are the
mean of the three. "from store" is `fibseg infer` from Zarr to Zarr. Training is a step of the
default network with the settings of `fibseg train`: forward, masked loss, backward, optimiser.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from phantom_model import SPACING, larger, store_with, trained_model

from fibseg.blocks import Processes
from fibseg.export import ModelSpec, load_network
from fibseg.geometry import Box
from fibseg.inference import Backend, Predictor, make_plan, model_normalisation
from fibseg.models import NetworkSpec, build_network, masked_dice_ce
from fibseg.pipeline import infer
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume

TURNS = {"z": (0, 1, 2), "y": (1, 0, 2), "x": (2, 0, 1)}
"""Order of the axes in which planes of an orientation follow each other."""


@dataclass
class Stack:
    """A volume in memory: what a plan needs to know."""

    image: NDArray[np.uint8]
    spacing: Spacing = SPACING
    n_levels: int = 1

    @property
    def shape(self) -> Shape:
        """Voxels."""
        return self.image.shape

    def level_spacing(self, level: int) -> Spacing:
        """Voxel of the only level, nm."""
        return self.spacing

    def raw(self, level: int = 0) -> NDArray[np.uint8]:
        """The only level."""
        return self.image


def along(
    image: NDArray[np.uint8], axis: str, network: torch.nn.Module, spec: ModelSpec,
    volume: Volume, backend: Backend,
) -> NDArray[np.uint8]:
    """Probabilities of all voxels by planes across `axis`."""
    turn = TURNS[axis]
    turned = np.ascontiguousarray(image.transpose(turn))
    predictor = Predictor(
        network, spec, plan=make_plan(spec, Stack(turned)), backend=backend,
        normalisation=model_normalisation(spec, volume),
    )
    (probs,) = predictor.box(lambda box: turned[box.slices], Box.whole(turned.shape))
    return probs.transpose(np.argsort(turn))


def mean_along(
    image: NDArray[np.uint8], axes: str, network: torch.nn.Module, spec: ModelSpec,
    volume: Volume, backend: Backend,
) -> NDArray[np.uint8]:
    """Mean of the orientations named by their letters."""
    if len(axes) == 1:
        return along(image, axes, network, spec, volume, backend)
    total = np.zeros(image.shape, np.uint16)
    for axis in axes:
        total += along(image, axis, network, spec, volume, backend)
    return ((total + len(axes) // 2) // len(axes)).astype(np.uint8)


def patches_a_second(device: str, *, steps: int, batch: int, side: int = 128) -> float:
    """Patches that the default network learns from in a second."""
    place = torch.device(device)
    network = build_network(NetworkSpec(), in_channels=1, n_classes=1).to(place).train()
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = torch.randn(batch, 1, side, side, device=place)
    inside = torch.rand(batch, 1, side, side, device=place)
    target = torch.cat([1 - inside, inside], 1)
    begin = time.perf_counter()
    for step in range(steps + 2):
        if step == 2:  # kernels are chosen in the first
            _wait(device)
            begin = time.perf_counter()
        with torch.autocast(place.type, torch.bfloat16):
            logits = network(images.to(memory_format=torch.channels_last))
        loss = masked_dice_ce(logits.float(), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    _wait(device)
    return steps * batch / (time.perf_counter() - begin)


def _wait(device: str) -> None:
    """Until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def main(words: list[str] | None = None) -> dict[str, float]:
    """Seconds and patches a second by name; printed as well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--compile", action="store_true", help="torch.compile, with CUDA graphs")
    parser.add_argument("--steps", type=int, default=300, help="training steps of the model")
    parser.add_argument("--timed-steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=16, help="patches of a training step")
    parser.add_argument("--model", type=Path, help="model folder; else one is trained")
    parser.add_argument("--keep", type=Path, help="folder for model and volume, used again")
    given = parser.parse_args(words)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that torch can use; --device cpu tries the script")
    backend = Backend("compile" if given.compile else "torch", "bfloat16", given.device)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        model = given.model or trained_model(folder, steps=given.steps)
        seed = np.random.default_rng(0).integers(60, 190, (32, 64, 64), dtype=np.uint8)
        if (folder / "cell.ome.zarr").exists():
            seed = np.asarray(Volume.open(folder / "cell.ome.zarr").raw()[:])
        image = larger(seed, (given.side,) * 3)
        volume = store_with(folder / f"gpu-{given.side}.ome.zarr", image)
        network, spec = load_network(model)
        along(image[:4], "z", network, spec, volume, backend)  # compiles, chooses kernels
        for axes in ("z", "zyx"):
            _wait(given.device)
            begin = time.perf_counter()
            mean_along(image, axes, network, spec, volume, backend)
            found[f"memory to memory along {' '.join(axes)}, s"] = time.perf_counter() - begin
        shutil.rmtree(volume.path / "probabilities", ignore_errors=True)
        begin = time.perf_counter()
        infer.run(
            model=str(model), volume=str(volume.path), name="m", blocks=Processes(),
            backend=backend.name, precision="bfloat16",
        )
        found["store to store along z, s"] = time.perf_counter() - begin
    found["training patches of 128² a second"] = patches_a_second(
        given.device, steps=given.timed_steps, batch=given.batch
    )
    for name, value in found.items():
        sys.stdout.write(f"{name}: {value:.3g}\n")
    if given.device == "cuda":
        sys.stdout.write(f"peak of the GPU: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB\n")
    return found


if __name__ == "__main__":
    main()
