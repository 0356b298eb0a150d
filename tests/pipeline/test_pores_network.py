"""``fibseg pores`` from image and mask to objects: the network, its threshold, its pores."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from pore_cells import cell, pore_store
from small_cells import add_labels

from fibseg.cli import main
from fibseg.cli.compose import compose_verb, resolved
from fibseg.errors import DataError, UsageError
from fibseg.export import load_spec
from fibseg.metrics import match_points
from fibseg.pipeline import pore_objects
from fibseg.pipeline.pore_level import chosen_level
from fibseg.pipeline.pore_steps import MAKERS
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.report_distribution import agreement_facts
from fibseg.pipeline.report_pictures import object_stem
from fibseg.pipeline.report_pores import pore_figures
from fibseg.volume import Volume

QUICK = [
    "blocks=serial", "train.trainer.max_time=null", "train.trainer.max_steps=120",
    "train.trainer.precision=32", "train.trainer.n_pictures=0", "train.network.features=[8,16]",
    "train.data.patch=32", "train.data.batch=8", "train.data.test_planes=3",
    "train.trainer.learning_rate=0.01", "infer.backend=torch", "objects.levels=[0.2,0.35,0.5,0.65]",
]


def pores(path: Path, *words: str) -> int:
    return main(["pores", f"volume={path}", *QUICK, *words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after the whole command."""
    store = pore_store(tmp_path_factory.mktemp("made") / "cell.ome.zarr")
    assert pores(store.path) == 0
    return store.path


def test_pores_of_the_part_that_nothing_was_learned_from_are_found(made: Path) -> None:
    store, (_, _, centres) = Volume.open(made), cell()
    table = store.table("pores")
    found = np.stack([table[f"centroid_{a}_um"] for a in "zyx"], axis=1)
    part = load_spec(made.parent / "cell.models" / "pores").training["split"]["parts"]["cell"]
    true = centres / 1000
    beyond = true[:, 0] >= part["validation"][0] * 0.02
    pairs = match_points(found, true, within=0.06)
    assert beyond[pairs[:, 1]].sum() >= 0.8 * beyond.sum()
    assert len(pairs) >= 0.8 * len(found)


def test_the_record_says_what_was_chosen_from_what(made: Path) -> None:
    record = next(r for r in Volume.open(made).runs() if r["verb"] == "objects")
    chosen = record["config"]["chosen"]
    assert [row["level"] for row in chosen["curve"]] == [0.2, 0.35, 0.5, 0.65]
    assert record["config"]["postprocess"]["threshold"]["level"] == chosen["level"]
    assert chosen["level"] == max(
        chosen["curve"], key=lambda row: (row["f1"] or 0, row["level"] == chosen["level"])
    )["level"]


def test_the_same_again_does_nothing(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*") if p.is_file()}
    assert pores(made) == 0
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*") if p.is_file()} == before
    assert "labels/pores " in capsys.readouterr().out


def test_the_threshold_is_searched_only_where_something_has_changed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made.parent, tmp_path / "copy")
    store, searched = Volume.open(tmp_path / "copy" / "cell.ome.zarr"), []

    def search(*args, **settings):
        searched.append(settings["levels"])
        return chosen_level(*args, **settings)

    monkeypatch.setattr(pore_objects, "chosen_level", search)
    only = "steps=[objects]"
    assert pores(store.path, only) == 0
    before = store.labels_info("pores").digest
    shutil.rmtree(store.path / "labels" / "pores")
    assert pores(store.path, only) == 0
    assert searched == []
    assert store.labels_info("pores").digest == before
    store.write_table("pores_pseudo", {
        **store.table("pores_pseudo"), "more": np.zeros(len(store.table("pores_pseudo")["label"]))
    }, labels_digest=store.labels_info("pores_pseudo").digest)
    assert pores(store.path, only) == 0
    assert searched == []
    assert pores(store.path, only, "objects.levels=[0.2,0.4]") == 0
    assert pores(store.path, only, "objects.postprocess.smooth.sigma_nm=10") == 0
    table = store.table("pores_pseudo")
    store.write_table("pores_pseudo", {**table, "z_um": table["z_um"] + 0.01},
                      labels_digest=store.labels_info("pores_pseudo").digest)
    assert pores(store.path, only) == 0
    assert len(searched) == 3


def test_each_step_can_be_typed_as_it_is_logged(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="fibseg.pipeline")
    assert pores(made) == 0
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("[")]
    assert [text.split("]")[0] for text in said] == [f"[{i}/6" for i in range(1, 7)]
    config = resolved(compose_verb("pores", [f"volume={made}", *QUICK]))
    for step, text in zip(("train", "infer", "distribution"), (said[2], said[3], said[5]),
                          strict=True):
        fibseg, verb, *words = shlex.split(text.split("] ")[1])
        assert (fibseg, verb) == ("fibseg", step)
        typed = resolved(compose_verb(verb, words))
        for key, value in config[step].items():
            assert typed[key] == value, (verb, key)
        assert typed["volume"] == str(made)
        assert typed["blocks"] == config["blocks"]


