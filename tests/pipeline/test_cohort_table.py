"""The values of a cell are those of its tables, as far as they are of the labels of today."""

from __future__ import annotations

import numpy as np
import pytest
from small_cells import add_labels, balls, small_cell

from fibseg.pipeline import measure
from fibseg.pipeline.cohort_table import COLUMNS, Measure, known, measured_cell, measures_of
from fibseg.volume import Volume

BODIES = ["cell", "nucleus"]
PLAIN = {"neighbours": 1, "classes": None, "correlations": None}


@pytest.fixture
def store(tmp_path) -> Volume:
    store = small_cell(tmp_path / "a.ome.zarr", mitochondria=balls(6))
    for name, to in (("cell", []), ("nucleus", ["cell"]), ("mitochondria", ["nucleus", "cell"])):
        measure.run(volume=str(store.path), objects=name, to=to, **PLAIN)
    return store


def test_values_are_those_of_the_tables(store):
    found = measured_cell(store, BODIES, ["mitochondria"])
    table = store.table("mitochondria")
    assert found.left_out == {}
    assert found.values["mitochondria_n_objects"] == 6
    assert found.values["mitochondria_volume_um3"] == pytest.approx(table["volume_um3"].sum())
    assert found.values["nucleus_volume_um3"] == store.table("nucleus")["volume_um3"][0]
    assert "nucleus_n_objects" not in found.values
    for name in ("sphericity", "distance_nucleus_um", "surface_neighbour_1_um"):
        assert found.values[f"mitochondria_mean_{name}"] == pytest.approx(table[name].mean())
        assert found.values[f"mitochondria_median_{name}"] == np.median(table[name])
    whole = store.table("cell")["volume_um3"][0]
    assert found.values["mitochondria_share_of_cell"] == pytest.approx(
        table["volume_um3"].sum() / whole
    )
    assert found.tables["mitochondria"]["label"].tolist() == [1, 2, 3, 4, 5, 6]


def test_what_is_missing_or_of_other_labels_is_left_out_and_said(store):
    assert measured_cell(store, BODIES, ["er"]).left_out == {"er": "there is no labels/er"}
    add_labels(store, "mitochondria", balls(7), overwrite=True, inputs="y")
    found = measured_cell(store, BODIES, ["mitochondria"])
    assert "of other labels" in found.left_out["mitochondria"]
    assert list(found.values) == ["cell_volume_um3", "nucleus_volume_um3"]
    add_labels(store, "mitochondria", balls(6), overwrite=True, inputs="x")
    add_labels(store, "nucleus", np.roll(store.labels("nucleus")[:], 1, 0), overwrite=True,
               inputs="y")
    found = measured_cell(store, [], ["mitochondria"])
    assert "with another labels/nucleus" in found.left_out["mitochondria"]


def test_no_object_is_a_count_of_zero(store):
    add_labels(store, "er", np.zeros(store.shape, np.uint32))
    found = measured_cell(store, BODIES, ["er"])
    assert found.left_out == {}
    assert found.values["er_n_objects"] == found.values["er_share_of_cell"] == 0
    assert "er_mean_sphericity" not in found.values


def test_measures_have_names_and_titles_of_their_own():
    measures = measures_of(BODIES, ["mitochondria", "nuclear_pores"])
    assert len({m.key for m in measures}) == len({m.title for m in measures}) == len(measures)
    assert len(measures) == 2 + 2 * (6 + 2 * len(COLUMNS))
    assert not Measure("er", "sphericity", "median").tested


def test_only_what_some_cell_has_is_known():
    measures = measures_of(["cell"], ["er"])
    rows = [{"er_n_objects": float("nan"), "cell_volume_um3": 2.0}, {"er_volume_um3": 0.0}]
    assert [m.key for m in known(measures, rows)] == ["cell_volume_um3", "er_volume_um3"]
