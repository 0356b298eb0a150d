"""The page shows how objects lie on the envelope, where that is known and of today."""

from __future__ import annotations

import numpy as np
import pytest
from pore_stores import nucleus_store, pore_store, pores_on, run
from small_cells import add_labels
from surfaces import two_lobes

from fibseg.pipeline import evaluate, report
from fibseg.pipeline.report_distribution import (
    distribution_facts,
    distribution_figures,
    distribution_of,
    painted_balls,
)
from fibseg.pipeline.report_scores import latest_evaluations, score_tables
from fibseg.report.methods_distribution import distribution_text


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = pore_store(tmp_path_factory.mktemp("pores") / "cell.ome.zarr", 60)
    run(made)
    return made


def test_the_page_has_facts_figures_and_methods(store, tmp_path):
    found = report.run(volume=str(store.path), out=str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    for words in ("of the envelope of nucleus", "pores in the literature: 6 to 11",
                  "nearer than 0.12 µm to another", "with a mean-8 distance above 0.5 µm",
                  "Density on the envelope", "Sections of the nucleus",
                  "Pair correlation on the envelope", "The pores on the envelope",
                  "60 of 60 pores stand on it"):
        assert words in page, words
    assert "weighted sum over pairs" not in page  # nobody measured a surface
    names = {p.name for p in (tmp_path / "page.figures").iterdir()}
    assert found["figures"].endswith("page.figures")
    for stem in ("pores_on_the_envelope", "pores_density_on_the_envelope",
                 "pores_sections_of_the_nucleus", "pores_pair_correlation_on_the_envelope"):
        assert {f"{stem}.svg", f"{stem}.png"} <= names


def test_sections_and_what_is_far_are_facts(store):
    facts = {fact.label: fact for fact in distribution_facts(store, "pores")}
    assert facts["section 1"].value.endswith("/µm²")
    assert "far from the envelope" not in facts
    assert distribution_facts(store, "nucleus") == ()
    assert distribution_figures(store, "nucleus") == {}


@pytest.fixture
def two_detectors(tmp_path):
    """True pores 1–50; the network found 1–35 and two more, the first detector 11–40."""
    nucleus = two_lobes()
    true = pores_on(nucleus, 52)
    assert true.max() == 52
    found = np.where((true <= 35) | (true > 50), true, 0)
    store = nucleus_store(
        tmp_path / "c.ome.zarr", nucleus, pores=found, truth_pores=np.where(true <= 50, true, 0)
    )
    run(store)
    centre = np.array([np.argwhere(true == n).mean(axis=0) * 0.04 for n in range(11, 41)])
    add_labels(store, "pores_pseudo", np.where((true > 10) & (true <= 40), true, 0))
    store.write_table(
        "pores_pseudo",
        {"label": np.arange(11, 41), "volume_um3": np.full(30, 0.002),
         **{f"{a}_um": centre[:, k] for k, a in enumerate("zyx")}},
        labels_digest=store.labels_info("pores_pseudo").digest,
    )
    return store


ESTIMATE = 37 / (31 * 38 / 26 - 1)  # Chapman: 0.84, where the truth is 35 of 50


def recall_fact(store):
    (fact,) = [
        fact for fact in distribution_facts(store, "pores", store.runs()) if "recall" in fact.label
    ]
    return fact


def test_without_truth_recall_is_an_upper_bound_alone(two_detectors):
    fact = recall_fact(two_detectors)
    assert (fact.value, fact.label) == (f"≤ {ESTIMATE:.0%}", "recall by capture and recapture")
    assert "37 by the network, 30 pseudo-labels, 25 by both; an upper bound" in fact.note
    assert "true" not in fact.note


def test_the_bound_stands_beside_the_true_recall_where_that_was_evaluated(two_detectors, tmp_path):
    store = two_detectors
    told = {"volume": str(store.path), "labels": "pores", "truth": "truth_pores"}
    evaluate.run(**told)  # of no places
    assert "true" not in recall_fact(store).note
    found = evaluate.run(**told, within_nm=60, config={"within_nm": 60.0})
    assert found.scores["pores"]["place_recall"] == pytest.approx(0.7)
    evaluate.run(**told)
    fact = recall_fact(store)
    assert fact.value == "≤ 84%, true 70%"
    assert fact.label == "recall by capture and recapture, beside the true one"
    assert fact.note.endswith("; true: 70.0% of truth_pores found within 60 nm")
    report.run(volume=str(store.path), out=str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert fact.value in page
    assert fact.note in page


def test_a_true_recall_of_other_labels_is_not_shown(two_detectors):
    store = two_detectors
    evaluate.run(
        volume=str(store.path), labels="pores", truth="truth_pores", within_nm=60,
    )
    assert "true" in recall_fact(store).note
    fewer = store.labels("truth_pores")[...]
    add_labels(store, "truth_pores", np.where(fewer < 40, fewer, 0), inputs="y", overwrite=True)
    assert "true" not in recall_fact(store).note


def test_scores_of_places_are_in_the_table_of_scores(two_detectors):
    store = two_detectors
    evaluate.run(volume=str(store.path), labels="pores", truth="truth_pores", within_nm=60)
    runs = store.runs()
    (table,) = score_tables(runs, latest_evaluations(store, runs), {})
    rows = {name: (text, share) for name, text, share in table.rows}
    assert rows["recall of places"] == ("0.700", 70.0)
    assert rows["distance of matched places, median (nm)"] == ("0.0", None)


def test_nothing_is_shown_of_another_nucleus(tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr", 20)
    run(store)
    add_labels(
        store, "nucleus", np.roll(store.labels("nucleus")[...], 2, 0), inputs="y", overwrite=True
    )
    assert distribution_of(store, "pores") == {}
    assert distribution_facts(store, "pores") == ()


@pytest.mark.parametrize("n", [1, 4])
def test_hardly_any_object_has_its_facts(tmp_path, n):
    nucleus = two_lobes()
    store = nucleus_store(tmp_path / "c.ome.zarr", nucleus, pores=pores_on(nucleus, n))
    run(store)
    assert distribution_facts(store, "pores")
    assert distribution_text("pores", distribution_of(store, "pores"))
    assert ("Density on the envelope" in distribution_figures(store, "pores")) == (n > 1)


def test_balls_stand_for_objects():
    table = {
        "label": np.array([3, 9]), "volume_um3": np.array([4 / 3 * np.pi * 0.2**3, 1e-6]),
        "centroid_z_um": np.array([0.5, 0.9]), "centroid_y_um": np.array([0.5, 0.0]),
        "centroid_x_um": np.array([0.5, 0.9]),
    }
    labels = painted_balls(
        table, shape=(25, 25, 25), first_um=(0.0, 0.0, 0.0), spacing=(40.0, 40.0, 40.0)
    )
    assert (labels == 3).sum() * 0.04**3 == pytest.approx(table["volume_um3"][0], rel=0.1)
    assert np.argwhere(labels == 3).mean(axis=0) * 0.04 == pytest.approx([0.5] * 3, abs=0.02)
    assert (labels == 9).sum() > 5
    assert labels[22, 0, 22] == 9
