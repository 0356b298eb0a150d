"""What a sweep is going to do: refused at the door, planes shared out, commands of trials."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from painted_cell import make_cell

from fibseg.cli import main
from fibseg.data import ObliqueData, SparseData
from fibseg.errors import DataError, UsageError
from fibseg.models import NetworkSpec
from fibseg.pipeline import sweep
from fibseg.pipeline.samples import sweep_sample
from fibseg.pipeline.sweep_plan import SweepPlan, plan_sweep
from fibseg.training import TrainerSettings
from fibseg.volume import Volume

SPACE = {"trainer": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return make_cell(
        tmp_path_factory.mktemp("cell") / "a.ome.zarr", shape=(20, 80, 80), planes=range(0, 20, 2)
    )


def keywords(store: Volume | list[Volume], out: Path, **changes: Any) -> dict[str, Any]:
    stores = [str(s.path) for s in (store if isinstance(store, list) else [store])]
    return {
        "volume": stores, "annotation": "mitochondria", "out": str(out), "name": None,
        "network": NetworkSpec(features=(4, 8)), "data": SparseData(patch=32, gap_nm=20.0),
        "trainer": TrainerSettings(max_steps=4), "space": SPACE, "n_trials": 3, "n_workers": 1,
        "test_planes": None, "prune": True, "seed": 0, "blocks": None,
        "overrides": ["volume=a.ome.zarr", "out=s", "data.patch=32", "n_trials=3"], **changes,
    }


def plan(store: Volume | list[Volume], out: Path, **changes: Any) -> SweepPlan:
    return plan_sweep(**keywords(store, out, **changes))


def test_planes_are_parted_in_three(store: Volume, tmp_path: Path) -> None:
    found = plan(store, tmp_path / "s")
    (test,), (held,) = found.reserved, found.held_out
    assert len(test) == 2
    assert len(held) == 1 or len(held) == 2
    assert not set(test) & set(held)
    mine = plan(store, tmp_path / "s", test_planes=[0, 2])
    assert mine.reserved == ((0, 2),)
    assert mine.record != found.record
    none = plan(store, tmp_path / "s", test_planes=[])
    assert (none.reserved, none.tested) == (((),), [])
    assert found.tested == [str(store.path)]
    assert not (tmp_path / "s").exists()


def test_a_trial_is_told_what_was_typed_and_what_it_is_to_try(
    store: Volume, tmp_path: Path
) -> None:
    typed = ["volume=a.ome.zarr", "out=s", "space=mine", "space.data=null", "n_trials=3",
             "trainer.learning_rate=0.5", "+space.network.dropout={low:0,high:1}", "prune=false"]
    found = plan(store, tmp_path / "s", overrides=typed, test_planes=[0, 2])
    assert found.trial_words({})[:2] == ["volume=a.ome.zarr", "trainer.learning_rate=0.5"]
    words = found.trial_words({"trainer.learning_rate": 0.02})
    assert words[:2] == ["volume=a.ome.zarr", "trainer.learning_rate=0.02"]
    assert "data.reserved=[[0,2]]" in words
    assert words[-1].startswith("trainer.threads=")
    assert len(words) == 5
    with_fold = plan(
        store, tmp_path / "s", data=SparseData(patch=32, gap_nm=20.0, fold=1),
        overrides=["volume=a", "data.fold=1"],
    )
    assert with_fold.trial_words({})[:2] == ["volume=a", "data.fold=null"]


def test_cores_are_shared_out(
    store: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fibseg.pipeline.sweep_plan.usable_cores", lambda: 8)
    assert plan(store, tmp_path / "s", n_workers=3).threads == 2
    assert plan(store, tmp_path / "s", n_workers=20).threads == 1
    own = plan(store, tmp_path / "s", trainer=TrainerSettings(threads=5))
    assert own.threads == 5
    assert not any("threads" in w for w in own.trial_words({}))


@pytest.mark.parametrize(("changes", "words"), [
    ({"n_trials": 0}, "use 1 or more"),
    ({"n_workers": 0}, "use 1 or more"),
    ({"seed": -1}, "seed=-1 is below 0"),
    ({"data": SparseData(patch=32, split="none")}, "holds nothing out"),
    ({"data": SparseData(patch=32, reserved=[0])}, "Name planes with test_planes"),
    ({"trainer": TrainerSettings(n_pictures=0)}, "prune=false"),
    ({"overrides": []}, "overrides are missing"),
    ({"name": "my best"}, "use letters"),
    ({"name": "x", "overrides": ["experiment=x"]}, "Use another"),
    ({"space": {}}, "nothing to search"),
    ({"test_planes": [[0], [2]]}, "lists of planes of 2 volumes"),
    ({"data": ObliqueData(patch=32), "test_planes": [0]}, "part of the space"),
])
def test_what_cannot_be_meant_is_refused_before_any_work(
    store: Volume, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        plan(store, tmp_path / "s", **changes)
    assert not (tmp_path / "s").exists()


def test_painting_that_cannot_be_parted_is_refused(tmp_path: Path) -> None:
    two = make_cell(tmp_path / "b.ome.zarr", planes=(0, 8))
    with pytest.raises(DataError, match="cannot be split"):
        plan(two, tmp_path / "s")
    with pytest.raises(DataError, match="on which nothing is painted"):
        plan(two, tmp_path / "s", test_planes=[3])
    with pytest.raises(UsageError, match="prune=false"):
        plan(two, tmp_path / "s", trainer=TrainerSettings(n_pictures=0))


def test_several_volumes_each_keep_planes(store: Volume, tmp_path: Path) -> None:
    other = make_cell(
        tmp_path / "b.ome.zarr", shape=(20, 80, 80), planes=range(0, 20, 2), seed=1
    )
    found = plan([store, other], tmp_path / "s")
    assert [len(planes) for planes in found.reserved] == [2, 2]
    assert "data.reserved=[[" in " ".join(found.trial_words({}))
    alone = plan([store, other], tmp_path / "s", test_planes=[[0], []])
    assert alone.tested == [str(store.path)]


def test_without_optuna_it_says_how_to_get_it(
    store: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = importlib.import_module

    def missing(name: str) -> Any:
        if name.endswith("sweep_study"):
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")
        return real(name)

    monkeypatch.setattr(sweep.importlib, "import_module", missing)
    words = [f"volume={store.path}", "annotation=mitochondria", f"out={tmp_path}/s",
             "data.patch=32", "data.gap_nm=20"]
    assert main(["sweep", *words]) == 2
    assert "pip install -c constraints.txt -e '.[sweep]'" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_the_plan_of_a_dry_run_is_that_of_one_trial_for_all(store: Volume, tmp_path: Path) -> None:
    parts = keywords(store, tmp_path / "s", n_trials=5, n_workers=2)
    (step,) = sweep.planned(**parts, overwrite=False)
    assert step.command.startswith("fibseg sweep volume=a.ome.zarr")
    counts = {"n_trials": 5, "n_workers": 2}
    small = {k: v for k, v in step.parts.items() if k not in counts}
    assert {k: step.parts[k] for k in counts} == counts
    sample = sweep_sample({**counts, "parts": small}, tmp_path)
    assert sample.factors == {"train": 3.0}
    assert (sample.factor, sample.disk_factor, sample.at_once) == (3.0, 5, 2)
    assert "one of 5 trials, 2 at a time" in sample.text
    assert Path(sample.parts["out"]).parent == tmp_path
