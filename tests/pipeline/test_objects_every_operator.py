from __future__ import annotations

import functools

import numpy as np

from fibseg.measure import regions
from fibseg.pipeline import objects
from fibseg.pipeline.chain import bound
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.postprocess import (
    components,
    fill_holes,
    grow_regions,
    hysteresis_threshold,
    keep_largest,
    smooth,
    smooth_surface,
    split_large,
    watershed,
)
from fibseg.volume import Volume

P = functools.partial
SPACING = (20.0, 10.0, 10.0)
CHAIN = {
    "smooth": P(smooth, sigma_nm=12.0), "hysteresis": P(hysteresis_threshold, low=0.45, high=0.6),
    "fill_holes": P(fill_holes), "largest": P(keep_largest, n=3),
    "even": P(smooth_surface, sigma_nm=8.0),
    "components": P(components, min_voxels=4), "watershed": P(watershed, depth_nm=3.0),
    "large": P(split_large, max_volume_um3=1e-4, depth_nm=1.0),
    "grow": P(grow_regions, distance_nm=15.0),
}


def test_a_store_holds_what_the_kernels_give_and_nothing_else(tmp_path):
    probs = (np.random.default_rng(2).random((30, 40, 50)) * 256).astype(np.uint8)
    volume = Volume.create(
        tmp_path / "cell.ome.zarr", shape=probs.shape, dtype=np.uint8, spacing=SPACING,
        polarity="dark",
    )
    volume.raw()[:] = 100
    finish_raw(volume)
    product = volume.create_probabilities("vesicles", inputs="drawn")
    product.array[:] = probs
    finish_product(product)
    found = objects.run(volume=str(volume.path), name="vesicles", postprocess=CHAIN)
    whole = probs
    for step in CHAIN.values():
        whole = bound(step, spacing=SPACING)(whole)
    np.testing.assert_array_equal(volume.labels("vesicles")[:], whole)
    assert found["labels/vesicles"]["n_objects"] == whole.max() > 3
    table = volume.table("vesicles")
    for name, column in regions.measure(whole, spacing=SPACING).items():
        np.testing.assert_array_equal(table[name], column)
    assert not (volume.path / ".scratch").exists()
