"""Conditions of a cohort: cells are the units, and a reader is told what so few cannot show."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.measure.compared_groups import compared_groups
from fibseg.pipeline.cohort_compare import cautions, comparisons, pair_text, spanned
from fibseg.pipeline.cohort_page import methods_text, page_of
from fibseg.pipeline.cohort_table import Measure, Measured
from fibseg.report import render_cohort
from fibseg.volume.files import finite

MEAN, MEDIAN = (Measure("er", "sphericity", how) for how in ("mean", "median"))
NUMBER = Measure("er", "n_objects")
MEASURES = [NUMBER, MEAN, MEDIAN]


def cohort(sizes, *, shift=2.0, seed=0):
    """Cells of every condition, each with ten objects."""
    rng = np.random.default_rng(seed)
    cells = []
    for k, (name, n) in enumerate(sizes.items()):
        for _ in range(n):
            objects = rng.normal(k * shift, 1, 10)
            values = {NUMBER.key: 10.0, MEAN.key: objects.mean(), MEDIAN.key: np.median(objects)}
            cells.append((name, Measured(values, {"er": {"sphericity": objects}}, {})))
    return cells


def compared(sizes, **change):
    return finite(comparisons(MEASURES, cohort(sizes, **change), list(sizes)))


def test_the_cell_is_the_unit_and_objects_stand_apart():
    sizes = {"control": 4, "drug": 5}
    cells = cohort(sizes)
    found = comparisons(MEASURES, cells, list(sizes))
    pair = found[MEAN.key]["pairs"][0]
    values = {
        name: np.array([m.values[MEAN.key] for n, m in cells if n == name]) for name in sizes
    }
    own = compared_groups(values["control"], values["drug"])
    assert (pair["n_1"], pair["n_2"]) == (4, 5)
    assert pair["labels_p"] == own.labels_p == pytest.approx(1 / 126)
    assert pair["difference"] == own.difference > 1
    assert (pair["pooled"]["n_1"], pair["pooled"]["n_2"]) == (40, 50)
    assert pair["pooled"]["welch_p"] < pair["labels_p"]
    assert found[NUMBER.key]["pairs"][0]["pooled"] is None, "a count has no objects"
    assert found[MEDIAN.key]["pairs"] == [], "medians are looked at, not tested"
    mean = found[MEAN.key]["conditions"]["drug"]
    assert mean["n_cells"] == 5
    assert mean["low"] < mean["mean"] < mean["high"]


def test_three_conditions_are_three_pairs_corrected_by_holm():
    found = compared({"a": 4, "b": 4, "c": 4})
    pairs = found[MEAN.key]["pairs"]
    assert [(p["first"], p["second"]) for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all(p["holm_p"] >= p["labels_p"] for p in pairs)
    assert "by Holm" in pair_text(pairs[0], corrected=True)


def test_what_so_few_cells_cannot_show_is_said():
    few = cautions(compared({"control": 3, "drug": 3}), {"control": 3, "drug": 3})
    assert "no p below 0.1 can be reached" in few[0]
    lone = cautions(compared({"control": 1, "drug": 3}), {"control": 1, "drug": 3})
    assert "values without a test: control (1)" in lone[0]
    assert not any("measures are compared" in line for line in lone)
    assert "one condition" in cautions(compared({"x": 3}), {"x": 3})[0]
    enough = cautions(compared({"control": 5, "drug": 5}), {"control": 5, "drug": 5})
    assert len(enough) == 1
    assert "2 measures are compared" in enough[0]


def test_words_of_a_pair_leave_out_what_is_missing():
    pair = compared({"control": 2, "drug": 3})[NUMBER.key]["pairs"][0]
    assert pair_text(pair, corrected=False) == "drug less control: 0, g –, p = 1"
    assert spanned({"v": 1.0, "l": 0.5, "h": 1.5}, "v", "l", "h") == "1 (0.5 to 1.5)"


def page(sizes):
    measured = cohort(sizes)
    rows = finite([
        {"cell": f"c{k}", "condition": name, "volume": "v", "status": "done", "error": None,
         **m.values} for k, (name, m) in enumerate(measured)
    ])
    rows[0] |= {"status": "failed", "error": "<b>broken</b>"}
    found = {
        "conditions": sizes, "cells": rows, "comparisons": compared(sizes), "cautions": ["few"],
        "pooled_warning": "objects are not independent", "left_out": {"c1": {"er": "stale"}},
    }
    return page_of("out", found, MEASURES, {"er": "<svg></svg>"}), found


def test_the_page_says_all_and_escapes_it():
    made, _ = page({"control": 2, "drug": 3, "<other>": 2})
    text = render_cohort(made)
    assert "&lt;b&gt;broken&lt;/b&gt;" in text
    assert "<b>broken" not in text
    assert "&lt;other&gt; less control" in text
    assert "p by Holm" in text
    assert "left out, c1: stale" in text
    assert "Objects are not independent." in text
    assert len(made.compared) == 3
    assert len(made.cells[0].rows) == 7
    assert len(made.pooled.rows) == 3


def test_one_condition_has_a_page_without_comparison():
    made, found = page({"x": 3})
    assert made.compared == ()
    assert made.pooled is None
    assert made.methods == ()
    assert "Holm" not in methods_text(found)
    assert "Conditions compared" not in render_cohort(made)
