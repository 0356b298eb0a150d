"""``fibseg pores`` on a ball whose pores and pockets are drawn by formula."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pore_cells import cell, places_nm, pore_store
from scipy.spatial import cKDTree
from stores import untouched

from fibseg.cli import main
from fibseg.errors import UsageError
from fibseg.pipeline import pockets, pores, pseudolabels
from fibseg.pipeline.pore_steps import MAKERS
from fibseg.pipeline.store_bench import StoreBench
from fibseg.volume import Volume

FIRST = ("blocks=serial", "steps=[pockets,pseudolabels]")
"""Of the steps, those that need no network."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store after the whole command."""
    store = pore_store(tmp_path_factory.mktemp("made") / "cell.ome.zarr")
    assert main(["pores", f"volume={store.path}", *FIRST]) == 0
    return store.path


@pytest.fixture
def store(made, tmp_path) -> Volume:
    """A copy of it, to be changed."""
    shutil.copytree(made, tmp_path / "cell.ome.zarr")
    return Volume.open(tmp_path / "cell.ome.zarr")


def runs(store: Volume) -> list[list[str]]:
    return [run["config"]["steps"] for run in store.runs()]


def test_all_pores_are_found_and_nothing_else(made):
    store, (_, _, centres) = Volume.open(made), cell()
    table = store.table("pores_pseudo")
    away, which = cKDTree(centres).query(places_nm(table))
    assert sorted(which.tolist()) == list(range(len(centres)))
    assert away.max() < 30
    assert set(table["provenance"]) == {"envelope/normal"}
    labels = store.labels("pores_pseudo")[...]
    assert np.unique(labels).tolist() == [0, *table["label"].tolist()]
    middle = np.rint(places_nm(table) / 20).astype(int)
    assert labels[tuple(middle.T)].tolist() == table["label"].tolist()


def test_pockets_lie_behind_pores_and_are_paired(made):
    store = Volume.open(made)
    told, paired = store.table_info("pores_pockets")["measured"], store.table("pores_pockets")
    assert told["share_pores_unpaired"] == told["share_pockets_unpaired"] == 0
    assert len(set(paired["pore"])) == len(set(paired["pocket"])) == 24
    assert (paired["distance_um"] < 0.2).all()
    table = store.table("pores_pseudo")
    by_pore = dict(zip(paired["pore"].tolist(), paired["pocket"].tolist(), strict=True))
    assert [by_pore[n] for n in table["label"].tolist()] == table["pocket"].tolist()
    found = store.table("pockets")
    assert found["label"].tolist() == np.unique(store.labels("pockets")[...])[1:].tolist()
    assert (found["distance_nm"] < 100).all()
    assert (found["confidence"] > 0.5).all()


def test_the_painting_says_what_is_sure(made):
    store, (_, nucleus, _) = Volume.open(made), cell()
    info, painted = store.labels_info("annotation_pores"), store.labels("annotation_pores")[...]
    assert info.kind == "annotation"
    assert info.classes == {"background": 1, "pore": 2}
    np.testing.assert_array_equal(painted == 2, store.labels("pores_pseudo")[...] > 0)
    assert painted[35, 35, 35] == painted[0, 0, 0] == 1
    assert (painted[nucleus] == 0).any()


def test_places_of_chance_stand_in_the_table_too(made):
    sites = Volume.open(made).table("pockets_sites")
    assert (sites["label"] > 0).sum() == 24
    assert (sites["label"] == 0).sum() >= 5
    assert sites["confidence"][sites["label"] > 0].min() > 0.5
    assert np.isnan(sites["isolation_um"][sites["label"] == 0]).all()


def test_the_same_again_does_nothing(store):
    with untouched(store.path):
        assert main(["pores", f"volume={store.path}", *FIRST]) == 0


def test_the_store_is_whole(store, capsys):
    assert main(["verify", f"volume={store.path}", FIRST[0]]) == 0
    assert StoreBench(store, "labels/pockets").empty
    assert StoreBench(store, "labels/pores_pseudo").empty


