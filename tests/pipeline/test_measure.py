"""The verb on a small cell of which everything is known."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from membranes import brute_force
from stores import add_painting, untouched

from fibseg.blocks import Processes, Serial
from fibseg.cli import main
from fibseg.errors import BusyError, DataError, ExistsError, UsageError
from fibseg.measure import regions, shape
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.pipeline import check, measure, objects, report, verify
from fibseg.pipeline.forecast import forecast
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume
from fibseg.volume.lock import Holder, lock_path

SHAPE, SPACING = (70, 40, 48), (20.0, 10.0, 10.0)
COLUMNS = [
    f"{kind}_{name}_um" for name in ("nucleus", "cell")
    for kind in ("distance", "surface_distance", "mean_surface_distance")
]


def away(centre):
    steps = [(n - c) * s for n, c, s in zip(np.indices(SHAPE), centre, SPACING, strict=True)]
    return np.sqrt(sum(step**2 for step in steps))


def cell_labels():
    """A cell with its nucleus, and objects between them; one is in the nucleus, one half in it."""
    middle = (34, 20, 24)
    mitochondria = np.zeros(SHAPE, np.uint32)
    for label, centre in enumerate([(34, 20, 38), (34, 6, 24), (41, 20, 24), (34, 20, 24),
                                    (34, 20, 32)], start=2):
        mitochondria[away(centre) < 35] = label
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


@pytest.fixture
def volume(tmp_path):
    return make_store(tmp_path / "cell.ome.zarr")


def run(volume, **change):
    plan = {"objects": "mitochondria", "to": ["nucleus", "cell"], **change}
    return measure.run(volume=str(volume.path), **plan)


def table_bytes(volume):
    return (volume.path / "tables" / "mitochondria.parquet").read_bytes()


def test_the_table_has_shapes_intensities_and_distances(volume):
    run(volume)
    labels, table = cell_labels(), volume.table("mitochondria")
    expected = shape.measure(labels["mitochondria"], volume.raw()[:], spacing=SPACING)
    assert list(table)[: len(expected)] == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(table[name], column)
    targets = {name: labels[name] for name in ("nucleus", "cell")}
    known = brute_force(labels["mitochondria"], targets, SPACING)
    neighbours = {f"{kind}_neighbour_{n}{unit}" for kind in ("centre", "surface")
                  for n in (1, 2, 3) for unit in ("", "_um")}
    assert set(table) == {*expected, *known, *neighbours}
    for name, column in known.items():
        np.testing.assert_allclose(table[name].astype(float), column.astype(float), atol=2e-6)
    assert table["inside_nucleus"].tolist() == [False, False, False, True, False]
    assert table["inside_cell"].all()
    assert 0 < table["share_in_nucleus"][4] < 0.5
    least = np.minimum(table["distance_nucleus_um"], table["distance_cell_um"])
    assert table["distance_nearest_um"].tolist() == least.tolist()
    assert all(name in table for name in COLUMNS)


def test_it_extends_the_table_of_the_objects(volume):
    first = regions.measure(cell_labels()["mitochondria"], spacing=SPACING)
    digest = volume.labels_info("mitochondria").digest
    volume.write_table("mitochondria", first, labels_digest=digest)
    run(volume)
    table = volume.table("mitochondria")
    assert set(first) < set(table)
    for name, column in first.items():
        np.testing.assert_array_equal(table[name], column)
    assert objects.measured(volume, "mitochondria")


def test_shares_are_those_of_voxels_and_the_literature_is_beside_them(volume):
    found = run(volume)
    labels = {name: voxels > 0 for name, voxels in cell_labels().items()}
    cytoplasm = labels["cell"] & ~labels["nucleus"]
    profile = found["tables/mitochondria"]["profile"]
    share = np.count_nonzero(labels["mitochondria"] & cytoplasm) / np.count_nonzero(cytoplasm)
    assert profile["mitochondria"]["share_of_cytoplasm"] == pytest.approx(share, abs=1e-12)
    assert profile["mitochondria"]["literature"] == 0.1
    assert profile["nucleus"]["share_of_cell"] == pytest.approx(
        labels["nucleus"].sum() / labels["cell"].sum()
    )
    assert profile["cell"] == {"volume_um3": pytest.approx(labels["cell"].sum() * 2e-6)}
    text = found.text()
    assert f"{share:.1%}".replace("%", " % of the cytoplasm") in text
    assert "Posakony" in text
    (record,) = volume.runs()
    assert record["metrics"] == dict(found)
    assert (record["verb"], record["status"]) == ("measure", "done")
    assert set(record["inputs"]) == {"raw", *(f"labels/{name}" for name in labels)}


@pytest.mark.parametrize(
    ("change", "there", "gone"),
    [({"cell": None}, [], ["share_of_cell", "share_of_cytoplasm"]),
     ({"nucleus": "nukleus"}, ["share_of_cell"], ["share_of_cytoplasm"])],
)
def test_without_a_cell_or_nucleus_shares_are_left_out(volume, change, there, gone):
    facts = run(volume, to=[], **change)["tables/mitochondria"]["profile"]["mitochondria"]
    assert set(there) <= set(facts)
    assert not {*gone, "literature"} & set(facts)


def test_without_targets_neighbours_and_intensity_there_are_shapes_only(volume):
    run(volume, to=[], intensity=False, neighbours=0)
    expected = shape.measure(cell_labels()["mitochondria"], spacing=SPACING)
    assert set(volume.table("mitochondria")) == set(expected)


def test_the_same_again_does_nothing(volume):
    first = run(volume)
    with untouched(volume.path):
        assert run(volume) == first


def test_other_settings_make_the_table_again(volume):
    run(volume)
    run(volume, to="nucleus", extend=False)
    assert "distance_cell_um" not in volume.table("mitochondria")
    run(volume)
    assert "distance_cell_um" in volume.table("mitochondria")


def test_objects_cut_by_the_volume_have_shapes_only_on_request(tmp_path):
    labels = cell_labels()["mitochondria"]
    labels[:5, :9, :9] = 99
    volume = make_store(tmp_path / "cell.ome.zarr", mitochondria=labels)
    run(volume)
    assert np.isnan(volume.table("mitochondria")["surface_area_um2"][-1])
    assert volume.table("mitochondria")["distance_nucleus_um"][-1] > 0
    run(volume, keep_border=True)
    assert volume.table("mitochondria")["surface_area_um2"][-1] > 0


def test_verify_check_and_report_are_happy(volume, tmp_path):
    run(volume)
    verify.run(volume=volume.path)
    assert "tables: mitochondria" in check.run(volume=volume.path).text()
    report.run(volume=str(volume.path), out=str(tmp_path / "report.html"))
    assert "fibseg measure" in (tmp_path / "report.html").read_text()
    hidden = {p.name for p in volume.path.rglob("*") if p.name.startswith(".") or "=" in p.name}
    assert hidden == {".digests"}


def test_a_target_that_changed_makes_the_table_stale(volume):
    run(volume)
    add_labels(volume, "nucleus", cell_labels()["nucleus"] * 2, inputs="y", overwrite=True)
    with pytest.raises(DataError, match=r"measured against other labels/nucleus.*fibseg measure"):
        verify.run(volume=volume.path)
    run(volume)
    verify.run(volume=volume.path)


def test_a_damaged_table_is_made_again(volume):
    run(volume)
    whole = table_bytes(volume)
    (volume.path / "tables" / "mitochondria.parquet").write_bytes(whole[:100])
    run(volume)
    assert table_bytes(volume) == whole


def test_the_csv_is_the_table(volume, tmp_path):
    path = tmp_path / "m.csv"
    run(volume, csv=str(path))
    table = volume.table("mitochondria")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(table)
    for name in ("volume_um3", "distance_nearest_um", "centroid_z_um"):
        assert [float(row[name]) for row in rows] == table[name].tolist()
    assert [row["inside_nucleus"] for row in rows] == [str(v) for v in table["inside_nucleus"]]
    with untouched(tmp_path):
        run(volume, csv=str(path))
    path.write_text("mine")
    with pytest.raises(ExistsError, match="overwrite=true"):
        run(volume, csv=str(path))
    with pytest.raises(ExistsError, match="stands already"):
        run(volume, csv=str(path), intensity=False)
    assert path.read_text() == "mine"
    run(volume, csv=str(path), overwrite=True)
    assert path.read_text().startswith("label,")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"objects": "golgi"}, DataError, "labels/golgi .* does not exist"),
        ({"to": ["nucleus", "er"]}, DataError, "labels/er .* does not exist"),
        ({"to": ["mitochondria"]}, UsageError, "'mitochondria' cannot be measured against"),
        ({"to": ["annotation_p"]}, UsageError, "is an annotation"),
        ({"objects": "annotation_p"}, UsageError, "is an annotation"),
        ({"csv": "."}, UsageError, "is a folder"),
        ({"csv": "no/where/m.csv"}, UsageError, "there is no folder no/where"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_a_trace(volume, change, error, said):
    add_painting(volume, "p")
    with untouched(volume.path), pytest.raises(error, match=said):
        run(volume, **change)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"mitochondria": np.zeros(SHAPE, np.uint8)}, "no object in labels/mitochondria"),
        ({"nucleus": np.zeros(SHAPE, np.uint8)}, "labels/nucleus is empty"),
        ({"cell": np.ones(SHAPE, np.uint8)}, "labels/cell fills the whole volume"),
    ],
)
def test_without_objects_or_a_border_there_is_no_table(tmp_path, labels, said):
    volume = make_store(tmp_path / "cell.ome.zarr", **labels)
    with pytest.raises(DataError, match=said):
        run(volume)
    assert volume.table_names() == []
    assert volume.runs()[-1]["status"] == "failed"


def test_a_nucleus_cut_by_the_volume_is_told(tmp_path, caplog):
    cut = cell_labels()["nucleus"]
    cut[:35] = 1
    volume = make_store(tmp_path / "cell.ome.zarr", nucleus=cut)
    with caplog.at_level("INFO", logger="fibseg"):
        run(volume)
    assert "labels/nucleus is cut by a face of the volume" in caplog.text
    assert "across the border of labels/nucleus: 3 objects" in caplog.text
    assert "labels/cell is cut" not in caplog.text


def test_one_voxel_is_measured(tmp_path):
    one = np.zeros(SHAPE, np.uint8)
    one[34, 20, 40] = 1
    volume = make_store(tmp_path / "cell.ome.zarr", mitochondria=one)
    run(volume)
    table = volume.table("mitochondria")
    assert table["n_voxels"].tolist() == [1]
    for name in ("nucleus", "cell"):
        kinds = ("distance", "surface_distance", "mean_surface_distance")
        assert len({float(table[f"{kind}_{name}_um"][0]) for kind in kinds}) == 1


def test_processes_and_serial_make_the_same_bytes(tmp_path):
    made = []
    for number, runner in enumerate([Serial(), Processes(n_workers=2)]):
        volume = make_store(tmp_path / f"{number}.ome.zarr")
        run(volume, blocks=runner)
        made.append(table_bytes(volume))
    assert made[0] == made[1]


def test_after_sigkill_the_same_command_ends_in_the_same_bytes(tmp_path):
    undisturbed = make_store(tmp_path / "whole.ome.zarr")
    run(undisturbed)
    volume = make_store(tmp_path / "cell.ome.zarr")
    words = ["measure", f"volume={volume.path}", "objects=mitochondria", "to=[nucleus,cell]"]
    command, kills = [sys.executable, "-m", "fibseg", *words, "blocks=serial"], 0
    scratch = volume.path / ".scratch"
    for step in ("shares", "shapes", "distances", "corners", "null"):
        mark = scratch / f".tables=mitochondria={step}.blocks"
        victim = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while victim.poll() is None and not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        victim.kill()
        kills += victim.wait() != 0
    assert kills >= 3
    subprocess.run(command, check=True, capture_output=True)
    assert table_bytes(volume) == table_bytes(undisturbed)
    assert not scratch.exists()
    verify.run(volume=volume.path)


def test_a_second_run_on_the_same_labels_is_refused(volume):
    holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
    lock = lock_path(volume.path / "labels" / "mitochondria")
    lock.write_text(json.dumps(dataclasses.asdict(holder)))
    with pytest.raises(BusyError, match="elsewhere"):
        run(volume)
    assert volume.runs() == []


def test_what_a_run_left_goes_with_the_next_and_is_none_while_it_runs(volume):
    run(volume)
    scratch = volume.path / ".scratch" / ".tables=mitochondria=shapes.blocks"
    with volume.locked("tables/mitochondria"):
        scratch.mkdir(parents=True)
        notes = verify.run(volume=volume.path).notes
        assert any(note.startswith("tables/mitochondria: is being written") for note in notes)
    with pytest.raises(DataError, match="was left by a run that is gone"):
        verify.run(volume=volume.path)
    run(volume)
    assert not scratch.parent.exists()
    verify.run(volume=volume.path)


def test_the_command(volume, capsys):
    words = ["measure", f"volume={volume.path}", "objects=mitochondria", "to=[nucleus,cell]"]
    assert main([*words, "blocks=serial"]) == 0
    said = capsys.readouterr().out
    assert "tables/mitochondria  5 objects" in said
    assert "of the cytoplasm" in said
    info = pq.read_schema(volume.path / "tables" / "mitochondria.parquet")
    assert "surface_distance_nearest_um" in info.names
    assert main(["measure", f"volume={volume.path}", "objects=mitochondria", "to=nucleus",
                 "blocks=serial"]) == 0


def test_a_plan_has_the_steps_of_the_command_and_leaves_nothing(volume):
    parts = {"volume": str(volume.path), "objects": "mitochondria", "to": ["nucleus", "cell"],
             "extend": True, "cell": "cell", "nucleus": "nucleus", "intensity": True,
             "keep_border": False, "neighbours": 3, "classes": ClassRule(),
             "correlations": Correlating(), "csv": None, "overwrite": False, "blocks": Serial()}
    before = sorted(volume.path.rglob("*"))
    plan = forecast("measure", measure.run, parts)
    assert sorted(volume.path.rglob("*")) == before
    assert {"shares", "measure", "membrane of nucleus", "distances", "corners"} <= {
        step.label for step in plan.steps
    }
