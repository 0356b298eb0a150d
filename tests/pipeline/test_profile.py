from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from profiled_cells import FEW, ball, cell_store, commands, ran, recipe
from stores import noise_store, untouched

from fibseg.cli.compose import compose_verb, resolved
from fibseg.cli.main import main
from fibseg.cli.verbs import VERBS
from fibseg.errors import DataError, UsageError
from fibseg.pipeline import profile
from fibseg.pipeline.profile_steps import planned_steps
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.steps import Step
from fibseg.volume import Volume


@pytest.fixture
def store(tmp_path: Path) -> Volume:
    return cell_store(tmp_path)


def test_steps_rest_on_each_other(store: Volume) -> None:
    verbs = [(step.verb, step.product) for step in planned_steps(recipe(store))]
    assert verbs == [
        ("objects", "labels/cell"), ("objects", "labels/nucleus"),
        ("objects", "labels/mitochondria"), ("measure", "tables/cell"),
        ("measure", "tables/nucleus"), ("measure", "tables/mitochondria"), ("report", "report"),
    ]


def test_the_whole_profile_and_a_second_time(store: Volume, capsys: pytest.CaptureFixture) -> None:
    words = ["profile", f"volume={store.path}", *FEW, "clean.mitochondria.closing.radius_nm=0"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "tables/mitochondria  7 objects" in text
    assert re.search(r"mitochondria +\S+ µm³ +\S+ % of the cell +\S+ % of the cytoplasm", text)
    page = store.path.with_name("cell.report.html").read_text()
    assert "spatial null: 9 simulations" in page
    measured = store.table_info("mitochondria")["measured"]
    assert measured["to"] == ["nucleus", "cell"]
    before = ran(store)
    assert main([*words, "steps=[objects,measure]"]) == 0
    assert ran(store) == before, "nothing is made again"


def test_commands_that_it_tells_do_the_same(store: Volume) -> None:
    words = ["clean.mitochondria.closing.radius_nm=60", "measure.neighbours=1",
             "postprocess@clean.nucleus=default", "report.stain=dark"]
    for command in commands(store, *words):
        _, verb, *rest = command.split(" ")
        assert resolved(compose_verb(verb, [w.strip("'") for w in rest]))
    told = "\n".join(commands(store, *words))
    assert "name=mitochondria postprocess=mitochondria blocks=serial postprocess.closing" in told
    assert "name=nucleus blocks=serial postprocess=default" in told
    assert "objects=mitochondria 'to=[nucleus,cell]' correlations.n_simulations=9" in told
    assert "neighbours=1" in told
    nucleus = "objects=nucleus 'to=[cell]' neighbours=0 classes=null correlations=null blocks"
    assert nucleus in told
    assert "stain=dark" in told.splitlines()[-1]
    assert "blocks" not in told.splitlines()[-1], "a report has no blocks"


def test_a_command_makes_what_its_step_makes(store: Volume) -> None:
    planned = planned_steps(recipe(store, "clean.nucleus.threshold.level=0.4"))
    (step,) = (step for step in planned if step.product == "labels/nucleus")
    config = resolved(compose_verb(step.verb, step.overrides))
    assert step.config is not None
    assert config["postprocess"] == step.config["postprocess"]


def test_what_is_missing_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = noise_store(tmp_path / "a.ome.zarr", shape=(8, 16, 16))
    labels = store.create_labels("mitochondria", kind="labels", dtype="uint32", inputs="x")
    labels.array[2:5, 2:5, 2:5] = 1
    finish_product(labels)
    with caplog.at_level("INFO"):
        steps = planned_steps(recipe(store))
    assert [step.product for step in steps] == ["tables/mitochondria", "report"]
    assert steps[0].parts["to"] == []
    for part in ("cell", "nucleus"):
        assert f"there are no labels of the {part}" in caplog.text
    assert "labels/mitochondria has no probabilities: it is taken as it is" in caplog.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["organelles=[er]"], "neither probabilities nor labels 'er'; it has cell, mitochondria"),
        (["steps=[paint]"], "steps=[paint]: choose some of classify, objects, measure, report"),
        (["steps=[]"], "choose some of"),
        (["~clean.mitochondria"], "+postprocess@clean.mitochondria=default"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    store: Volume, words: list[str], said: str
) -> None:
    with untouched(store.path), pytest.raises((DataError, UsageError), match=re.escape(said)):
        planned_steps(recipe(store, *words))


