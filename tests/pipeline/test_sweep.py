"""A sweep of real trainings: by two processes, one killed, judged on planes that were kept back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from painted_cell import make_cell

from fibseg.cli import main
from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.errors import ExistsError, InterruptedRunError
from fibseg.export import load_spec
from fibseg.pipeline.sweep import work
from fibseg.pipeline.sweep_folder import begin_sweep
from fibseg.pipeline.sweep_plan import SweepPlan, plan_sweep
from fibseg.pipeline.sweep_result import experiment_settings, finish
from fibseg.pipeline.sweep_study import FIRST_DRAWN, Study
from fibseg.training import noted_scores
from fibseg.volume import Volume
from fibseg.volume.lock import read_holder

QUICK = [
    "network.features=[4,8]", "data.patch=32", "data.batch=2", "data.gap_nm=20",
    "trainer.max_time=null", "trainer.max_steps=4", "trainer.precision=32", "trainer.threads=1",
]
SPACE = """
# Every other trial wants patches larger than a plane, and fails.
trainer:
  learning_rate: {low: 0.001, high: 0.1, log: true}
data:
  patch: {choices: [32, 512]}
"""


OURS = ["n_trials=3", "seed=3", "space=mine"]


def words(store: Path, out: Path, *more: str) -> list[str]:
    """Behind ``fibseg sweep``."""
    return [f"volume={store}", "annotation=mitochondria", f"out={out}", *QUICK, *more]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cell(
        tmp_path_factory.mktemp("cell") / "a.ome.zarr", shape=(20, 80, 80), planes=range(0, 20, 2)
    ).path


def plan_of(store: Path, out: Path, *more: str) -> SweepPlan:
    """The plan of a command that searches the weight of Dice."""
    arguments = words(store, out, *more)
    parts = build_parts(resolved(compose_verb("sweep", arguments)))
    parts = {k: v for k, v in parts.items() if k not in ("overwrite", "dry_run")}
    parts["space"] = {"trainer": {"dice": {"low": 0.5, "high": 1.0}}}
    return plan_sweep(**parts, overrides=arguments)


def start(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "fibseg", "sweep", *arguments], cwd=folder, stdout=said,
            stderr=said, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


@pytest.fixture(scope="module")
def swept(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three trials by two processes, of which one is killed while both are at work."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "conf/sweep").mkdir(parents=True)
    (folder / "conf/sweep/mine.yaml").write_text(SPACE)
    both = [start(words(store, Path("s"), *OURS), folder) for _ in range(2)]
    while not all((folder / f"s/trials/{n:03d}/command.txt").exists() for n in (0, 1)):
        assert [p.poll() for p in both] == [None, None], (folder / "said.txt").read_text()
        time.sleep(0.02)
    holder = read_holder(folder / "s/.trial-000.lock")
    assert holder is not None
    (killed,) = (p for p in both if p.pid == holder.pid)
    (other,) = (p for p in both if p.pid != holder.pid)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert other.wait() == 0, (folder / "said.txt").read_text()
    return folder


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "s/sweep.json").read_text())
    return found


def test_who_joined_finishes_what_a_killed_process_left(swept: Path) -> None:
    found = result(swept)
    assert [t["number"] for t in found["trials"]] == [0, 1, 2]
    states = [t["state"] for t in found["trials"]]
    assert states[0] == "done"
    assert sorted(states) == ["done", "done", "failed"]
    failed = found["trials"][states.index("failed")]
    assert failed["params"]["data.patch"] == 512
    assert "less than a patch of 512" in failed["reason"]
    for trial in found["trials"]:
        log = (swept / f"s/trials/{trial['number']:03d}/log.txt").read_text()
        assert log.count("step 4: held_out/iou_mitochondria") == (trial["state"] == "done"), log
    assert "trial" in (swept / "said.txt").read_text()
    assert not list((swept / "s").glob(".trial-*"))


def test_no_trial_sees_the_planes_of_the_test(swept: Path, store: Path) -> None:
    found = result(swept)
    splits = [
        load_spec(swept / f"s/trials/{t['number']:03d}/model").training["split"]
        for t in found["trials"] if t["state"] == "done"
    ]
    for split in splits:
        reserved, held = split["reserved"]["a"], [h["z"] for h in split["held_out"]["a"]]
        seen = {*held, *split["train_planes"]["a"]}
        assert len(reserved) == 2
        assert min(abs(z - r) for z in seen for r in reserved) > 1
        assert not set(held) & set(split["train_planes"]["a"])
        assert (split["reserved"], split["held_out"]) == (
            splits[0]["reserved"], splits[0]["held_out"],
        )
    test = found["test"]["classes"]["mitochondria"]
    assert found["test"]["extent"] == "2 planes"
    best = found["summary"]["best"]["number"]
    assert (test["gain"] is None) == (best == 0)


def test_the_best_by_validation_is_an_experiment_that_composes(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = result(swept)
    best = found["summary"]["best"]
    done = [t for t in found["trials"] if t["state"] == "done"]
    assert best["score"] == max(t["score"] for t in done)
    spec = load_spec(swept / best["model"])
    assert best["score"] == spec.metrics["classes"]["mitochondria"]["iou"]
    shutil.copytree(swept / "s/best", tmp_path / "conf")
    text = (tmp_path / "conf/experiment/best_of_s.yaml").read_text()
    head = "# @package _global_\n# fibseg train experiment=best_of_s "
    assert text.startswith(head)
    monkeypatch.chdir(tmp_path)
    config = resolved(compose_verb(
        "train", ["experiment=best_of_s", "volume=a", "annotation=b", "out=c"]
    ))
    for key, value in best["params"].items():
        group, name = key.split(".")
        assert config[group][name] == value
    assert config["network"]["features"] == [4, 8]
    assert config["data"]["reserved"] is None
    assert config["trainer"]["threads"] is None
    assert config["seed"] == 0


def test_the_page_stands_alone_and_shows_every_trial(swept: Path) -> None:
    html = (swept / "s/report.html").read_text()
    for words in ("All trials", "The best settings", "trainer.learning_rate", "failed",
                  "fibseg train experiment=best_of_s", "that no trial saw"):
        assert words in html
    assert html.count("data:image/svg+xml") >= 2
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_the_same_again_does_nothing_and_says_the_same(
    swept: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(swept)
    before = {p: p.read_bytes() for p in Path("s").rglob("*") if p.is_file()}
    monkeypatch.setattr(subprocess, "Popen", None)
    arguments = words(store, Path("s"), *OURS)
    assert main(["sweep", *arguments, "n_workers=2"]) == 0
    said = capsys.readouterr().out
    assert "3 trials: 2 done, 1 failed" in said
    assert "model: s/trials/" in said
    after = {p: p.read_bytes() for p in Path("s").rglob("*") if p.is_file()}
    assert {p for p in after if after[p] != before.get(p)} == set()
    assert main(["sweep", *arguments, "trainer.max_steps=5"]) == 65
    assert "trainer.max_steps was 4, is 5" in capsys.readouterr().err


class AtWork:
    """Asks to stop as soon as the training has shown how good it is."""

    def __init__(self, training: Path) -> None:
        self.training = training

    @property
    def requested(self) -> bool:
        return bool(noted_scores(self.training))


class GoneOn(AtWork):
    """Asks to stop as soon as the training has gone on from where it was."""

    @property
    def requested(self) -> bool:
        return "going on from step" in (self.training.parents[1] / "log.txt").read_text()


def test_a_stopped_sweep_keeps_its_trial_and_a_bad_one_is_ended_early(
    store: Path, tmp_path: Path
) -> None:
    plan = plan_of(
        store, tmp_path / "s", f"n_trials={FIRST_DRAWN + 1}", "trainer.max_steps=4000",
        "trainer.n_pictures=400",
    )
    begin_sweep(plan.folder, plan.record, overwrite=False)
    study = Study(plan.folder, plan.dimensions, seed=0, prune=True)
    for _ in range(FIRST_DRAWN):  # good trials, as if they had been
        found = study.claim(plan.n_trials)
        assert found is not None
        for at in range(2, 400):
            study.look(found.number, at, 1.0)
        study.done(found.number, 1.0)
    folder = plan.folder / f"trials/{FIRST_DRAWN:03d}/model"
    with pytest.raises(InterruptedRunError, match="1 trial at work"):
        work(replace(plan, prune=False), study, AtWork(folder / "training"))  # type: ignore[arg-type]
    assert study.tried()[-1].state == "running"
    note = finish(plan, study).text()
    assert f"{FIRST_DRAWN + 1} trials: {FIRST_DRAWN} done, 1 running" in note
    assert "trial 6: between two processes; if that is dead on another machine, remove" in note
    assert (folder / "training/checkpoints/last.ckpt").exists()
    with pytest.raises(InterruptedRunError, match="1 trial at work"):
        work(replace(plan, prune=False), study, GoneOn(folder / "training"))  # type: ignore[arg-type]
    work(plan, study, AtWork(tmp_path))  # type: ignore[arg-type]
    assert study.tried()[-1].state == "ended early"
    assert not (folder / "model.json").exists()


def test_another_sweep_is_thrown_away_only_if_asked(tmp_path: Path) -> None:
    record: dict[str, Any] = {"settings": {"seed": 0, "space": {}}, "sources": []}
    begin_sweep(tmp_path / "s", record, overwrite=False)
    (tmp_path / "s/trials/000").mkdir(parents=True)
    begin_sweep(tmp_path / "s", record, overwrite=True)
    assert (tmp_path / "s/trials/000").exists(), "it is the same sweep"
    other = {**record, "settings": {"seed": 1, "space": {}}}
    with pytest.raises(ExistsError, match="seed was 0, is 1"):
        begin_sweep(tmp_path / "s", other, overwrite=False)
    begin_sweep(tmp_path / "s", other, overwrite=True)
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["settings.json"]
    (tmp_path / "t").mkdir()
    (tmp_path / "t/thesis.tex").write_text("years of work")
    with pytest.raises(ExistsError, match="other files"):
        begin_sweep(tmp_path / "t", record, overwrite=True)


def test_an_experiment_keeps_what_the_sweep_started_from(store: Path, tmp_path: Path) -> None:
    plan = plan_of(
        store, tmp_path / "s", "experiment=mitochondria", "network=unet_small", "name=mine",
        "data.augmentation.noise=0.1",
    )
    found = experiment_settings(plan, {"trainer.learning_rate": 0.01, "network.dropout": 0.2})
    assert found["defaults"] == ["mitochondria", {"override /network": "unet_small"}, "_self_"]
    assert found["trainer"]["learning_rate"] == 0.01
    assert found["data"]["augmentation"] == {"noise": 0.1}
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text(
        "# @package _global_\n" + yaml.safe_dump(found, sort_keys=False)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        config = resolved(compose_verb(
            "train", ["experiment=mine", "volume=a", "annotation=b", "out=c"]
        ))
    assert config["data"]["pixel_nm"] == 20.0
    assert config["network"]["dropout"] == 0.2
    assert config["network"]["features"] == [4, 8]
    assert Volume.open(store).name == plan.stores[0].name
