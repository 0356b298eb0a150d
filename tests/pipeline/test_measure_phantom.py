"""The whole of the verb on a phantom cell with anisotropic voxels, of which the truth is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from membranes import faces
from scipy import stats
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from fibseg.blocks import Processes
from fibseg.measure import clouds, shape, statistics
from fibseg.measure.cytoplasm import Cell
from fibseg.measure.null import spatial_null
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.measure.working_grid import majority
from fibseg.phantom import make_cell
from fibseg.pipeline import measure, verify
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE, SPACING = (50, 80, 84), (50.0, 40.0, 40.0)
QUICK = Correlating(n_bootstrap=200, n_simulations=19, voxel_nm=130.0)
"""Voxels of (100, 120, 120) nm: neither the factors nor the last voxels are even."""


@pytest.fixture(scope="module")
def truth():
    return make_cell(SHAPE, pores=False, spacing=SPACING)


@pytest.fixture(scope="module")
def labels(truth):
    names = {"cell": "cell", "envelope": "nucleus", "mitochondria": "mitochondria"}
    return {new: truth.labels[old].astype(np.uint32) for new, old in names.items()}


def make_store(path: Path, truth, labels) -> Volume:
    store = Volume.create(path, shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark")
    store.raw()[:] = truth.image
    finish_raw(store)
    for name, voxels in labels.items():
        product = store.create_labels(name, kind="labels", dtype=np.uint32, inputs="truth")
        product.array[:] = voxels
        finish_product(product)
    return store


def run(store: Volume, **change):
    plan = {
        "objects": "mitochondria", "to": ["envelope", "cell"], "nucleus": "envelope",
        "correlations": QUICK, **change,
    }
    return measure.run(volume=str(store.path), **plan)


@pytest.fixture(scope="module")
def store(tmp_path_factory, truth, labels):
    store = make_store(tmp_path_factory.mktemp("cell") / "cell.ome.zarr", truth, labels)
    run(store, csv=str(store.path.parent / "m.csv"))
    return store


@pytest.fixture(scope="module")
def facts(store):
    return store.table_info("mitochondria")["measured"]


def test_the_share_of_cytoplasm_is_the_true_one(truth, facts):
    share = truth.labels["mitochondria"][truth.labels["cytoplasm"]].astype(bool).mean()
    assert facts["profile"]["mitochondria"]["share_of_cytoplasm"] == pytest.approx(share, abs=5e-3)
    assert 0.05 < share < 0.11


def test_distances_are_within_half_a_voxel_of_brute_force(store, labels):
    table = store.table("mitochondria")
    for name in ("envelope", "cell"):
        tree = cKDTree(faces(labels[name], SPACING))
        centres = [
            np.argwhere(labels["mitochondria"] == label).mean(axis=0) * SPACING
            for label in table["label"]
        ]
        known = tree.query(centres)[0] / 1000
        assert np.abs(table[f"distance_{name}_um"] - known).max() < min(SPACING) / 2000
    nearer = np.minimum(table["distance_envelope_um"], table["distance_cell_um"])
    assert table["distance_nearest_um"].tolist() == nearer.tolist()


def test_neighbours_are_those_of_brute_force(store, labels):
    table = store.table("mitochondria")
    corners = []
    for label in table["label"]:
        here = np.argwhere(labels["mitochondria"] == label)
        ends = np.unique(np.concatenate([here + step for step in np.ndindex(2, 2, 2)]), axis=0)
        corners.append(ends * np.array(SPACING) / 1000)
    trees = [cKDTree(each) for each in corners]
    for row in (0, 5, len(corners) - 1):
        away = np.array([min(tree.query(corners[row])[0]) for tree in trees])
        away[row] = np.inf
        order = np.argsort(away, kind="stable")[:3]
        for place, other in enumerate(order, start=1):
            assert table[f"surface_neighbour_{place}_um"][row] == pytest.approx(away[other])
        assert table["surface_neighbour_1"][row] == table["label"][order[0]]
    centres = np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1)
    between = np.sort(cdist(centres, centres), axis=1)[:, 1:4]
    found = np.stack([table[f"centre_neighbour_{n}_um"] for n in (1, 2, 3)], axis=1)
    np.testing.assert_allclose(found, between)


def test_the_built_in_correlation_has_the_right_sign(store, facts):
    """Mitochondria are thinner near membranes, so their surface to volume falls with distance."""
    table, found = store.table("mitochondria"), facts["correlations"]
    assert found["with_column"] == [
        "distance_envelope_um", "distance_cell_um", "distance_nearest_um"
    ]
    row = found["with_column"].index("distance_nearest_um")
    assert found["pearson_high"][row] < -0.1
    assert found["spearman_high"][row] < -0.1
    known = np.isfinite(table["surface_to_volume_per_um"])
    pair = [table[name][known] for name in ("surface_to_volume_per_um", "distance_nearest_um")]
    assert found["n_objects"][row] == known.sum()
    assert found["pearson_r"][row] == pytest.approx(stats.pearsonr(*pair).statistic)
    expected = statistics.correlations(
        table, "surface_to_volume_per_um", found["with_column"], n_bootstrap=200
    )
    assert {name: values.tolist() for name, values in expected.items()} == found


def test_the_null_is_that_of_the_arrays(store, labels, facts):
    """The same by array functions on the whole volume in memory."""
    table, null, f = store.table("mitochondria"), facts["null"], (2, 3, 3)
    assert (null["voxel_nm"], null["n_simulations"], null["seed"]) == ([100, 120, 120], 19, 0)
    cell, nucleus = (
        majority(labels[name], factors=f, ties=ties)
        for name, ties in (("cell", True), ("envelope", False))
    )
    assert cell.shape == (25, 27, 28)
    first = tuple((n - 1) / 2 * s / 1000 for n, s in zip(f, SPACING, strict=True))
    points = clouds.finish(
        clouds.partial(labels["mitochondria"], start=(0, 0, 0), cell=(1, 1, 1)),
        cell=(1, 1, 1), spacing=SPACING,
    )
    inside = table["inside_cell"] & ~table["inside_envelope"]
    values = np.where(inside, table["surface_to_volume_per_um"], np.nan)
    expected = spatial_null(
        values, points, Cell(cell, nucleus, (100.0, 120.0, 120.0), first), n_simulations=19
    )
    assert null["table"]["pearson_null_p"] == expected.table["pearson_null_p"].tolist()
    for name, values in expected.simulated.items():
        column = name[0].replace("nucleus", "envelope")
        assert null["simulated"][column][name[1]] == pytest.approx(values.tolist(), abs=1e-9)
    assert null["table"]["pearson_r"] == pytest.approx(
        facts["correlations"]["pearson_r"], abs=0.1
    )
    assert null["table"]["pearson_null_mean"][2] < 0  # thick ones cannot come near a membrane


def test_classes_follow_each_other_outwards(store, facts):
    table, told = store.table("mitochondria"), facts["classes"]
    near, far = told["limits"]
    assert told["column"] == "distance_envelope_um"
    assert near < far
    values, names = table["distance_envelope_um"], table["spatial_class"]
    for name, where in (("perinuclear", values <= near), ("peripheral", values >= far),
                        ("intermediate", (values > near) & (values < far))):
        assert told["counts"][name] == np.count_nonzero(where)
        assert set(names[where]) <= {name}
        volume = told["medians"][name]["volume_um3"]
        assert volume == (pytest.approx(np.median(table["volume_um3"][where])))
    assert f"borders at {near:.4g} and {far:.4g}" in told["rule"]


def test_csv_has_the_classes_and_beside_it_are_correlations(store, facts):
    with (store.path.parent / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["spatial_class"] for row in rows] == store.table("mitochondria")[
        "spatial_class"
    ].tolist()
    with (store.path.parent / "m.correlations.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("pearson_r", "spearman_low"):
        assert [float(row[name]) for row in rows] == facts["correlations"][name]
    for name in ("pearson_null_p", "spearman_null_high"):
        assert [float(row[name]) for row in rows] == facts["null"]["table"][name]
    assert [float(row["grid_pearson_r"]) for row in rows] == facts["null"]["table"]["pearson_r"]


@pytest.mark.parametrize(
    ("block", "runner"), [((25, 40, 50), None), ((50, 80, 84), Processes(n_workers=2))]
)
def test_any_blocks_and_runner_give_the_same_bytes(
    tmp_path, monkeypatch, truth, labels, store, block, runner
):
    other = make_store(tmp_path / "cell.ome.zarr", truth, labels)
    monkeypatch.setattr(Volume, "block_shape", block)
    run(other, blocks=runner)
    ours, theirs = (each.path / "tables" / "mitochondria.parquet" for each in (other, store))
    assert ours.read_bytes() == theirs.read_bytes()
    assert not (other.path / ".scratch").exists()
    verify.run(volume=other.path)


def test_thresholds_are_a_rule_too(tmp_path, truth, labels):
    store = make_store(tmp_path / "cell.ome.zarr", truth, labels)
    rule = ClassRule("thresholds", near_um=0.3, far_um=0.9)
    found = run(store, classes=rule, correlations=None, intensity=False)
    table = store.table("mitochondria")
    values = table["distance_envelope_um"]
    known = np.select([values <= 0.3, values >= 0.9], ["perinuclear", "peripheral"], "intermediate")
    assert table["spatial_class"].tolist() == known.tolist()
    told = found["tables/mitochondria"]
    assert told["classes"]["limits"] == [0.3, 0.9]
    assert (told["correlations"], told["null"], told["left_out"]) == (None, None, {})
    assert "borders at 0.3 and 0.9 of distance_envelope_um" in found.text()
    shapes = shape.measure(labels["mitochondria"], spacing=SPACING)
    inner = table["spatial_class"] == "perinuclear"
    assert told["classes"]["medians"]["perinuclear"]["sphericity"] == pytest.approx(
        np.nanmedian(shapes["sphericity"][inner])
    )
