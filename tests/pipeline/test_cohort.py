"""Four cells on two workers, one of them broken; killed and run again; nothing is done twice."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cohorts import cells_of, listed, words
from small_cells import add_labels, balls, small_cell
from stores import untouched

from fibseg.cli.main import main
from fibseg.errors import BusyError, ExistsError, UsageError
from fibseg.pipeline import cohort
from fibseg.volume import Volume, locked
from fibseg.volume.tables import load_table

TWO = ("blocks.n_workers=2", "profile.steps=[measure]", "profile.measure.correlations=null")
CONDITIONS = {"a": "control", "b": "control", "c": "drug", "d": "drug"}


def command(folder: Path) -> list[str]:
    return words(folder / "cells.yaml", folder / "out", *TWO)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A cohort of which one cell lacks its mitochondria: folder, exit code and what was said."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = cells_of(folder, {k: v for k, v in CONDITIONS.items() if k != "b"})
    lone = small_cell(folder / "b.ome.zarr")
    rows.insert(1, {"name": "b", "volume": lone.path.name, "condition": "control"})
    listed(folder, rows)
    done = subprocess.run(
        [sys.executable, "-m", "fibseg", *command(folder)], capture_output=True, text=True,
        check=False,
    )
    return folder, done


def found(folder: Path) -> dict:
    return json.loads((folder / "out" / "cohort.json").read_text())


def test_a_broken_cell_is_listed_and_the_others_are_done(broken):
    folder, done = broken
    assert done.returncode == 3, done.stderr
    assert "1 of 4 cells failed, 3 are done:\n  b: " in done.stderr
    assert "neither probabilities nor labels 'mitochondria'" in done.stderr
    assert str(folder / "out" / "cells" / "b" / "log.txt") in done.stderr
    assert "2 cells at once" in done.stderr
    rows = list(csv.DictReader((folder / "out" / "cells.csv").read_text().splitlines()))
    assert [(r["cell"], r["status"]) for r in rows] == [
        ("a", "done"), ("b", "failed"), ("c", "done"), ("d", "done"),
    ]
    assert rows[1]["mitochondria_n_objects"] == ""
    assert [rows[k]["mitochondria_n_objects"] for k in (0, 2, 3)] == ["6.0", "11.0", "12.0"]
    kept = found(folder)
    assert kept["complete"] is False
    assert kept["conditions"] == {"control": 1, "drug": 2}
    assert any("without a test: control (1)" in line for line in kept["cautions"])
    assert all(
        pair["labels_p"] is None for c in kept["comparisons"].values() for pair in c["pairs"]
    )
    page = (folder / "out" / "cohort.html").read_text()
    assert "Cells that failed" in page


def test_mended_only_that_one_is_done_and_then_nothing(broken, capsys):
    folder, _ = broken
    add_labels(Volume.open(folder / "b.ome.zarr"), "mitochondria", balls(7))
    with untouched(folder / "a.ome.zarr"), untouched(folder / "c.ome.zarr"):
        assert main(command(folder)) == 0
    told = capsys.readouterr()
    assert "3 of 4 cells are done already" in told.err
    assert "drug less control: 5 " in told.out
    kept = found(folder)
    assert kept["complete"] is True
    pair = kept["comparisons"]["mitochondria_n_objects"]["pairs"][0]
    assert (pair["n_1"], pair["n_2"], pair["labels_p"]) == (2, 2, pytest.approx(1 / 3))
    before = {p.name: p.read_bytes() for p in (folder / "out").iterdir() if p.is_file()}
    with untouched(folder / "b.ome.zarr"):
        assert main(command(folder)) == 0
    assert "4 of 4 cells are done already" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in (folder / "out").iterdir() if p.is_file()} == before


def test_table_and_page_hold_every_cell(broken):
    folder, _ = broken
    table = load_table(folder / "out" / "cells.parquet")
    assert table["cell"].tolist() == ["a", "b", "c", "d"]
    own = Volume.open(folder / "c.ome.zarr").table("mitochondria")
    assert table["mitochondria_mean_sphericity"][2] == pytest.approx(own["sphericity"].mean())
    page = (folder / "out" / "cohort.html").read_text()
    for word in ("Conditions compared, the cell being the unit", "drug less control",
                 "Objects of one cell are not independent", "no p below 0.333", "Welch"):
        assert word in page.replace("&#39;", "'"), word
    assert "<script" not in page
    assert (folder / "out" / "figures" / "mitochondria.png").stat().st_size > 10_000


def test_other_cells_or_settings_are_refused_and_more_are_taken(broken, tmp_path, caplog):
    folder, _ = broken
    plain = {"cells": str(folder / "cells.yaml"), "out": str(folder / "out"),
             "profile": {"organelles": ["mitochondria"]}}
    typed = command(folder)[1:]
    with untouched(folder / "out"):
        with pytest.raises(ExistsError, match="commands of a is another"):
            cohort.planned(**plain, overrides=[*typed, "profile.measure.neighbours=1"])
        fewer = listed(tmp_path, [
            {"name": "a", "volume": str(folder / "a.ome.zarr"), "condition": "control"}
        ])
        with pytest.raises(ExistsError, match="other cells, among them b"):
            cohort.planned(**{**plain, "cells": str(fewer)}, overrides=typed)
    small_cell(tmp_path / "e.ome.zarr", mitochondria=balls(5))
    rows = [{"name": n, "volume": str(folder / f"{n}.ome.zarr"), "condition": c}
            for n, c in CONDITIONS.items()]
    rows.append({"name": "e", "volume": str(tmp_path / "e.ome.zarr"), "condition": "drug"})
    steps = cohort.planned(
        **{**plain, "cells": str(listed(tmp_path, rows)),
           "profile": {"organelles": ["mitochondria"], "clean": {}, "steps": ["measure"]}},
        overrides=typed,
    )
    assert {step.parts["volume"] for step in steps} == {str(tmp_path / "e.ome.zarr")}
    assert "gets 1 cell more than the 4 of before" in caplog.text


@pytest.mark.parametrize("name", ["cells.csv", "cohort.html"])
def test_files_of_something_else_are_refused(broken, tmp_path, name):
    folder, _ = broken
    (tmp_path / name).write_text("mine")
    with pytest.raises(ExistsError, match=f"{name} of something else"):
        cohort.run(cells=str(folder / "cells.yaml"), out=str(tmp_path))
    assert (tmp_path / name).read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        cohort.run(cells=str(folder / "cells.yaml"), out=str(tmp_path / name))


def test_two_runs_in_one_folder_are_refused(broken, tmp_path):
    folder, _ = broken
    ready = tmp_path / "ready"
    hold = ("import sys, time\nfrom pathlib import Path\nfrom fibseg.volume import locked\n"
            "with locked(sys.argv[1]):\n    Path(sys.argv[2]).touch()\n    time.sleep(300)\n")
    out = tmp_path / "out"
    out.mkdir()
    other = subprocess.Popen([sys.executable, "-c", hold, str(out / "cells"), str(ready)])
    try:
        _until(ready.exists)
        with pytest.raises(BusyError):
            cohort.run(cells=str(folder / "cells.yaml"), out=str(out))
    finally:
        other.kill()
        other.wait()
    with locked(out / "cells"):
        pass


def _until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_and_run_again_only_what_is_missing_is_done(tmp_path, number, capsys):
    rows = cells_of(tmp_path, {"a": "control", "b": "drug"})
    listed(tmp_path, rows)
    process = subprocess.Popen(
        [sys.executable, "-m", "fibseg", *command(tmp_path), "blocks.n_workers=1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    marks = tmp_path / "out" / "cells"
    _until((marks / "a" / "done.json").exists)
    _until((marks / "b" / "log.txt").exists)
    os.kill(process.pid, number)
    assert process.wait(120) == (-9 if number == signal.SIGKILL else 75)
    assert not (marks / "b" / "done.json").exists()
    assert not (tmp_path / "out" / "cohort.json").exists()
    begun = (marks / "a" / "log.txt").read_bytes()
    assert main(command(tmp_path)) == 0
    assert (marks / "a" / "log.txt").read_bytes() == begun
    assert "1 of 2 cells are done already" in capsys.readouterr().err
