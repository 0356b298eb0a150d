"""What cannot be stated of a distribution is refused or missing, with the reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pore_stores import BRIEF, QUICK, nucleus_store, pore_store, pores_on, run
from small_cells import add_labels
from stores import untouched
from surfaces import two_lobes

from fibseg.cli.main import main
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.pipeline.distribution import Sections, Spreading


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return pore_store(tmp_path_factory.mktemp("pores") / "cell.ome.zarr", 60)


def some(labels, n):
    return np.where(labels <= n, labels, 0)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_fewer_than_nine_objects_have_no_mean_of_eight(tmp_path, caplog, n):
    nucleus = two_lobes()
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores_on(nucleus, n))
    found = run(store)
    table = store.table("pores")
    assert np.isnan(table["mean_distance_8_um"]).all()
    assert np.isfinite(table["nearest_um"]).all() == (n > 1)
    for name in ("density_per_um2", "mean_curvature_per_um", "section", "kernel_density_per_um3"):
        assert np.isfinite(table[name]).all(), name
    assert f"{n} objects are too few for a mean distance to the nearest eight" in caplog.text
    assert "missing" in found.text()


def test_an_empty_section_is_told_and_nothing_is_compared(tmp_path, caplog):
    nucleus = two_lobes()
    pores = pores_on(nucleus, 100)
    pores[:, nucleus.shape[1] // 2 - 10 :] = 0
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores.astype(np.uint32))
    found = run(store)
    assert found["sections"]["empty"] == [2]
    assert "section 2 is empty" in caplog.text
    eight = found["comparisons"]["mean_distance_8_um"]
    assert (eight["n_2"], eight["welch_p"], eight["blocks_p"]) == (0, None, None)
    assert found["comparisons"]["objects_per_um2"]["mean_2"] == 0


def test_a_plane_beside_the_nucleus_leaves_one_section(store):
    beside = replace(BRIEF, split="plane", point_um=[1.6, 40.0, 1.6], normal=[0, 1, 0])
    found = run(store, sections=beside)
    assert found["sections"]["empty"] == [2]
    assert found["comparisons"] == {}
    assert set(store.table("pores")["section"]) == {1}


def test_a_nucleus_cut_by_the_volume_is_told(tmp_path, caplog):
    nucleus = two_lobes()[40:]
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores_on(nucleus, 60))
    found = run(store)
    assert found["cut_by"] == ["first z"]
    assert "cut by the volume (first z)" in caplog.text
    assert found["objects_per_um2"] == pytest.approx(60 / found["envelope_um2"])
    table = store.table("pores")
    assert table["density_per_um2"].mean() == pytest.approx(found["objects_per_um2"], rel=0.1)


def test_objects_far_from_the_envelope_are_named_and_left_out(tmp_path, caplog):
    nucleus = two_lobes()
    pores = pores_on(nucleus, 40)
    middle = nucleus.shape[0] // 2, nucleus.shape[1] // 2 - 20, nucleus.shape[2] // 2
    pores[middle] = 41
    pores[1, 1, 1] = 57
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores)
    found = run(store)
    assert (found["n_objects"], found["n_on_envelope"], found["far"]) == (42, 40, [41, 57])
    assert "labels 41, 57" in caplog.text
    table = store.table("pores")
    for name in ("density_per_um2", "mean_curvature_per_um", "section"):
        assert np.isnan(table[name]).tolist() == [False] * 40 + [True] * 2
    assert np.isfinite(table["mean_distance_8_um"]).all()
    assert table["envelope_distance_um"][40] < -0.3 < 0.3 < table["envelope_distance_um"][41]


def test_all_objects_far_away(tmp_path):
    nucleus = two_lobes()
    pores = np.zeros(nucleus.shape, np.uint32)
    pores[1, 1, 1], pores[1, 1, 9] = 1, 2
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores)
    found = run(store)
    assert found["n_on_envelope"] == 0
    assert found["pair_correlation"] is None
    assert np.isnan(store.table("pores")["density_per_um2"]).all()
    assert found.text()


@pytest.mark.parametrize(("nucleus", "why"), [(0, "is empty"), (1, "fills the volume")])
def test_a_nucleus_without_a_border_is_refused(tmp_path, nucleus, why):
    pores = np.zeros((20, 20, 20), np.uint32)
    pores[5, 5, 5] = 1
    store = nucleus_store(
        tmp_path / "c.ome.zarr", np.full((20, 20, 20), nucleus, bool), pores=pores
    )
    with pytest.raises(DataError, match=f"labels/nucleus {why}, so there is no envelope"):
        run(store)
    assert store.table_names() == []


def test_no_nucleus_is_refused(store):
    with untouched(store.path), pytest.raises(DataError, match="nuclei"):
        run(store, on="nuclei")


@pytest.mark.parametrize(("words", "named", "code"), [
    (["objects=pore"], "pore", 65),
    (["objects=pores", "on=nuclear"], "nuclear", 65),
    (["objects=pores", "on=pores"], "cannot lie on themselves", 2),
    (["objects=pores", "onn=nucleus"], "onn", 2),
    (["on=nucleus"], "objects", 2),
    (["objects=pores", "sections.split=half"], "none of furrow, plane, none", 2),
    (["objects=pores", "spreading.density_um=-1"], "no length", 2),
    (["objects=pores", "voxel_nm=wide"], "voxel_nm=wide", 2),
])
def test_the_command_names_what_is_wrong_and_writes_nothing(store, capsys, words, named, code):
    with untouched(store.path):
        assert main(["distribution", f"volume={store.path}", *words, "blocks=serial"]) == code
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said


def test_a_name_that_is_not_there_comes_with_those_that_are(store):
    with pytest.raises(DataError, match=r"pores") as told:
        run(store, objects="pore")
    assert "nucleus" in str(told.value)


def test_objects_of_another_volume_cannot_be_there(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        run(pore_store(tmp_path / "c.ome.zarr", 3), volume=str(tmp_path / "nowhere.ome.zarr"))


def test_a_plane_with_all_objects_on_one_side_compares_nothing_but_states_both(tmp_path):
    nucleus = two_lobes()
    pores = pores_on(nucleus, 60)
    middle = nucleus.shape[0] // 2
    pores[middle + 3 :] = 0
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores.astype(np.uint32))
    found = run(store, sections=replace(
        BRIEF, split="plane", point_um=[(middle + 5) * 0.04, 2.3, 1.6], normal=[1, 0, 0]
    ))
    assert found["sections"]["empty"] == [2]
    rows = found["sections"]["rows"]
    assert rows[1]["n_objects"] == 0
    assert rows[1]["area_um2"] > 1
    assert rows[1]["mean_mean_distance_8_um"] is None
    assert rows[0]["mean_mean_distance_8_um"] > 0
    for name in ("mean_distance_8_um", "density_per_um2", "kernel_density_per_um3"):
        assert found["comparisons"][name]["blocks_p"] is None
        assert found["comparisons"][name]["difference"] is None
    assert "missing" in found.text()


def test_no_objects_are_refused(tmp_path):
    nucleus = two_lobes()
    store = nucleus_store(
        tmp_path / "c.ome.zarr", nucleus, pores=np.zeros(nucleus.shape, np.uint32)
    )
    with pytest.raises(DataError, match="no object in labels/pores"):
        run(store)


def test_objects_on_themselves_are_refused(store):
    with untouched(store.path), pytest.raises(UsageError, match="cannot lie on themselves"):
        run(store, on="pores")


def test_annotations_are_refused(store):
    add_labels(
        store, "nucleus", np.ones(store.shape, np.uint8), kind="annotation",
        classes={"nucleus": 2},
    )
    with pytest.raises(UsageError, match="is an annotation"):
        run(store, on="annotation_nucleus")


@pytest.mark.parametrize("voxel_nm", [0, -1, float("nan")])
def test_no_voxel_is_refused(store, voxel_nm):
    with pytest.raises(UsageError, match="no size of a voxel"):
        run(store, voxel_nm=voxel_nm)


def test_a_file_that_stands_is_refused_before_any_work(store, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("something else")
    with untouched(store.path), pytest.raises(ExistsError, match="stands already"):
        run(store, csv=str(file), spreading=replace(QUICK, seed=7))


@pytest.mark.parametrize(("part", "wrong", "why"), [
    (Spreading, {"density_um": 0}, "no length"),
    (Spreading, {"island_um": float("inf")}, "no length"),
    (Spreading, {"self_weight": 2}, "between 0 and 1"),
    (Spreading, {"pairs_step_um": 3}, "is more than"),
    (Spreading, {"n_simulations": 7}, "too few for a band"),
    (Spreading, {"cluster_others": 0}, "everything a cluster"),
    (Spreading, {"seed": -1}, "is not between"),
    (Sections, {"split": "half"}, "none of furrow"),
    (Sections, {"split": "plane"}, "needs a plane"),
    (Sections, {"split": "plane", "point_um": [0, 0, 0], "normal": [0, 0, 0]}, "are no plane"),
    (Sections, {"normal": [0, 0, 1]}, "are nothing to"),
    (Sections, {"patch_um2": 0}, "is no area"),
    (Sections, {"n_blocks": 3}, "at least 8 blocks"),
    (Sections, {"seed": 2**40}, "is not between"),
])
def test_settings_that_cannot_be_meant(part, wrong, why):
    with pytest.raises(UsageError, match=why):
        part(**wrong)
