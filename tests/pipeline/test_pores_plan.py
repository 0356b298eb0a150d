"""What ``fibseg pores dry_run=true`` tells before any work."""

from __future__ import annotations

import shlex

import pytest
from pore_cells import pore_store
from stores import untouched

from fibseg.cli import main
from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.pipeline import pores

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


@pytest.mark.parametrize("words", [[], ["blocks=serial"], ["blocks.n_workers=3"]])
def test_every_step_computes_where_it_is_told_to(tmp_path, words):
    store = pore_store(tmp_path / "cell.ome.zarr")
    asked = [f"volume={store.path}", *words]
    config = resolved(compose_verb("pores", asked))
    config.pop("dry_run")
    for step in pores.planned(**build_parts(config), config=config, overrides=asked):
        assert step.parts["blocks"] is not None
        verb, *typed = shlex.split(step.command)[1:]
        assert resolved(compose_verb(verb, typed))["blocks"] == config["blocks"], step.command


def test_a_step_is_planned_after_those_that_it_rests_on(tmp_path, capsys):
    store = pore_store(tmp_path / "cell.ome.zarr")
    assert main(["pores", f"volume={store.path}", *FIRST, "dry_run=true"]) == 0
    text = capsys.readouterr().out
    assert text.count("plan of fibseg pores") == 1
    assert "cannot be planned before the steps that it rests on" in text
