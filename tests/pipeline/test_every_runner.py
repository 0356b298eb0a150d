"""Chains with global operators, and distances, give the same on every runner."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from benches import DiskBench

from fibseg.blocks import Cluster, Processes, Serial, cluster_pool
from fibseg.measure import regions
from fibseg.pipeline import distance
from fibseg.pipeline.chain import bound
from fibseg.pipeline.operators import Work, find_objects, region_table
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.postprocess import (
    components,
    fill_holes,
    grow_regions,
    hysteresis_threshold,
    smooth,
    watershed,
)
from fibseg.volume import Volume

P = functools.partial
RUNNERS = [Serial(), Processes(n_workers=2), Cluster(n_workers=1)]
NAMES = ["serial", "processes", "cluster"]
SHAPE, BLOCK, SPACING = (20, 24, 28), (8, 16, 16), (20.0, 10.0, 10.0)
TOUCHING = {
    "smooth": P(smooth, sigma_nm=12.0), "hysteresis": P(hysteresis_threshold, low=0.5, high=0.56),
    "fill_holes": P(fill_holes), "components": P(components, min_voxels=6),
    "watershed": P(watershed, depth_nm=1.0, max_object_voxels=2000),
    "grow": P(grow_regions, distance_nm=15.0),
}


@pytest.fixture(scope="module", autouse=True)
def closed():
    yield
    cluster_pool.close()


@pytest.fixture(scope="module")
def expected():
    """Probabilities, and what the array kernels make of them."""
    probs = (np.random.default_rng(4).random(SHAPE) * 256).astype(np.uint8)
    labels = probs
    for step in TOUCHING.values():
        labels = bound(step, spacing=SPACING)(labels)
    assert len(np.unique(labels)) > 10
    return probs, labels


@pytest.mark.parametrize("runner", RUNNERS, ids=NAMES)
def test_a_chain_of_global_operators_gives_what_the_kernels_give(runner, tmp_path, expected):
    probs, labels = expected
    bench = DiskBench(SHAPE, tmp_path)
    work = Work(bench=bench, block_shape=BLOCK, runner=runner, spacing=SPACING)
    target = bench.sheet("labels", dtype="u4")
    n = find_objects(bench.stored("probs", probs), target, TOUCHING, work=work, inputs="")
    assert n == labels.max()
    np.testing.assert_array_equal(target.array[:], labels)
    table = region_table(target.array, block_shape=BLOCK, runner=runner, spacing=SPACING)
    for name, column in regions.measure(labels, spacing=SPACING).items():
        np.testing.assert_array_equal(table[name], column)


def test_distances_are_the_same_bytes_on_every_runner(tmp_path):
    volume = Volume.create(
        tmp_path / "cell.ome.zarr", shape=(140, 30, 30), dtype=np.uint8, spacing=SPACING,
        polarity="dark",
    )
    volume.raw()[:] = 100
    finish_raw(volume)
    product = volume.create_labels("m", kind="labels", dtype=np.uint32, inputs="drawn")
    mask = np.zeros(volume.shape, dtype=np.uint32)
    mask[40:90, 10:20, 5:25] = 1
    product.array[:] = mask
    finish_product(product)
    for name, runner in zip(NAMES, RUNNERS, strict=True):
        distance.run(volume=str(volume.path), labels="m", max_nm=700.0, name=name, blocks=runner)
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("c/**/*")
         if path.is_file()}
        for folder in (next(volume.path.rglob(name)) for name in NAMES)
    ]
    assert len(files[0]) >= 3
    assert files[0] == files[1] == files[2]
