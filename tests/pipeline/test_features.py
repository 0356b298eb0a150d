"""Objects of a store chosen by a table that was measured of the same objects."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError, UsageError
from fibseg.measure import shape
from fibseg.pipeline import measure, objects, samples
from fibseg.pipeline.named import digests_of, names_in
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.postprocess import components, filter_objects, threshold
from fibseg.volume import Volume

P = functools.partial
SHAPE, SPACING = (24, 40, 50), (20.0, 10.0, 10.0)
FIELD = ndimage.gaussian_filter(np.random.default_rng(1).random(SHAPE), 1.5)
PROBS = np.where(np.quantile(FIELD, 0.8) < FIELD, 255, 0).astype(np.uint8)
STEPS = {"threshold": P(threshold, level=0.5), "components": P(components, connectivity=6)}
NEAR = {"table": "m", "column": "distance_nearest_um", "maximum": 0.1}


@pytest.fixture
def volume(tmp_path):
    store = Volume.create(
        tmp_path / "cell.ome.zarr", shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark"
    )
    store.raw()[:] = PROBS // 2
    finish_raw(store)
    product = store.create_probabilities("m", inputs="drawn")
    product.array[:] = PROBS
    finish_product(product)
    cell = store.create_labels("cell", kind="labels", dtype=np.uint8, inputs="drawn")
    cell.array[:] = np.indices(SHAPE)[2] < 30
    finish_product(cell)
    return store


def make(store, *, out=None, **chosen):
    more = {"chosen": P(filter_objects, **chosen)} if chosen else {}
    return objects.run(
        volume=str(store.path), name="m", out=out, postprocess={**STEPS, **more}
    )


def measured(store, **how):
    return measure.run(volume=str(store.path), objects="m", to=["cell"], **how)


def test_objects_are_chosen_by_their_distance_to_a_membrane(volume):
    make(volume)
    measured(volume)
    table, labels = volume.table("m"), volume.labels("m")[:]
    make(volume, out="near", **NEAR)
    expected = filter_objects(labels, table, **{k: v for k, v in NEAR.items() if k != "table"})
    assert 0 < expected.max() < labels.max()
    np.testing.assert_array_equal(volume.labels("near")[:], expected)
    (record,) = [r for r in volume.runs() if "labels/near" in r["products"]]
    assert record["inputs"]["tables/m"] == digests_of(volume, ["tables/m"])["tables/m"]


def test_another_table_makes_other_objects(volume):
    make(volume)
    measured(volume, keep_border=True)
    column = {"table": "tables/m", "column": "sphericity", "minimum": 0.0}
    make(volume, out="round", **column)
    all_there, info = volume.labels("round")[:], volume.labels_info("round")
    make(volume, out="round", **column)
    assert volume.labels_info("round") == info
    measured(volume)
    make(volume, out="round", **column)
    assert volume.labels("round")[:].max() < all_there.max(), "those that a face cuts have no value"


def test_shapes_need_no_table(volume):
    make(volume, column="surface_to_volume_per_um", maximum=150.0)
    labels = components(PROBS >= 128, connectivity=6, spacing=SPACING)
    table = shape.measure(labels, spacing=SPACING)
    expected = filter_objects(labels, table, column="surface_to_volume_per_um", maximum=150.0)
    assert 0 < expected.max() < labels.max()
    np.testing.assert_array_equal(volume.labels("m")[:], expected)


def test_a_table_of_other_objects_is_refused(volume):
    make(volume, column="n_voxels", minimum=5)
    measured(volume)
    with pytest.raises(DataError, match=r"tables/m was measured on other objects .* voxels differ"):
        make(volume, out="near", **NEAR)
    assert "near" not in volume.label_names()


def test_a_table_of_labels_that_have_changed_is_refused(volume):
    make(volume)
    measured(volume)
    product = volume.create_labels("m", kind="labels", dtype=np.uint32, inputs="x", overwrite=True)
    product.array[:] = 1
    finish_product(product)
    with pytest.raises(DataError, match="measured on labels/m as they were before they changed"):
        make(volume, out="near", **NEAR)
    assert [r["verb"] for r in volume.runs()].count("objects") == 1, "before any work"


@pytest.mark.parametrize(
    ("chosen", "error", "words"),
    [({"table": "n"}, DataError, "no table"), ({"column": "roundness"}, UsageError,
     r"column=roundness is not in the table. It has label, .*distance_nearest_um"),
     ({"out": "m"}, UsageError, "labels/m cannot be made of itself")],
)
def test_what_is_not_there_is_refused_before_any_work(volume, chosen, error, words):
    make(volume)
    measured(volume)
    with pytest.raises(error, match=words):
        make(volume, **{"out": "near", **NEAR, **chosen})
    assert len(volume.runs()) == 2


def test_a_plan_measures_on_its_sample(volume, tmp_path):
    make(volume)
    measured(volume)
    chain = {**STEPS, "left_out": None, "chosen": P(filter_objects, **NEAR)}
    parts = {"volume": str(volume.path), "name": "m", "postprocess": chain, "out": "near"}
    sample = samples.objects_sample(parts, tmp_path / "sample").parts
    assert names_in(sample["postprocess"]) == []
    assert objects.run(**sample)["labels/near"]["n_objects"] >= 0
    assert "near" not in volume.label_names()
