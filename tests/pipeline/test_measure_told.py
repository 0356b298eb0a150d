"""What the metadata, the labels and the log of a table tell, and which names and values are not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cells import MIDDLE, SHAPE, add_labels, away_nm, balls, small_cell
from stores import untouched

from fibseg.errors import DataError, UsageError
from fibseg.measure import statistics
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.pipeline import measure
from fibseg.pipeline.measured import correlation_lines

QUICK = Correlating(n_bootstrap=100, n_simulations=9)
S_V = "surface_to_volume_per_um"


def run(store, **change):
    plan = {"objects": "m", "to": ["nucleus", "cell"], "correlations": QUICK, **change}
    return measure.run(volume=str(store.path), **plan)


def facts_of(store):
    return store.table_info("m")["measured"]


def mixed():
    """Ten balls in the cytoplasm, one over the nucleus, two in the corners outside of the cell."""
    labels = balls(10)
    labels[away_nm(MIDDLE) < 90] = 40
    for number, corner in enumerate([(5, 5, 5), (34, 38, 42)], start=30):
        labels[away_nm(corner) < 66] = number
    return labels


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = small_cell(tmp_path_factory.mktemp("told") / "c.ome.zarr", m=mixed())
    run(store)
    return store


def test_coefficient_and_null_are_of_the_same_objects(store):
    table, facts = store.table("m"), facts_of(store)
    found, null = facts["correlations"], facts["null"]["table"]
    assert facts["correlated_without"] == [30, 31, 40]
    assert found["n_objects"] == null["n_objects"] == [10, 10, 10]
    there = ~np.isin(table["label"], facts["correlated_without"])
    rows = {name: values[there] for name, values in table.items()}
    expected = statistics.correlations(rows, S_V, found["with_column"], n_bootstrap=100)
    assert {name: values.tolist() for name, values in expected.items()} == found
    every = statistics.correlations(table, S_V, found["with_column"], n_bootstrap=100)
    assert every["pearson_r"][0] != pytest.approx(found["pearson_r"][0], abs=0.01)


@pytest.mark.parametrize(
    "change",
    [{"correlations": Correlating(n_bootstrap=100, n_simulations=0)}, {"to": ["cell"]},
     {"nucleus": None}],
)
def test_without_a_null_all_objects_count(tmp_path, change):
    store = small_cell(tmp_path / "c.ome.zarr", m=mixed())
    run(store, **change)
    facts = facts_of(store)
    assert facts["null"] is None
    assert facts["correlated_without"] == []
    assert set(facts["correlations"]["n_objects"]) == {13}


def test_what_was_asked_is_in_the_metadata(store, tmp_path):
    facts = facts_of(store)
    asked = ("keep_border", "cell", "nucleus", "too_small", "nearest")
    assert [facts[key] for key in asked] == [False, "cell", "nucleus", 0, ["nucleus", "cell"]]
    other = small_cell(tmp_path / "c.ome.zarr", m=balls(5))
    run(other, to=[], keep_border=True, cell="no_such", nucleus=None)
    facts = facts_of(other)
    assert [facts[key] for key in asked] == [True, None, None, 0, []]
    assert (facts["correlations"], facts["correlated_without"]) == (None, [])


def test_viewers_show_the_distances_that_were_measured(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(4))
    add_labels(store, "envelope", np.asarray(away_nm(MIDDLE) < 140, np.uint8))
    run(store, to=["envelope", "cell"], nucleus="envelope")
    table = store.table("m")
    text = (store.path / "labels" / "m" / "zarr.json").read_text()
    for name in ("distance_envelope_um", "distance_cell_um", "distance_nearest_um"):
        assert f'"{name}"' in text
        assert name in table
    assert "distance_nucleus_um" not in text


def test_every_p_value_of_a_null_says_of_which_coefficient_it_is(store):
    lines = run(store).text().splitlines()
    told = [line for line in lines if line.startswith("with distance_")]
    number = r"-?[0-9.]+(e-\d+)?"
    for line in told:
        assert re.fullmatch(
            rf"with distance_\w+ +ρ {number} \({number} to {number}\)"
            rf"  at random ρ {number} to {number}, p of ρ = {number}", line,
        )
    assert len(told) == 3


def test_the_log_counts_placings_not_objects(tmp_path, caplog):
    """Every object is put in once, and anew twice."""
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(5))
    with caplog.at_level("INFO", logger="fibseg"):
        run(store)
    assert "spatial null: 15 of 15 placings" in caplog.text


@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=3, max_size=3))
def test_what_is_missing_is_told_once(values):
    rho, low, high = values
    found = {"column": ["a"], "with_column": ["b"], "spearman_rho": [rho], "spearman_low": [low],
             "spearman_high": [high]}
    (_, line) = correlation_lines({"correlations": found, "null": None})
    assert line == "with b  ρ missing" if rho is None else " to " in line


def test_a_distance_does_not_go_with_itself(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(5))
    column = Correlating(column="distance_cell_um", n_bootstrap=100, n_simulations=9)
    text = run(store, correlations=column).text()
    facts = facts_of(store)
    assert facts["correlations"]["with_column"] == ["distance_nucleus_um", "distance_nearest_um"]
    assert "with distance_cell_um" not in text
    run(store, correlations=column, to=["cell"], extend=False)
    facts = facts_of(store)
    assert facts["correlations"] is None
    assert facts["left_out"]["correlations"].startswith("distance_cell_um is the only distance")


@pytest.mark.parametrize(
    "change", [{"objects": "cytoplasm"}, {"to": ["cytoplasm"]}, {"cell": "cytoplasm"}]
)
def test_labels_called_as_what_is_computed_are_refused(tmp_path, change):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(2), cytoplasm=np.ones(SHAPE, np.uint8))
    with untouched(store.path), pytest.raises(UsageError, match=r"labels/cytoplasm .*cytosol"):
        run(store, **change)


@pytest.mark.parametrize("where", ["m", "cell"])
def test_larger_labels_than_other_verbs_take_are_refused_before_any_work(tmp_path, where):
    wide = np.where(balls(2) > 0, np.uint64(2**32 + 6), np.uint64(0))
    store = small_cell(tmp_path / "c.ome.zarr", **{"m": balls(2), where: wide})
    said = f"labels/{where} has values up to 4294967302.*up to 4294967295. Renumber"
    with untouched(store.path), pytest.raises(DataError, match=said):
        run(store)
    add_labels(store, where, np.minimum(wide, 2**32 - 1), inputs="y", overwrite=True)
    run(store, to=[])
    assert store.table("m")["label"].max() == (2 if where == "cell" else 2**32 - 1)


@pytest.mark.parametrize("name", ["nucleus", "cell"])
def test_an_empty_membrane_is_left_out_by_its_own_key(tmp_path, name):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(5), **{name: np.zeros(SHAPE, np.uint8)})
    with pytest.raises(DataError, match=rf"labels/{name} is empty.*Give {name}=null and leave"):
        run(store)
    with pytest.raises(DataError, match=rf"no object in labels/{name}.*profile {name}=null if"):
        run(store, objects=name, to=[])
    (other,) = {"nucleus", "cell"} - {name}
    run(store, **{name: None}, to=[other])
    assert facts_of(store)[name] is None


def test_a_mixture_of_few_objects_is_told_in_numbers(tmp_path):
    store = small_cell(tmp_path / "c.ome.zarr", m=balls(3))
    run(store, classes=ClassRule(column="surface_distance_cell_um"))
    left_out = facts_of(store)["left_out"]
    assert re.match(r"3 objects with \d different values? of surface_dist", left_out["classes"])
    assert left_out["null"].startswith("3 objects in the cytoplasm have a surface_to_volume")
