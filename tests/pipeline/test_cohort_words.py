"""What is typed for a cohort reaches each cell in the words of its own verb."""

from __future__ import annotations

import shlex

import pytest
from cohorts import cells_of, listed

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.cli.main import main
from fibseg.cli.passing import passed_on
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.cohort_words import chosen_verbs, commands_of, steps_of, typed_for

CELL = Cell("a", "/data/a.ome.zarr", "x")


def settings(*words):
    """Parts of the verbs, as the command builds them."""
    typed = ["cells=c.yaml", "out=o", *words]
    config = passed_on("cohort", resolved(compose_verb("cohort", typed)), {})
    parts = build_parts({key: config[key] or {} for key in ("profile", "pores", "distribution")})
    return parts, typed


@pytest.mark.parametrize("words", [
    ["profile.organelles=[mitochondria,er]", "+postprocess@profile.clean.er=default"],
    ["postprocess@profile.clean.nucleus=default", "profile.clean.nucleus.closing.radius_nm=40",
     "blocks@profile.blocks=serial", "~profile.measure.correlations", "profile.overwrite=true"],
])
def test_the_words_of_a_cell_compose_to_what_the_cohort_was_told(words):
    parts, typed = settings(*words)
    (command,) = commands_of(CELL, ["profile"], parts, typed)
    assert command[:2] == ["profile", "volume=/data/a.ome.zarr"]
    own = resolved(compose_verb("profile", command[1:]))
    whole = resolved(compose_verb("cohort", typed))["profile"]
    assert {**own, "volume": None} == whole


def test_pores_and_distribution_have_their_own():
    words = ["steps=[distribution,pores]", "pores.keep=all", "distribution.voxel_nm=40",
             "network@pores.train.network=unet_small"]
    parts, typed = settings(*words)
    verbs = chosen_verbs(["distribution", "pores"])
    assert verbs == ["pores", "distribution"]
    pores, spread = commands_of(CELL, verbs, parts, typed)
    assert pores[2:] == ["keep=all", "network@train.network=unet_small"]
    assert spread[2:] == ["objects=pores", "voxel_nm=40"], "what it asks for is given"
    assert resolved(compose_verb("pores", pores[1:]))["keep"] == "all"
    parts, typed = settings("distribution.objects=pockets", "steps=[distribution]")
    assert commands_of(CELL, ["distribution"], parts, typed)[0][2:] == ["objects=pockets"]


@pytest.mark.parametrize("word", [
    "profile.volume=a", "profile.report.out=page.html", "distribution.csv=t.csv",
    "pores.dry_run=true",
])
def test_what_would_be_that_of_every_cell_is_refused(word):
    with pytest.raises(UsageError, match="that of every cell"):
        typed_for(word.split(".")[0], ["cells=c.yaml", word])


def test_words_of_others_are_left_alone():
    assert typed_for("pores", ["profile.x=1", "cells=pores.yaml", "blocks=serial"]) == []
    assert typed_for("profile", ["profile.a=b=c"]) == ["a=b=c"]


@pytest.mark.parametrize("steps", [[], ["paint"], ["profile", "measure"]])
def test_steps_are_those_it_knows(steps):
    with pytest.raises(UsageError, match="choose some of profile, pores, distribution"):
        chosen_verbs(steps)


@pytest.mark.parametrize(("word", "said"), [
    ("profile.organels=[a]", "Did you mean profile.organelles"),
    ("profile.nucleus=[a]", "profile.nucleus=[a] is not text or null"),
    ("profile=null", "profile=null leaves nothing to do"),
    ("+profile.colour=red", "There is no key 'colour'"),
])
def test_mistyped_words_are_told_before_any_cell(tmp_path, capsys, word, said):
    assert main(["cohort", f"cells={tmp_path}/c.yaml", f"out={tmp_path}/o", word]) == 2
    assert said in capsys.readouterr().err


def test_a_dry_run_goes_through_the_steps_of_every_cell(tmp_path, capsys):
    rows = cells_of(tmp_path, {"a": "x", "b": "y"})
    path = listed(tmp_path, rows)
    words = ["cohort", f"cells={path}", f"out={tmp_path / 'o'}", "profile.steps=[measure]",
             "profile.organelles=[]", "profile.nucleus=null"]
    assert main([*words, "dry_run=true"]) == 0
    said = capsys.readouterr().out
    assert said.count("plan of fibseg measure") == 2
    told = [shlex.split(line)[3] for line in said.splitlines() if line.startswith("[")]
    assert told == [f"volume={tmp_path / name}.ome.zarr" for name in "ab"]
    assert not (tmp_path / "o").exists()


def test_a_cell_that_lacks_something_is_named(tmp_path):
    (row,) = cells_of(tmp_path, {"a": "x"})
    parts, typed = settings("profile.organelles=[er]")
    cell = Cell("a", str(tmp_path / row["volume"]), "x")
    with pytest.raises(DataError, match=r"^a: .*neither probabilities nor labels 'er'"):
        steps_of(cell, ["profile"], parts, typed)
