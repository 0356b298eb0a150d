"""What ``fibseg pores dry_run=true`` tells before any work."""

from __future__ import annotations

from pore_cells import pore_store
from stores import untouched

from fibseg.cli import main

FIRST = ("blocks=serial", "steps=[pockets,pseudolabels]")
"""Of the steps, those that need no network."""


def test_the_plan_of_every_step_is_printed_and_nothing_written(tmp_path, capsys):
    store = pore_store(tmp_path / "cell.ome.zarr")
    assert main(["pores", f"volume={store.path}", *FIRST]) == 0
    capsys.readouterr()
    with untouched(store.path):
        assert main(["pores", f"volume={store.path}", *FIRST, "dry_run=true"]) == 0
    text = capsys.readouterr().out
    assert text.count("plan of fibseg pores") == 2
    assert "pores: places" in text
    assert "pores: annotation" in text


def test_a_step_is_planned_after_those_that_it_rests_on(tmp_path, capsys):
    store = pore_store(tmp_path / "cell.ome.zarr")
    assert main(["pores", f"volume={store.path}", *FIRST, "dry_run=true"]) == 0
    text = capsys.readouterr().out
    assert text.count("plan of fibseg pores") == 1
    assert "cannot be planned before the steps that it rests on" in text
