"""The folder of a cohort says whose it is, and its files say the same thing twice."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from stores import untouched

from fibseg.errors import ExistsError, UsageError
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.cohort_files import (
    CSV,
    FOUND,
    PARQUET,
    PLAN,
    check_folder,
    keep_plan,
    write_results,
)
from fibseg.volume.tables import load_table

CELLS = [Cell("a", "/d/a.ome.zarr", "x"), Cell("b", "/d/b.ome.zarr", "y")]
COMMANDS = [[["profile", "volume=/d/a.ome.zarr"]], [["profile", "volume=/d/b.ome.zarr"]]]
ROWS = [
    {"cell": "a", "error": None, "er_n_objects": 3.0, "er_mean_sphericity": None},
    {"cell": "b", "error": "it broke, twice", "er_n_objects": None, "er_mean_sphericity": 0.5},
]


@pytest.fixture
def out(tmp_path):
    keep_plan(tmp_path / "deep" / "out", CELLS, COMMANDS)
    return tmp_path / "deep" / "out"


def checked(out, cells=CELLS, commands=COMMANDS, *, overwrite=False):
    check_folder(out, cells, commands, overwrite=overwrite)


def test_the_same_cohort_is_welcome_again_and_in_any_order(out, tmp_path):
    with untouched(tmp_path):
        checked(out)
        checked(out, CELLS[::-1], COMMANDS[::-1])
        checked(tmp_path / "free")


def test_more_cells_are_welcome_and_said(out, caplog):
    more = Cell("c", "/d/c.ome.zarr", "x")
    with caplog.at_level("INFO"):
        checked(out, [*CELLS, more], [*COMMANDS, [["profile", "volume=/d/c.ome.zarr"]]])
    assert "gets 1 cell more than the 2 of before" in caplog.text


@pytest.mark.parametrize(("cells", "commands", "said"), [
    (CELLS[:1], COMMANDS[:1], "the cohort of other cells, among them b"),
    ([CELLS[0], Cell("b", "/d/b.ome.zarr", "x")], COMMANDS, "the condition of b is another"),
    ([CELLS[0], Cell("b", "/e/b.ome.zarr", "y")], COMMANDS, "the volume of b is another"),
    (CELLS, [COMMANDS[0], [["profile", "volume=/d/b.ome.zarr", "cell=null"]]],
     "the commands of b is another"),
])
def test_another_cohort_is_refused_unless_it_may_be_replaced(out, cells, commands, said):
    with untouched(out), pytest.raises(ExistsError, match=said):
        checked(out, cells, commands)
    checked(out, cells, commands, overwrite=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', "{}"])
def test_a_plan_that_cannot_be_read_is_refused(out, text):
    (out / PLAN).write_text(text)
    with pytest.raises(ExistsError, match="cannot be read"):
        checked(out)


def test_files_without_a_plan_are_of_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    checked(tmp_path)
    (tmp_path / CSV).write_text("mine")
    with pytest.raises(ExistsError, match=r"cells\.csv of something else"):
        checked(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        checked(tmp_path / CSV)


def test_all_files_tell_the_same_and_the_same_again_is_equal_bytes(out):
    found = {"inputs": "x", "cells": ROWS}
    write_results(out, ROWS, found)
    rows = list(csv.DictReader((out / CSV).read_text().splitlines()))
    assert rows[0] == {
        "cell": "a", "error": "", "er_n_objects": "3.0", "er_mean_sphericity": "",
    }
    assert rows[1]["error"] == "it broke, twice"
    table = load_table(out / PARQUET)
    assert table["error"].tolist() == ["", "it broke, twice"]
    np.testing.assert_array_equal(table["er_n_objects"], [3.0, np.nan])
    assert json.loads((out / FOUND).read_text()) == found
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    write_results(out, ROWS, found)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
