"""Peak memory of `fibseg infer` on a volume of 10⁹ voxels, the whole process tree counted.

    python benchmarks/infer_memory.py [--blocks processes|serial] [--stop-after 20] [--keep DIR]

Target: at most 3 GiB. A procedural volume and a random model of the default size, working at half
the resolution, are made first; the run is stopped after 20 blocks (or at the end of the volume).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch

from fibseg.export import describe_model, save_model_folder
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple
from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume

CODE = """
import sys
from fibseg.blocks import Processes, Serial
from fibseg.pipeline import infer
runner = Serial() if sys.argv[3] == "serial" else Processes()
infer.run(model=sys.argv[1], volume=sys.argv[2], name="m", blocks=runner, overwrite=True)
"""


def make_volume(path: Path, shape: tuple[int, int, int]) -> Volume:
    """Waves and noise, written slab by slab."""
    volume = Volume.create(
        path, shape=shape, dtype=np.uint8, spacing=(20.0, 20.0, 20.0), polarity="dark"
    )
    y, x = np.mgrid[: shape[1], : shape[2]]
    waves = 120 + 40 * np.sin(y / 17) + 40 * np.sin(x / 23)
    noise = np.random.default_rng(0).integers(0, 16, (64, *shape[1:]), dtype=np.uint8) * 2
    slab = np.clip(waves + noise, 0, 255).astype(np.uint8)
    for z in range(0, shape[0], 64):
        n = min(64, shape[0] - z)
        volume.raw()[z : z + n] = np.roll(slab[:n], z, axis=1)
    finish_raw(volume)
    return volume


def make_model(folder: Path, spacing: tuple[float, float, float], features: list[int]) -> Path:
    """A network with random weights: memory and time do not depend on what it has learnt."""
    network = NetworkSpec(features=features)
    torch.manual_seed(0)
    spec = describe_model(
        network={"name": "unet", "features": features}, classes=["object"],
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        context=0, receptive_field=receptive_margin(network),
        stride_multiple=stride_multiple(network), training={}, metrics={}, spacing=spacing,
    )
    module = build_network(network, in_channels=1, n_classes=1)
    return save_model_folder(folder, module, spec, overwrite=True)


def tree_bytes(process: psutil.Process) -> tuple[int, int]:
    """Bytes of a process and its children: resident, and with pages that they share counted once.

    Summed resident sizes count the libraries of every process again; proportional sizes do not.
    """
    resident, proportional = 0, 0
    for one in [process, *process.children(recursive=True)]:
        try:
            info = one.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        resident += info.rss
        proportional += getattr(info, "pss", info.rss)
    return resident, proportional


def measure(
    model: Path, volume: Volume, runner: str, stop_after: int
) -> tuple[tuple[int, int], int, float]:
    """Peak bytes of the tree in both ways, blocks done, seconds since the first was done."""
    journal = volume.path / "probabilities" / ".m.journal"
    shutil.rmtree(journal.parent, ignore_errors=True)  # of an earlier measurement
    words = [sys.executable, "-c", CODE, str(model), str(volume.path), runner]
    process = psutil.Popen(words, stderr=subprocess.DEVNULL)
    peak, done, first = (0, 0), 0, 0.0
    while process.poll() is None:
        resident, proportional = tree_bytes(process)
        peak = max(peak[0], resident), max(peak[1], proportional)
        done = max(done, journal.read_bytes().count(b"done ") if journal.exists() else 0)
        first = first or (time.monotonic() if done else 0.0)
        if done >= stop_after:
            process.kill()  # its workers end with it
            process.wait()
        time.sleep(0.02)
    return peak, done, time.monotonic() - first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", choices=["serial", "processes"], default="processes")
    parser.add_argument("--stop-after", type=int, default=20)
    parser.add_argument("--shape", type=int, nargs=3, default=[730, 1200, 1200])
    parser.add_argument("--features", type=int, nargs="+", default=list(NetworkSpec().features))
    parser.add_argument("--model-nm", type=float, default=40.0, help="working pixel; 20: as raw")
    parser.add_argument("--keep", type=Path, help="folder for the volume, used again next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        path = folder / f"{'x'.join(map(str, given.shape))}.ome.zarr"
        volume = Volume.open(path) if path.exists() else make_volume(path, tuple(given.shape))
        nm = given.model_nm
        model = make_model(Path(temporary) / "model", (20.0, nm, nm), given.features)
        peak, done, seconds = measure(model, volume, given.blocks, given.stop_after)
    sys.stdout.write(
        f"{np.prod(given.shape) / 1e9:.2f} gigavoxels, {given.blocks}, features "
        f"{given.features} at {nm:g} nm: {done} blocks, peak {peak[0] / 2**30:.2f} GiB "
        f"resident, {peak[1] / 2**30:.2f} GiB with shared pages counted once "
        f"({seconds:.0f} s after the first block)\n"
    )


if __name__ == "__main__":
    main()
