"""The sample of an import: some planes of a source that no store holds yet."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from fibseg.blocks import Serial
from fibseg.geometry import Box
from fibseg.pipeline.sample import Parts, Sample, cut_out
from fibseg.progress import Load, Stage
from fibseg.volume import Volume
from fibseg.volume.sources import Source, expected_spacing, open_source

SOURCE_BYTES = 5e8
"""At most so much of a source is imported in a rehearsal."""


def import_sample(parts: Parts, folder: Path) -> Sample:
    """Some planes, whole, from the middle of the source."""
    from fibseg.pipeline.ingest_labels import placed

    kind, runner = parts["kind"], parts.get("blocks")
    n_workers = max(1, runner.at_once()) if runner else 1
    with open_source(parts["source"], dataset=parts["dataset"], array=parts["array"]) as opened:
        store = None if kind == "image" else Volume.open(parts["volume"])
        source = opened
        if store is not None and kind == "annotation":
            source = placed(opened, store, parts["planes"])
        box = _some_planes(source, least=2 if kind == "annotation" else 1)
        begin = time.monotonic()
        np.save(folder / "planes.npy", source.read(box))
        seconds = time.monotonic() - begin
        spacing = (store.spacing if store else expected_spacing(
            opened, parts["spacing"], trust_given=parts["trust_spacing"]
        ))
        factor, n_bytes = source.shape[0] / box.shape[0], box.size * source.dtype.itemsize
    if store is not None:
        cut_out(store, folder / "cell.ome.zarr", box)
    return Sample(
        parts | {
            "source": str(folder / "planes.npy"), "volume": str(folder / "cell.ome.zarr"),
            "spacing": list(spacing), "dataset": None, "array": None, "planes": None,
            "overwrite": False, "blocks": Serial(),
        },
        Path(parts["volume"]), f"{box.shape[0]} of {source.shape[0]} planes", factor=factor,
        disk_factor=factor, memory_bytes=parts["memory_gb"] * 1e9 / n_workers if factor > 1 else 0,
        before=[Stage("read source, twice", "plane", box.shape[0], 2 * seconds,
                      load=Load(read_bytes=2 * n_bytes))],
    )


def _some_planes(source: Source, *, least: int) -> Box:
    """Whole planes around the one nearest to the middle that has values from `least` on."""
    n_planes, *plane = source.shape
    n = int(SOURCE_BYTES // (math.prod(plane) * source.dtype.itemsize))
    n = min(n_planes, max(1, min(n, 64)))
    order = sorted(range(n_planes), key=lambda z: abs(z - n_planes // 2))
    one = ((z, Box((z, 0, 0), (z + 1, *plane))) for z in order)
    middle = next((z for z, box in one if source.read(box).max() >= least), n_planes // 2)
    first = min(max(middle - n // 2, 0), n_planes - n)
    return Box((first, 0, 0), (first + n, *plane))