def test_a_cell_is_classified_only_where_it_is_painted_and_not_made_elsewhere(
    store: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    def verbs() -> list[str]:
        return [step.verb for step in planned_steps(recipe(store))]

    assert "classify" not in verbs()
    paint = store.create_labels(
        "cell", kind="annotation", dtype="uint8", inputs="x",
        classes={"background": 1, "cell": 2},
    )
    paint.array[:, :2] = 1
    finish_product(paint)
    assert verbs()[0] == "classify"
    assert verbs().count("objects") == 2, "classify cleans the cell up itself"
    drawn = store.create_labels("cell", kind="labels", dtype="uint32", inputs="by hand")
    drawn.array[5:9] = 1
    finish_product(drawn)
    with caplog.at_level("INFO"):
        assert "classify" not in verbs()
    assert "labels/cell was not made here and is taken as it is" in caplog.text


def test_only_a_report(store: Volume) -> None:
    assert commands(store, "steps=[report]") == ["fibseg report volume=V"]


def test_a_step_that_fails_leaves_those_before_it(
    store: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = Step.run, {"tables/nucleus"}

    def failing(step: Step) -> Any:
        if step.product in broken:
            raise DataError("stopped")
        return whole(step)

    monkeypatch.setattr(Step, "run", failing)
    parts = vars(recipe(store, "steps=[objects,measure]"))
    with pytest.raises(DataError, match="stopped"):
        profile.run(**parts)
    first = ran(store)
    broken.clear()
    profile.run(**parts)
    assert ran(store)[: len(first)] == first
    assert sorted(set(ran(store))) == ["measure", "objects"]
    assert ran(store).count("objects") == 3, "no clean-up is done twice"


def test_a_dry_run_plans_step_by_step_with_the_users_settings(
    store: Volume, capsys: pytest.CaptureFixture
) -> None:
    own = ["steps=[objects,measure]", "clean.mitochondria.closing.radius_nm=60",
           "measure.keep_border=true"]
    with untouched(store.path):
        assert main(["profile", f"volume={store.path}", *FEW, *own, "dry_run=true"]) == 0
    text = capsys.readouterr().out
    assert "[1/6] fibseg objects" in text
    assert "cannot be planned before the steps that it rests on" in text
    told = [line for line in text.splitlines() if line.startswith("[")]
    assert "postprocess.closing.radius_nm=60" in told[2]
    assert not any("closing" in line for line in told[:2]), "it is that of the mitochondria"
    for line in told[3:]:
        assert "keep_border=true" in line
        assert "blocks=serial" in line


@pytest.mark.parametrize(
    "word", ["~clean.mitochondria.watershed", "clean.mitochondria.watershed=null",
             "++clean.mitochondria.closing.radius_nm=0", "~measure.classes"],
)
def test_a_printed_command_finds_everything_there(
    store: Volume, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    words = ["steps=[objects,measure]", "organelles=[mitochondria]", word]
    planned = planned_steps(recipe(store, *words))
    assert main(["profile", f"volume={store.path}", *FEW, *words]) == 0
    before = ran(store)
    caplog.clear()
    with caplog.at_level("INFO"):
        for step in planned:
            if step.product.endswith("mitochondria"):
                assert main(shlex.split(step.command)[1:]) == 0
    assert caplog.text.count("there already") == 2
    assert ran(store) == before
    told = [r["overrides"] for r in store.runs() if "objects=mitochondria" in r["overrides"]
            or "name=mitochondria" in r["overrides"]]
    old, new = ("measure.", "") if "measure" in word else ("clean.mitochondria.", "postprocess.")
    assert any(word.replace(old, new) in words for words in told), "provenance tells of it"


def test_nothing_that_is_deleted_for_organelles_comes_back_for_bodies(store: Volume) -> None:
    told = commands(store, "~measure.correlations")
    assert "~correlations" in told[-2]
    assert "correlations=null" in told[-3]
    assert "~correlations" not in told[-3]


def test_another_organelle_by_the_words_of_the_help(store: Volume) -> None:
    _, example = VERBS["profile"].examples
    product = store.create_probabilities("er", inputs="none")
    product.array[:] = 255 * ball(4, (12, 24, 24))
    finish_product(product)
    words = shlex.split(example)[3:]
    assert words[0] == "organelles=[mitochondria,er]"
    told = commands(store, *words)
    assert any("name=er blocks=serial postprocess=default" in line for line in told)
    assert any("postprocess.closing.radius_nm=40" in line for line in told)
    assert any("objects=er 'to=[nucleus,cell]'" in line for line in told)
