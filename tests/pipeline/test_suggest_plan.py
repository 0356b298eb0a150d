"""What may be suggested, and everything that is refused, each in one clear error."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from painted_cell import make_cell
from suggested_cells import (
    HELD_OUT,
    PAINTED,
    SHAPE,
    SPACING,
    arguments,
    model_of,
    painted_store,
)

from fibseg.cli import main
from fibseg.errors import BusyError, DataError, ExistsError, FibsegError, UsageError
from fibseg.export import load_spec
from fibseg.pipeline import paint, suggest
from fibseg.pipeline.suggest_plan import SuggestPlan, Wanted, make_suggest_plan, painting_of
from fibseg.volume import Volume
from fibseg.volume.lock import Holder, lock_path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return painted_store(tmp_path_factory.mktemp("cell") / "a.ome.zarr")


@pytest.fixture(scope="module")
def model(store: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_of(tmp_path_factory.mktemp("model") / "m", store)


def plan_of(store: Volume, model: Path, out: Path, **wanted: Any) -> SuggestPlan:
    return make_suggest_plan(store, str(model), load_spec(model), out, None, Wanted(**wanted))


def free(plan: SuggestPlan) -> list[int]:
    return plan.candidates(plan.kept(runner=None))


def test_the_gap_is_that_of_the_training_unless_it_is_given(
    store: Volume, model: Path, tmp_path: Path
) -> None:
    narrow = model_of(tmp_path / "narrow", store, gap_nm=40.0)
    taken = (*PAINTED, HELD_OUT)
    for of, gap, planes in ((model, None, 3), (narrow, None, 1), (narrow, 100.0, 3), (model, 0, 1)):
        want = [z for z in range(SHAPE[0]) if min(abs(z - k) for k in taken) >= planes]
        assert free(plan_of(store, of, tmp_path / "o", n=1, gap_nm=gap)) == want


def test_a_few_planes_are_looked_at_evenly_and_no_fewer_than_are_needed(
    store: Volume, model: Path, tmp_path: Path
) -> None:
    everything = free(plan_of(store, model, tmp_path / "o", n=1))
    some = free(plan_of(store, model, tmp_path / "o", n=1, look_at=4))
    assert len(some) == 4
    assert set(some) <= set(everything)
    assert np.ptp(np.diff([everything.index(z) for z in some])) <= 1
    # Evenly spread planes may be too few that are apart: then all are looked at.
    assert free(plan_of(store, model, tmp_path / "o", n=6, look_at=2)) == everything


@pytest.mark.parametrize("n", [7, 1000])
def test_more_planes_than_there_are_is_an_error_with_the_most_that_there_can_be(
    store: Volume, model: Path, tmp_path: Path, n: int
) -> None:
    with pytest.raises(DataError, match=rf"n={n} .*painted: 3, 4, 20.*n=6.*gap_nm") as error:
        suggest.run(**arguments(store, model, tmp_path / "o", n=n))
    assert "held out of training: 20" in str(error.value)
    assert not (tmp_path / "o").exists()
    assert len(free(plan_of(store, model, tmp_path / "o", n=6))) >= 6


def test_a_volume_that_is_painted_all_over_has_nothing_to_suggest(tmp_path: Path) -> None:
    full = painted_store(tmp_path / "a.ome.zarr", planes=range(SHAPE[0]))
    model = model_of(tmp_path / "m", full)
    with pytest.raises(DataError, match=r"0 lie 100 nm.*Paint elsewhere"):
        suggest.run(**arguments(full, model, tmp_path / "o", n=1))
    with pytest.raises(DataError, match=r"10, 11 … 23"):
        suggest.run(**arguments(full, model, tmp_path / "o", n=1, gap_nm=0.0))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n", 0, "n=0 is none"), ("n_regions", -1, "n_regions=-1"), ("look_at", 0, "look_at=0"),
        ("region_nm", 0.0, "no size"), ("region_nm", float("nan"), "no size"),
        ("gap_nm", -1.0, "no distance"), ("uncertainty", "doubt", "margin, entropy, views"),
        ("diversity", 1.5, "0 to 1"), ("sure", 0.5, "above 0.5"), ("sure", 1.1, "above 0.5"),
        ("name", "a/b", "a/b"), ("name", "image", "folder of the image"),
    ],
)
def test_settings_that_cannot_be_meant(
    store: Volume, model: Path, tmp_path: Path, key: str, value: object, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        suggest.run(**{**arguments(store, model, tmp_path / "o"), key: value})
    assert not (tmp_path / "o").exists()


def test_a_model_of_other_classes_than_the_painting(store: Volume, tmp_path: Path) -> None:
    other = model_of(tmp_path / "m", store, classes=("nucleus",))
    with pytest.raises(DataError, match=r"\['mitochondria'\], the model finds \['nucleus'\]"):
        suggest.run(**arguments(store, other, tmp_path / "o"))
    more = model_of(tmp_path / "more", store, classes=("mitochondria", "nucleus"))
    with pytest.raises(DataError, match="name="):
        suggest.run(**arguments(store, more, tmp_path / "o"))
    # A painting of its own will do, with the classes of the model.
    suggest.run(**arguments(store, more, tmp_path / "o", name="organelles"))
    assert (tmp_path / "o" / "organelles").is_dir()


@pytest.mark.parametrize("factor", [10.0, 0.02])
def test_a_model_of_a_spacing_that_cannot_work_here(
    model: Path, tmp_path: Path, factor: float
) -> None:
    z, y, x = SPACING
    scaled = (z, y * factor, x * factor)
    other = make_cell(tmp_path / "b.ome.zarr", shape=SHAPE, planes=[0], spacing=scaled)
    with pytest.raises(DataError, match=r"[Cc]heck the spacing|fewer floors"):
        suggest.run(**arguments(other, model, tmp_path / "o"))
    assert not (tmp_path / "o").exists()


def test_a_model_of_a_coarser_spacing_works_on_its_own_grid(
    model: Path, tmp_path: Path
) -> None:
    fine = make_cell(tmp_path / "b.ome.zarr", shape=(12, 96, 96), planes=[0],
                     spacing=(40.0, 10.0, 10.0))  # fmt: skip
    suggest.run(**arguments(fine, model, tmp_path / "o", n=1))
    assert len(list((tmp_path / "o" / "mitochondria").iterdir())) == 2


def test_what_no_model_tells_has_to_be_named(store: Volume, tmp_path: Path) -> None:
    objects = model_of(tmp_path / "objects", store, annotation="labels/mitochondria")
    with pytest.raises(UsageError, match=r"labels/mitochondria.*name="):
        painting_of(store, load_spec(objects), None)
    nowhere = model_of(tmp_path / "nowhere", None)
    with pytest.raises(UsageError, match="nothing that it names"):
        painting_of(store, load_spec(nowhere), None)
    assert painting_of(store, load_spec(nowhere), "annotation_mitochondria") == "mitochondria"


def test_a_file_that_is_no_model_folder(
    store: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no")
    words = [f"model={tmp_path / 'm.onnx'}", f"volume={store.path}", f"out={tmp_path / 'o'}"]
    assert main(["suggest", *words]) == 65
    assert "m.onnx" in capsys.readouterr().err


def test_folders_of_something_else(store: Volume, model: Path, tmp_path: Path) -> None:
    def refused(out: Path, message: str, **more: Any) -> None:
        before = sorted(p.name for p in out.rglob("*"))
        with pytest.raises(ExistsError, match=message):
            suggest.run(**arguments(store, model, out, **more))
        assert sorted(p.name for p in out.rglob("*")) == before

    other = tmp_path / "other"
    paint.run(volume=str(store.path), out=str(other), name="golgi", planes=[1])
    refused(other, "made for another name")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("all of it")
    refused(tmp_path / "own", "other files")
    suggest.run(**arguments(store, model, tmp_path / "first"))
    refused(tmp_path / "first", "suggestions of another model, painting or settings", n=1)


def test_a_second_run_on_the_same_folder_is_refused(
    store: Volume, model: Path, tmp_path: Path
) -> None:
    holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
    lock_path(tmp_path / "o").write_text(json.dumps(dataclasses.asdict(holder)))
    with pytest.raises(BusyError, match="on elsewhere"):
        suggest.run(**arguments(store, model, tmp_path / "o"))
    assert not (tmp_path / "o").exists()


def test_a_plan_touches_nothing(
    store: Volume, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    n_runs = len(store.runs())
    words = [f"{k}={v}" for k, v in arguments(store, model, tmp_path / "o").items()]
    assert main(["suggest", *words, "dry_run=true"]) == 0
    said = capsys.readouterr().out
    assert "look at planes" in said
    assert f"{len(free(plan_of(store, model, tmp_path / 'o', n=2)))} planes" in said
    assert not (tmp_path / "o").exists()
    assert len(store.runs()) == n_runs


def test_a_damaged_record_is_told(store: Volume, model: Path, tmp_path: Path) -> None:
    suggest.run(**arguments(store, model, tmp_path / "o"))
    (tmp_path / "o" / "suggestions.json").write_text('{"key": "cut')
    with pytest.raises(FibsegError, match=r"suggestions\.json"):
        suggest.run(**arguments(store, model, tmp_path / "o"))
    for path in (tmp_path / "o" / "mitochondria").iterdir():
        tifffile.imread(path)
