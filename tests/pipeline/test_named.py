from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError, UsageError
from fibseg.measure import regions
from fibseg.pipeline import forecast, objects
from fibseg.pipeline.named import digests_of, names_in, open_arrays, products_in
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.postprocess import (
    components,
    filter_objects,
    grow_regions,
    mask_by,
    threshold,
    watershed,
)
from fibseg.volume import Volume

P = functools.partial
SHAPE, SPACING = (24, 40, 50), (20.0, 10.0, 10.0)
RAW = (np.indices(SHAPE).sum(axis=0) * 3 % 200).astype(np.uint8)
PROBS = (255 * (ndimage.gaussian_filter(np.random.default_rng(1).random(SHAPE), 2) > 0.5)).astype(
    np.uint8
)
CELL = (np.indices(SHAPE)[2] < 30).astype(np.uint32)


@pytest.fixture
def volume(tmp_path):
    store = Volume.create(
        tmp_path / "cell.ome.zarr", shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark"
    )
    store.raw()[:] = RAW
    finish_raw(store)
    product = store.create_probabilities("m", inputs="drawn")
    product.array[:] = PROBS
    finish_product(product)
    put(store, "cell", CELL)
    return store


def put(store, name, labels, **kind):
    product = store.create_labels(
        name, **{"kind": "labels", "dtype": labels.dtype, "inputs": str(labels.sum()),
                 "overwrite": True, **kind}
    )
    product.array[:] = labels
    finish_product(product)


def chain(other="labels/cell", **more):
    return {
        "cell": P(mask_by, other=other), "threshold": P(threshold, level=0.5),
        "components": P(components, connectivity=6), **more,
    }


def run(store, operators, **how):
    return objects.run(volume=str(store.path), name="m", postprocess=operators, **how)


def test_objects_stay_in_the_cell_and_are_chosen_by_brightness(volume):
    operators = chain(
        split=P(watershed, probs="probabilities", depth_nm=5.0, strict_level=0.5),
        bright=P(filter_objects, column="intensity_mean", minimum=90.0),
        grow=P(grow_regions, within="labels/cell", image="raw", distance_nm=30.0, high=150),
    )
    result = run(volume, operators)
    labels = components(mask_by(PROBS, CELL) >= 128, connectivity=6, spacing=SPACING)
    labels = watershed(labels, PROBS, depth_nm=5.0, strict_level=0.5, spacing=SPACING)
    table = regions.measure(labels, RAW, spacing=SPACING)
    labels = filter_objects(labels, table, column="intensity_mean", minimum=90.0)
    expected = grow_regions(labels, CELL, RAW, distance_nm=30.0, high=150, spacing=SPACING)
    np.testing.assert_array_equal(volume.labels("m")[:], expected)
    assert result["labels/m"]["n_objects"] == expected.max() > 3
    (record,) = [r for r in volume.runs() if r["verb"] == "objects"]
    assert record["inputs"] == {
        "probabilities/m": volume.probabilities_info("m").digest,
        "labels/cell": volume.labels_info("cell").digest, "raw": volume.raw_digest,
    }


def test_another_cell_makes_other_objects(volume):
    run(volume, chain())
    first, info = volume.labels("m")[:], volume.labels_info("m")
    run(volume, chain())
    assert volume.labels_info("m") == info
    put(volume, "cell", 1 - CELL)
    run(volume, chain())
    assert volume.labels_info("m").inputs != info.inputs
    assert not (volume.labels("m")[:].astype(bool) & first.astype(bool)).any()


def test_names_are_found_and_opened(volume):
    operators = chain(
        grow=P(grow_regions, within="probabilities/m", distance_nm=9.0), left_out=None,
        bright=P(filter_objects, column="intensity_min", minimum=3),
        size=P(filter_objects, column="n_voxels", minimum=3),
        split=P(watershed, probs="probabilities", depth_nm=9.0, strict_level=0.5),
    )
    names = names_in(operators)
    assert names == ["labels/cell", "probabilities/m", "raw"]
    arrays = open_arrays(volume, names)
    np.testing.assert_array_equal(arrays["labels/cell"][:], CELL)
    np.testing.assert_array_equal(arrays["raw"][:], RAW)
    assert digests_of(volume, names)["probabilities/m"] == volume.probabilities_info("m").digest
    assert products_in(names) == {"labels": ["cell"], "probabilities": ["m"], "distances": []}


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [("labels/nucleus", DataError, "labels/nucleus of .* does not exist"),
     ("distances/cell", DataError, "cell"),
     ("nucleus", UsageError, "nucleus is no array of a store. Name one as labels/NAME"),
     ("labels/", UsageError, "labels/ is no array"), ("raw/0", UsageError, "raw/0 is no array"),
     ("labels/m", UsageError, "labels/m cannot be made of itself"),
     ("labels/annotation_cell", DataError, "annotation_cell is painting")],
)
def test_what_is_not_there_is_refused_before_any_work(volume, name, error, words):
    put(volume, "cell", CELL.astype(np.uint8), kind="annotation", classes={"cell": 2})
    put(volume, "m", CELL)
    with pytest.raises(error, match=words):
        run(volume, chain(name), overwrite=True)
    assert not volume.runs()


def test_a_plan_needs_the_named_arrays_too(volume):
    parts = {
        "volume": str(volume.path), "name": "m", "postprocess": chain(), "out": None,
    }
    plan = forecast.forecast("objects", objects.run, parts)
    assert plan.seconds > 0
    assert "m" not in volume.label_names()