def test_each_step_alone(store):
    assert runs(store) == [["pockets"], ["pseudolabels"]]
    digest = store.labels_info("pockets").digest
    words = ["pores", f"volume={store.path}", *FIRST, "pseudolabels.rule.rim_nm=40"]
    assert main([*words, "steps=[pseudolabels]"]) == 0
    assert runs(store) == [["pockets"], ["pseudolabels"], ["pseudolabels"]]
    assert store.labels_info("pockets").digest == digest
    record = store.runs()[-1]
    assert record["config"]["pseudolabels"]["rule"]["rim_nm"] == 40
    assert "pockets" not in record["config"]
    assert "pseudolabels.rule.rim_nm=40" in record["overrides"]


def test_what_rests_on_changed_settings_is_made_again(store):
    before = store.labels_info("annotation_pores")
    words = ["pores", f"volume={store.path}", *FIRST, "pockets.body.radius_nm=70"]
    assert main(words) == 0
    assert runs(store) == [["pockets"], ["pseudolabels"]] * 2
    assert store.labels_info("annotation_pores").inputs != before.inputs


def test_closing_instead_of_normals(store):
    words = ["pores", f"volume={store.path}", *FIRST, "pseudolabels.method=closing"]
    assert main(words) == 0
    table, (_, _, centres) = store.table("pores_pseudo"), cell()
    assert set(table["provenance"]) == {"envelope/closing"}
    away, _ = cKDTree(centres).query(places_nm(table))
    assert len(table["label"]) > 18
    assert np.median(away) < 30
    assert runs(store) == [["pockets"], ["pseudolabels"], ["pseudolabels"]]


class Killed(BaseException):
    """As a SIGKILL: nothing is tidied by whoever expects errors."""


@pytest.mark.parametrize(
    ("module", "name"),
    [(pockets, "_pockets"), (pockets, "region_table"), (pseudolabels, "region_table"),
     (pseudolabels, "are_sure")],
)
def test_a_killed_run_goes_on(made, tmp_path, monkeypatch, module, name):
    store = pore_store(tmp_path / "cell.ome.zarr")

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, die)
        with pytest.raises(Killed):
            main(["pores", f"volume={store.path}", *FIRST])
    assert main(["pores", f"volume={store.path}", *FIRST]) == 0
    whole = Volume.open(made)
    for label in ("pockets", "pores_pseudo", "annotation_pores"):
        assert store.labels_info(label).digest == whole.labels_info(label).digest
    for table in ("pockets", "pockets_sites", "pores_pseudo", "pores_pockets"):
        assert (store.path / f"tables/{table}.parquet").read_bytes() == (
            made / f"tables/{table}.parquet"
        ).read_bytes()


@pytest.mark.parametrize("steps", [[], ["pockets", "colour"]])
def test_steps_that_there_are_not(tmp_path, steps):
    with pytest.raises(UsageError, match="choose some of pockets, pseudolabels"):
        pores.run(volume=str(tmp_path), steps=steps, **{n: {} for n in MAKERS})


def test_the_usual_steps_are_all():
    from fibseg.cli.compose import compose_verb, resolved

    assert resolved(compose_verb("pores", ["volume=x"]))["steps"] == list(MAKERS)


def test_made_annotations_are_not_judged_as_painting(made, capsys):
    assert main(["check", f"volume={made}", FIRST[0]]) == 0
    text = capsys.readouterr().out
    assert "annotations: annotation_pores (made of labels/pockets)" in text
    assert "painted" not in text


def test_a_report_can_be_made_of_what_no_measure_was_taken_of(store, tmp_path):
    """Tables of pores have columns of their own, and no facts of `fibseg measure`."""
    page = tmp_path / "page.html"
    assert main(["report", f"volume={store.path}", f"out={page}"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "pores pseudo" in text.lower()
    assert "cut by the faces" not in text