def test_what_rests_on_changed_settings_is_made_again_and_nothing_else(
    made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made.parent, tmp_path / "copy")
    path = tmp_path / "copy" / "cell.ome.zarr"
    before = Volume.open(path)
    was = {n: before.labels_info(n).digest for n in ("pockets", "annotation_pores")}
    model = before.probabilities_info("pores").attributes["model_digest"]
    assert pores(path, "pseudolabels.rule.near_nm=130") == 0
    mid = Volume.open(path)
    assert mid.labels_info("pockets").digest == was["pockets"]
    assert mid.labels_info("annotation_pores").digest != was["annotation_pores"]
    assert mid.probabilities_info("pores").attributes["model_digest"] != model
    assert pores(path) == 0
    assert Volume.open(path).labels_info("annotation_pores").digest == was["annotation_pores"]


def test_probabilities_of_another_model_are_refused(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parent, tmp_path / "copy")
    weights = tmp_path / "copy" / "cell.models" / "pores" / "weights.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(bytes(changed))
    path = tmp_path / "copy" / "cell.ome.zarr"
    assert pores(path, "steps=[objects]", "objects.levels=[0.3]") == DataError.exit_code


def test_without_a_part_for_validation_a_threshold_has_to_be_given(
    made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made.parent, tmp_path / "copy")
    path = tmp_path / "copy" / "cell.ome.zarr"
    spec = tmp_path / "copy" / "cell.models" / "pores" / "model.json"
    spec.write_text(spec.read_text().replace('"validation"', '"elsewhere"'))
    given = {"name": "pores", "model": str(spec.parent), "places": "pores_pseudo",
             "annotation": "annotation_pores", "levels": [0.5]}
    with pytest.raises(DataError, match=r"objects\.levels=null"):
        pore_objects.on_validation(Volume.open(path), postprocess={}, **given)


def test_objects_before_probabilities_are_refused(tmp_path: Path) -> None:
    store = pore_store(tmp_path / "cell.ome.zarr")
    assert pores(store.path, "steps=[objects]") == DataError.exit_code


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    store = pore_store(tmp_path / "cell.ome.zarr")
    assert pores(store.path, "steps=[objects,paint]") == UsageError.exit_code
    assert list(MAKERS)[-3:] == ["infer", "objects", "distribution"]


def test_the_report_shows_the_steps_where_most_pores_lie(made: Path) -> None:
    figures = pore_figures(Volume.open(made), "pores")
    (figure,) = figures.values()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [t[:1] for t in titles] == list("ABCDEF")
    shown = figure.axes[5].images[0].get_array()
    assert shown is not None
    assert (np.ptp(np.asarray(shown), axis=2) > 0).any()  # a coloured pore
    assert pore_figures(Volume.open(made), "pockets") == {}


def titles(path: Path) -> tuple[str, list[str]]:
    """Caption and panels of the figure of steps, in a word each."""
    ((caption, figure),) = pore_figures(Volume.open(path), "pores").items()
    shown = [ax.get_title(loc="left").split()[1] for ax in figure.axes if ax.images]
    return caption, [word.rstrip(";") for word in shown]


STEPS = ["image", "pockets", "pseudo-labels", "learned", "probability", "pores"]


def test_the_report_leaves_out_steps_that_the_pores_did_not_come_from(
    made: Path, tmp_path: Path
) -> None:
    def fresh(name: str) -> Path:
        shutil.copytree(made.parent, tmp_path / name)
        return tmp_path / name / "cell.ome.zarr"

    assert titles(made) == ("From the image to pores", STEPS)
    path = fresh("pockets")
    assert pores(path, "steps=[pockets]", "pockets.body.radius_nm=70") == 0
    caption, shown = titles(path)
    assert shown == [s for s in STEPS if s != "pockets"]
    assert caption.endswith("(left out, as these pores did not come from it: pockets)")
    assert object_stem("pores", caption) == object_stem("pores", "From the image to pores")
    path = fresh("painting")
    assert pores(path, "steps=[pseudolabels]", "pseudolabels.rule.near_nm=130") == 0
    caption, shown = titles(path)
    assert shown == ["image", "probability", "pores"]
    assert "pockets, pseudo-labels, what was learned from)" in caption
    path = fresh("nucleus")
    store = Volume.open(path)
    add_labels(store, "nucleus", cell()[1].astype(np.uint8) * 2, inputs="y", overwrite=True)
    assert titles(path)[1] == [s for s in STEPS if s != "pockets"]
    path = fresh("model")
    shutil.rmtree(path.parent / "cell.models")
    assert titles(path)[1] == ["image", "probability", "pores"]
    path = fresh("probabilities")
    product = Volume.open(path).create_probabilities("pores", inputs="y", overwrite=True)
    product.array[:] = 9
    finish_product(product)
    assert pore_figures(Volume.open(path), "pores") == {}


def test_the_report_says_how_both_detectors_agree(made: Path) -> None:
    (fact,) = agreement_facts(Volume.open(made), "pores")
    assert fact.value.startswith("≤ ")
    assert "upper bound" in fact.note
    assert agreement_facts(Volume.open(made), "pockets") == []
