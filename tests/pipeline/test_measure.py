"""The verb on a small cell of which everything is known."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from known_cells import COLUMNS, SHAPE, SPACING, cell_labels, make_store, run
from membranes import brute_force
from stores import add_painting, untouched

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.measure import regions, shape
from fibseg.pipeline import check, objects, report, verify


@pytest.fixture
def volume(tmp_path):
    return make_store(tmp_path / "cell.ome.zarr")


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
        ({"nucleus": np.zeros(SHAPE, np.uint8)}, "labels/nucleus is empty.*Give nucleus=null and"),
        ({"cell": np.zeros(SHAPE, np.uint8)}, "labels/cell is empty.*Give cell=null and leave"),
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
    for name in shape.OF_SURFACE:
        assert np.isnan(table[name]).tolist() == [True]
    assert volume.table_info("mitochondria")["measured"]["too_small"] == 1
    for name in ("nucleus", "cell"):
        kinds = ("distance", "surface_distance", "mean_surface_distance")
        assert len({float(table[f"{kind}_{name}_um"][0]) for kind in kinds}) == 1
