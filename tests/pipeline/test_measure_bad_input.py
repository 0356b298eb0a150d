"""What cannot be measured is refused or missing, with the reason, and never a wrong number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_cells import MIDDLE, SHAPE, away_nm, balls, cell_and_nucleus, small_cell
from stores import untouched

from fibseg.errors import DataError, UsageError
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.pipeline import measure
from fibseg.pipeline.profile_sums import count_voxels

QUICK = Correlating(n_bootstrap=100, n_simulations=9)


def run(store, **change):
    plan = {"objects": "m", "to": ["nucleus", "cell"], "correlations": QUICK, **change}
    return measure.run(volume=str(store.path), **plan)


def facts_of(store):
    return store.table_info("m")["measured"]


def one_voxel(place):
    labels = np.zeros(SHAPE, np.uint32)
    labels[place] = 1
    return labels


def test_no_objects_are_refused(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=np.zeros(SHAPE, np.uint32))
    with pytest.raises(DataError, match="no object in labels/m"):
        run(store)
    assert store.table_names() == []


def test_one_object_has_no_neighbours_no_class_and_no_correlation(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(1))
    found = run(store)
    table, facts = store.table("m"), facts_of(store)
    assert math.isnan(table["centre_neighbour_1_um"][0])
    assert math.isnan(table["surface_neighbour_3_um"][0])
    assert table["surface_neighbour_1"].tolist() == table["centre_neighbour_2"].tolist() == [0]
    assert "spatial_class" not in table
    assert (facts["classes"], facts["null"]) == (None, None)
    assert facts["correlations"]["n_objects"] == [1, 1, 1]
    assert facts["correlations"]["pearson_r"] == [None] * 3
    assert facts["left_out"]["classes"].startswith("1 object with 1 different value of distance_")
    assert facts["left_out"]["null"].startswith("1 object in the cytoplasm has a surface_to")
    text = found.text()
    assert "with distance_cell_um     ρ missing\n" in text
    assert "null left out: 1 object in" in text


def test_an_object_of_one_voxel_has_no_surface_and_stays_where_it_is(tmp_path, caplog):
    labels = balls(5)
    labels[20, 22, 34] = 9
    store = small_cell(tmp_path / "c.ome.zarr", m=labels)
    with caplog.at_level("INFO", logger="fibseg"):
        run(store)
    table, facts = store.table("m"), facts_of(store)
    assert table["n_voxels"][-1] == 1
    for name in ("surface_area_um2", "surface_to_volume_per_um", "sphericity"):
        assert np.isnan(table[name]).tolist() == [False] * 5 + [True]
    assert facts["too_small"] == 1
    assert "1 object is too small for a surface" in caplog.text
    assert table["distance_nucleus_um"][-1] == pytest.approx(0.2 - 0.14, abs=0.011)
    assert table["surface_neighbour_1_um"][-1] < table["centre_neighbour_1_um"][-1]
    assert facts["null"]["table"]["n_objects"] == facts["correlations"]["n_objects"] == [5, 5, 5]
    assert facts["correlated_without"] == []  # it has no value
    assert facts["null"]["n_unplaced"] == 0


def test_objects_at_all_faces_have_no_shape_and_stay_where_they_are(tmp_path):
    labels = balls(6)
    frame = np.ones(SHAPE, bool)
    frame[1:-1, 1:-1, 1:-1] = False
    labels[frame] = 99
    store = small_cell(tmp_path / "c.ome.zarr", m=labels)
    run(store)
    table, facts = store.table("m"), facts_of(store)
    assert np.isnan(table["surface_to_volume_per_um"]).tolist() == [False] * 6 + [True]
    assert np.isfinite(table["distance_cell_um"]).all()
    assert np.isfinite(table["surface_neighbour_1_um"]).all()
    assert facts["correlations"]["n_objects"] == facts["null"]["table"]["n_objects"] == [6, 6, 6]


def test_an_object_that_fills_the_volume_has_nothing_around_it(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=np.full(SHAPE, 7, np.uint32))
    run(store)
    table = store.table("m")
    for name in ("surface_neighbour_1_um", "surface_distance_cell_um", "sphericity"):
        assert math.isnan(table[name][0])
    assert table["surface_neighbour_1"].tolist() == [0]
    assert table["label"].tolist() == [7]


@pytest.mark.parametrize("missing", ["nucleus", "cell"])
def test_without_nucleus_or_cell_there_is_no_null_but_the_rest(tmp_path, missing):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(12))
    (store.path / "labels" / missing).rename(tmp_path / missing)
    with pytest.raises(DataError, match=f"labels/{missing} .* does not exist"):
        run(store)
    (other,) = {"nucleus", "cell"} - {missing}
    run(store, to=other)
    facts = facts_of(store)
    assert facts["left_out"]["null"] == "it needs the nucleus and the cell, both also in to="
    assert facts["correlations"]["n_objects"] == [12, 12]
    assert (facts["classes"] is None) == (missing == "nucleus")
    if missing == "nucleus":
        assert facts["left_out"]["classes"] == "distance_nucleus_um is not measured, see to="


def test_a_nucleus_without_a_voxel_is_refused(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(3), nucleus=np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match="labels/nucleus is empty"):
        run(store)


def test_a_cell_cut_by_the_volume_ends_at_no_membrane_there(tmp_path, caplog):
    """Half of it: where the volume ends nothing is near, for measured and simulated objects."""
    near = balls(12)
    half = {name: mask.copy() for name, mask in cell_and_nucleus().items()}
    half["cell"] = (away_nm((0, 22, 24)) < 380).astype(np.uint8)
    half["nucleus"] = (away_nm((0, 22, 24)) < 140).astype(np.uint8)
    store = small_cell(tmp_path / "c.ome.zarr", m=near, **half)
    with caplog.at_level("INFO", logger="fibseg"):
        run(store)
    assert "labels/cell is cut by a face" in caplog.text
    table = store.table("m")
    for row, z in enumerate(table["centroid_z_um"]):
        centre = [z, table["centroid_y_um"][row], table["centroid_x_um"][row]]
        from_middle = math.dist(centre, (0, 0.44, 0.48))
        assert table["distance_cell_um"][row] == pytest.approx(abs(0.38 - from_middle), abs=0.02)
        assert table["inside_cell"][row] == (from_middle < 0.38) or abs(from_middle - 0.38) < 0.02
    n_inside = int((table["inside_cell"] & ~table["inside_nucleus"]).sum())
    assert facts_of(store)["null"]["table"]["n_objects"] == [n_inside] * 3


def test_objects_over_the_nucleus_are_in_no_class_and_not_placed(tmp_path, caplog):
    labels = balls(12)
    labels[away_nm(MIDDLE) < 60] = 50
    store = small_cell(tmp_path / "c.ome.zarr", m=labels)
    with caplog.at_level("INFO", logger="fibseg"):
        run(store)
    table, facts = store.table("m"), facts_of(store)
    assert table["inside_nucleus"].tolist() == [False] * 12 + [True]
    assert table["spatial_class"][-1] == ""
    assert facts["classes"]["counts"][""] == 1
    assert facts["null"]["table"]["n_objects"] == [12, 12, 12]
    assert facts["correlations"]["n_objects"] == [12, 12, 12]
    assert facts["correlated_without"] == [50]
    assert "correlations: without 1 object that the spatial null does not place" in caplog.text


def test_objects_without_room_are_missing_in_the_null(tmp_path, caplog):
    """Balls 130 nm across, in a cytoplasm of 40 nm."""
    labels = np.zeros(SHAPE, np.uint32)
    for number, step in enumerate([*np.eye(3), *-np.eye(3)]):
        labels[away_nm(tuple(MIDDLE + 8 * step)) < 66 + number / 2] = number + 1
    thin = (away_nm(MIDDLE) < 180).astype(np.uint8)
    store = small_cell(tmp_path / "c.ome.zarr", m=labels, cell=thin)
    found = run(store, correlations=Correlating(n_bootstrap=100, n_simulations=3, voxel_nm=20))
    null = facts_of(store)["null"]
    assert null["n_unplaced"] == 6
    assert null["table"]["n_incomplete"] == [3, 3, 3]
    assert null["table"]["pearson_null_p"] == [None] * 3
    assert null["never_placed"] == [1, 2, 3, 4, 5, 6]
    assert facts_of(store)["correlations"]["n_objects"] == [6, 6, 6]  # no p is beside them
    assert "at random missing" in found.text()
    assert null["simulated"]["distance_cell_um"]["pearson_r"] == [None] * 3
    assert "6 of 6 objects found no place" in caplog.text


def test_masks_of_other_shapes_are_refused():
    arrays = {"m": np.zeros((4, 4, 4), np.uint8), "cell": np.zeros((4, 4, 5), np.uint8)}
    with pytest.raises(DataError, match=r"differ in shape: .*\(4, 4, 5\)"):
        count_voxels(arrays, cell="cell", nucleus=None, block_shape=(4, 4, 4))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"neighbours": -1}, "neighbours=-1 is below 0"),
        ({"classes": ClassRule(column="distanse_cell_um")}, "Did you mean distance_cell_um"),
        ({"classes": ClassRule(column="label")}, "label is no distance .* There are distance_nuc"),
        ({"classes": ClassRule(column="bbox_z_start")}, "bbox_z_start is no distance"),
        ({"classes": ClassRule(column="label"), "to": []}, "There are none, see to="),
        ({"classes": ClassRule(column="surface_neighbour_1_um")}, "_1_um is no distance"),
        ({"correlations": Correlating(column="volume")}, "Did you mean volume_um3"),
        ({"correlations": Correlating(column="distance_er_um")}, "no column that is measured"),
        ({"intensity": False, "correlations": Correlating(column="intensity_mean")},
         "intensity_mean is no column"),
    ],
)
def test_columns_that_cannot_be_are_refused_before_any_work(tmp_path, change, said):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(2))
    with untouched(store.path), pytest.raises(UsageError, match=said):
        run(store, **change)


def test_a_class_column_of_a_target_that_is_not_measured_is_told(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(2))
    run(store, to=["cell"], classes=ClassRule(column="surface_distance_nucleus_um"))
    reason = "surface_distance_nucleus_um is not measured, see to="
    assert facts_of(store)["left_out"]["classes"] == reason
