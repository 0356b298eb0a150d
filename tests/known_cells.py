"""A cell of which everything is known, with objects in it, and `fibseg measure` on it."""

from __future__ import annotations

import numpy as np

from fibseg.pipeline import measure
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE, SPACING = (70, 40, 48), (20.0, 10.0, 10.0)
COLUMNS = [
    f"{kind}_{name}_um" for name in ("nucleus", "cell")
    for kind in ("distance", "surface_distance", "mean_surface_distance")
]


def away(centre):
    steps = [(n - c) * s for n, c, s in zip(np.indices(SHAPE), centre, SPACING, strict=True)]
    return np.sqrt(sum(step**2 for step in steps))


def cell_labels():
    """A cell, its nucleus, and objects of 4 voxels between them; one is in it, one half in it."""
    middle = (34, 20, 24)
    mitochondria = np.zeros(SHAPE, np.uint32)
    for label, centre in enumerate([(34, 20, 38), (34, 6, 24), (41, 20, 24), (34, 20, 24),
                                    (34, 20, 32)], start=2):
        mitochondria[away(centre) < 40] = label
    return {
        "cell": (away(middle) < 185).astype(np.uint8), "nucleus": (away(middle) < 80) * np.uint8(3),
        "mitochondria": mitochondria,
    }


def add_labels(volume, name, data, *, inputs="x", overwrite=False):
    product = volume.create_labels(
        name, kind="labels", dtype=data.dtype, inputs=inputs, overwrite=overwrite
    )
    product.array[:] = data
    finish_product(product)


def make_store(path, **labels):
    volume = Volume.create(path, shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark")
    volume.raw()[:] = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    finish_raw(volume)
    for name, data in (cell_labels() | labels).items():
        add_labels(volume, name, data)
    return volume


def run(volume, **change):
    plan = {"objects": "mitochondria", "to": ["nucleus", "cell"], **change}
    return measure.run(volume=str(volume.path), **plan)


def table_bytes(volume):
    return (volume.path / "tables" / "mitochondria.parquet").read_bytes()
