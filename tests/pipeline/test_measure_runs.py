"""The verb again, at the same time, after it was killed, elsewhere: the same table."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from known_cells import add_labels, cell_labels, make_store, run, table_bytes
from stores import untouched

from fibseg.blocks import Processes, Serial
from fibseg.cli import main
from fibseg.errors import BusyError, DataError
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.pipeline import measure, verify
from fibseg.pipeline.forecast import forecast
from fibseg.volume.lock import Holder, lock_path


@pytest.fixture
def volume(tmp_path):
    return make_store(tmp_path / "cell.ome.zarr")


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
