"""The verb extends the table, keeps what was there, does nothing twice, and depends on no block."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from pore_stores import BRIEF, QUICK, SPACING, nucleus_store, pore_store, pores_on, run
from small_cells import add_labels
from stores import untouched
from surfaces import parts_of, two_lobes

from fibseg.blocks import Serial
from fibseg.cli.main import main
from fibseg.errors import DataError
from fibseg.measure.crowding import kernel_density_per_um3, mean_distance_um
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.settings import Correlating
from fibseg.pipeline import measure, verify
from fibseg.pipeline.distribution_job import COLUMNS
from fibseg.pipeline.envelope_mesh import envelope_parts, working_level
from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = pore_store(tmp_path_factory.mktemp("pores") / "cell.ome.zarr")
    run(made)
    return made


def facts_of(store):
    return store.table_info("pores")["measured"]["distribution"]


def test_all_columns_are_there_and_right(store):
    table = store.table("pores")
    assert set(COLUMNS) <= set(table)
    assert {"volume_um3", "centroid_z_um"} <= set(table)
    points = np.stack([table[f"centroid_{a}_um"] for a in "zyx"], axis=1)
    assert table["mean_distance_8_um"] == pytest.approx(mean_distance_um(points))
    assert table["kernel_density_per_um3"] == pytest.approx(kernel_density_per_um3(points))
    between = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(len(points))
    assert table["nearest_um"] == pytest.approx(between.min(axis=1))
    assert np.abs(table["envelope_distance_um"]).max() < 0.05
    assert set(table["section"]) == {1, 2}
    envelope = EnvelopeMesh.of(two_lobes(), spacing=SPACING)
    dense = len(points) / envelope.total_um2
    assert table["density_per_um2"].mean() == pytest.approx(dense, rel=0.05)
    # Balls of 1.2 and 1 µm, beside the furrow.
    assert np.median(table["mean_curvature_per_um"]) == pytest.approx(0.9, abs=0.15)
    assert table["mean_curvature_per_um"].min() < 0  # in it


def test_facts_are_told(store):
    facts = facts_of(store)
    assert facts["n_objects"] == facts["n_on_envelope"] == 120
    assert facts["sections"]["plane"]["normal"][1] ** 2 > 0.9
    assert [row["section"] for row in facts["sections"]["rows"]] == [1, 2]
    areas = [row["area_um2"] for row in facts["sections"]["rows"]]
    assert areas[0] > areas[1]
    assert sum(areas) == pytest.approx(facts["envelope_um2"])
    assert set(facts["comparisons"]) == {
        "mean_distance_8_um", "density_per_um2", "kernel_density_per_um3", "objects_per_um2",
    }
    assert 0 < facts["comparisons"]["mean_distance_8_um"]["blocks_p"] <= 1
    assert len(facts["pair_correlation"]["curves"]["pair_correlation"]) == 20
    assert facts["quality"]["n_nearest_below"] == 0
    assert facts["cut_by"] == []


def test_the_same_again_does_nothing(store, caplog):
    with untouched(store.path):
        found = run(store)
    assert "there already" in caplog.text
    assert found["n_objects"] == 120
    assert "per µm²" in found.text()
    assert found.text().endswith(f"fibseg report volume={store.path}")


def test_a_run_is_recorded(store):
    record = store.runs()[-1]
    assert record["verb"] == "distribution"
    assert set(record["inputs"]) == {"labels/pores", "labels/nucleus"}
    assert record["products"].keys() == {"tables/pores"}


def test_other_settings_make_it_anew(store, tmp_path):
    before = store.table("pores")
    run(store, spreading=replace(QUICK, leave_one_out=True))
    after = store.table("pores")
    assert (after["kernel_density_per_um3"] < before["kernel_density_per_um3"]).all()
    file = tmp_path / "pores.csv"
    run(store, csv=str(file))
    assert store.table("pores")["density_per_um2"].tolist() == before["density_per_um2"].tolist()
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 120
    assert float(rows[3]["density_per_um2"]) == before["density_per_um2"][3]


def test_measure_and_distribution_keep_what_the_other_made(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", 40)
    told = {"volume": str(store.path), "objects": "pores", "to": ["nucleus"],
            "correlations": Correlating(n_bootstrap=100, n_simulations=0)}
    run(store)
    spread = store.table("pores")["density_per_um2"]
    measure.run(**told)
    both = store.table("pores")
    assert both["density_per_um2"].tolist() == spread.tolist()
    assert "surface_area_um2" in both
    with untouched(store.path):
        run(store)
        measure.run(**told)
    run(store, spreading=replace(QUICK, density_um=0.4))
    again = store.table("pores")
    assert again["density_per_um2"].tolist() != spread.tolist()
    assert again["volume_um3"].tolist() == both["volume_um3"].tolist()
    assert "surface_area_um2" in again
    measured = store.table_info("pores")["measured"]
    assert {"profile", "correlations", "distribution"} <= set(measured)
    with untouched(store.path):
        measure.run(**told)


def test_a_new_nucleus_makes_it_anew(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", 30)
    before = run(store)["envelope_um2"]
    smaller = two_lobes()
    smaller[: smaller.shape[0] // 2] = False
    add_labels(store, "nucleus", smaller.astype(np.uint8), inputs="y", overwrite=True)
    assert run(store)["envelope_um2"] < before


def other_nucleus(store):
    add_labels(
        store, "nucleus", np.roll(store.labels("nucleus")[...], 1, 0), inputs="y", overwrite=True
    )


def test_measure_knows_the_nucleus_and_keeps_nothing_of_an_older_one(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", 30)
    told = {"volume": str(store.path), "objects": "pores", "nucleus": None,
            "correlations": Correlating(n_bootstrap=100, n_simulations=0)}
    run(store)
    measure.run(**told)
    measured = store.table_info("pores")["measured"]
    assert measured["sources"]["labels/nucleus"] == store.labels_info("nucleus").digest
    other_nucleus(store)
    measure.run(**told, keep_border=True)
    assert "density_per_um2" not in store.table("pores")
    assert "distribution" not in store.table_info("pores")["measured"]


def test_verify_names_the_verb_that_is_to_be_run_again(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", 12)
    run(store)
    other_nucleus(store)
    with pytest.raises(DataError, match="Run fibseg distribution again"):
        verify.run(volume=str(store.path))
    run(store)
    verify.run(volume=str(store.path))
    sources = store.table_info("pores")["measured"]["sources"]
    assert sources["labels/nucleus"] == store.labels_info("nucleus").digest


def test_by_a_plane_that_is_given(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", 60)
    plane = replace(BRIEF, split="plane", point_um=[1.6, 2.3, 1.6], normal=[2, 0, 0])
    run(store, sections=plane)
    table = store.table("pores")
    one, two = (np.unique(table["section"][side]) for side in (
        table["centroid_z_um"] > 1.65, table["centroid_z_um"] < 1.55
    ))
    assert len(one) == len(two) == 1
    assert one != two


def test_a_nucleus_without_a_furrow_has_no_sections(tmp_path, caplog):
    nucleus = two_lobes()
    nucleus[:, nucleus.shape[1] // 2 + 5 :] = False
    nucleus = np.pad(nucleus, 3)
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores_on(nucleus, 40))
    found = run(store)
    assert np.isnan(store.table("pores")["section"]).all()
    assert found["sections"]["why_none"] == "the nucleus has no furrow"
    assert found["comparisons"] == {}
    assert "no sections: the nucleus has no furrow" in caplog.text
    assert "sections left out" in found.text()


@pytest.mark.parametrize("block", [(16, 32, 24), (33, 17, 80), (200, 200, 200)])
def test_any_blocks_give_the_same_parts(block):
    mask = two_lobes(spacing=(80.0, 80.0, 80.0))
    whole = EnvelopeMesh.of_parts(parts_of(mask), spacing=(80, 80, 80))
    parts = envelope_parts(mask.astype(np.uint8), block_shape=block, runner=Serial())
    found = EnvelopeMesh.of_parts(parts, spacing=(80, 80, 80))
    assert np.array_equal(found.vertices_um, whole.vertices_um)
    assert np.array_equal(found.area_um2, whole.area_um2)


def test_the_working_level_is_the_coarsest_that_is_fine_enough(tmp_path):
    store = Volume.create(
        tmp_path / "v.ome.zarr", shape=(300, 300, 300), dtype=np.uint8,
        spacing=(20.0, 20.0, 20.0), polarity="dark",
    )
    levels = {nm: working_level(store, nm)[1][0] for nm in (10, 20, 45)}
    assert levels[10] == levels[20] == 20


def test_a_coarser_level_has_the_same_envelope(tmp_path):
    nucleus = two_lobes(spacing=(20.0, 20.0, 20.0))
    store = Volume.create(
        tmp_path / "v.ome.zarr", shape=nucleus.shape, dtype=np.uint8, spacing=(20.0, 20.0, 20.0),
        polarity="dark",
    )
    store.raw()[:] = 0
    finish_raw(store)
    add_labels(store, "nucleus", nucleus.astype(np.uint8))
    assert store.n_levels > 1
    level, spacing = working_level(store, 60.0)
    assert spacing == (40.0, 40.0, 40.0)
    fine = EnvelopeMesh.of(nucleus, spacing=(20, 20, 20))
    coarse = EnvelopeMesh.of_parts(
        envelope_parts(store.labels("nucleus", level), block_shape=(64, 64, 64)),
        spacing=spacing, first_um=(0.01, 0.01, 0.01),
    )
    assert coarse.total_um2 == pytest.approx(fine.total_um2, rel=0.01)
    away, _ = fine.tree().query(coarse.vertices_um)
    assert away.max() < 0.06
    assert np.mean(coarse.vertices_um - fine.vertices_um[fine.tree().query(coarse.vertices_um)[1]],
                   axis=0) == pytest.approx(0, abs=0.003)


def test_from_the_command_line_and_its_rehearsal(tmp_path, capsys):
    store = pore_store(tmp_path / "cell.ome.zarr", 20)
    words = ["distribution", f"volume={store.path}", "objects=pores", "on=nucleus",
             "spreading.n_simulations=19", "sections.n_draws=99", "blocks=serial"]
    with untouched(store.path):
        assert main([*words, "dry_run=true"]) == 0
    assert "envelope" in capsys.readouterr().out
    assert main(words) == 0
    assert "section 1" in capsys.readouterr().out
