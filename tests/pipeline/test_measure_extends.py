"""A table is extended: what it was measured to before stays, as it is now."""

from __future__ import annotations

import numpy as np
import pytest
from small_cells import add_labels, away_nm, balls, small_cell
from stores import untouched

from fibseg.errors import DataError
from fibseg.measure import regions
from fibseg.measure.settings import Correlating
from fibseg.pipeline import measure, verify

NAME = "mitochondria"


@pytest.fixture
def store(tmp_path):
    er = (away_nm((20, 22, 36)) < 90).astype(np.uint8)
    return small_cell(tmp_path / "cell.ome.zarr", mitochondria=balls(12), er=er)


def run(store, to, **change):
    quick = Correlating(n_bootstrap=100, n_simulations=0)
    plan = {"objects": NAME, "to": to, "correlations": quick, **change}
    return measure.run(volume=str(store.path), **plan)


def targets(store):
    return store.table_info(NAME)["measured"]["to"]


def test_another_target_comes_on_top(store):
    run(store, ["er"])
    first = store.table(NAME)
    run(store, ["nucleus"])
    both = store.table(NAME)
    assert targets(store) == ["er", "nucleus"]
    for name, column in first.items():
        if "nearest" not in name:
            np.testing.assert_array_equal(both[name], column)
    assert {"distance_nucleus_um", "spatial_class"} <= set(both)
    with untouched(store.path):
        run(store, "er")
        run(store, [])
        run(store, ["nucleus", "er"])
    run(store, ["nucleus"], extend=False)
    assert targets(store) == ["nucleus"]
    assert not any("_er" in name for name in store.table(NAME))


def test_nearest_is_of_both_membranes_whatever_else_is_measured(store):
    run(store, ["er", "nucleus"])
    table = store.table(NAME)
    least = np.minimum(table["distance_er_um"], table["distance_nucleus_um"])
    assert table["distance_nearest_um"].tolist() == least.tolist()
    run(store, "cell")
    table = store.table(NAME)
    for kind in ("distance", "surface_distance"):
        least = np.minimum(table[f"{kind}_nucleus_um"], table[f"{kind}_cell_um"])
        assert table[f"{kind}_nearest_um"].tolist() == least.tolist()
    assert (table["distance_er_um"] < table["distance_nearest_um"]).any()
    facts = store.table_info(NAME)["measured"]
    assert (facts["to"], facts["nearest"]) == (["er", "nucleus", "cell"], ["nucleus", "cell"])
    assert facts["correlations"]["with_column"] == [
        f"distance_{name}_um" for name in ("er", "nucleus", "cell", "nearest")
    ]


def test_a_target_that_changed_is_measured_anew(store):
    run(store, ["er", "nucleus"])
    before = store.table(NAME)
    moved = (away_nm((20, 22, 12)) < 90).astype(np.uint8)
    add_labels(store, "er", moved, inputs="y", overwrite=True)
    run(store, ["cell"])
    after = store.table(NAME)
    assert np.abs(before["distance_er_um"] - after["distance_er_um"]).max() > 0.1
    assert before["distance_nucleus_um"].tolist() == after["distance_nucleus_um"].tolist()
    verify.run(volume=store.path)


def test_a_target_that_is_gone_goes(store):
    run(store, ["er", "nucleus"])
    (store.path / "labels" / "er").rename(store.path.parent / "er")
    run(store, ["cell"])
    assert targets(store) == ["nucleus", "cell"]


def test_a_target_without_a_border_by_now_tells_the_way_out(store):
    run(store, ["er"])
    add_labels(store, "er", np.zeros(store.shape, np.uint8), inputs="y", overwrite=True)
    with pytest.raises(DataError, match=r"labels/er is empty.*extend=false"):
        run(store, ["cell"])
    run(store, ["cell"], extend=False)
    assert targets(store) == ["cell"]


def test_a_table_made_anew_by_other_means_is_where_it_starts_from(store):
    run(store, ["er"])
    digest = store.labels_info(NAME).digest
    table = regions.measure(balls(12), spacing=store.spacing)
    store.write_table(NAME, table, labels_digest=digest)  # as fibseg objects does
    run(store, ["cell"])
    assert targets(store) == ["cell"]


def test_other_objects_of_that_name_are_measured_to_the_same(store):
    run(store, ["er"])
    add_labels(store, NAME, balls(5), inputs="y", overwrite=True)
    run(store, ["cell"])
    assert targets(store) == ["er", "cell"]
    assert len(store.table(NAME)["distance_er_um"]) == 5
