"""Leave-one-cell-out: a multirun of trainings, then each model on the cell that it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from painted_cell import make_cell

from fibseg.cli import main

CELLS = ("a", "b", "c")


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loo")
    for seed, name in enumerate(CELLS):
        planes = (0, 4, 8) if name == "a" else (2, 7)
        make_cell(folder / f"{name}.ome.zarr", seed=seed, planes=planes)
    assert main(train(folder)) == 0
    return folder


def volumes(folder: Path, *names: str) -> str:
    return f"volume=[{','.join(f'{folder}/{n}.ome.zarr' for n in names)}]"


def train(folder: Path) -> list[str]:
    return [
        *("train", "-m", volumes(folder, *CELLS), "annotation=mitochondria", f"out={folder}/loo"),
        *(f"data.leave_out={','.join(CELLS)}", "network.features=[8,12]", "data.patch=32"),
        *("data.batch=4", "trainer.max_time=null", "trainer.max_steps=12", "trainer.threads=1"),
    ]


def models(folder: Path, *numbers: int) -> str:
    return f"model=[{','.join(f'{folder}/loo/{n}' for n in numbers)}]"


def test_each_model_was_trained_on_the_other_cells_and_tested_on_its_own(folds: Path) -> None:
    for number, name in enumerate(CELLS):
        model = json.loads((folds / "loo" / str(number) / "model.json").read_text())
        split = model["training"]["split"]
        assert split["left_out"] == name
        assert split["kind"] == "cell"
        assert split["train_planes"][name] == []
        assert all(split["train_planes"][other] for other in CELLS if other != name)
        assert {row["volume"] for row in model["metrics"]["planes"]} == {name}


def test_a_fold_that_is_finished_is_not_trained_again(folds: Path) -> None:
    weights = folds / "loo" / "1" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    (folds / "loo" / "2" / "model.json").unlink()
    assert main(train(folds)) == 0
    assert weights.stat().st_mtime_ns == before
    assert (folds / "loo" / "2" / "model.json").is_file()


def test_every_cell_is_scored_by_the_model_that_left_it_out(
    folds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folds / "scores.json"
    # The order of the models is not that of the volumes.
    words = [models(folds, 2, 0, 1), volumes(folds, *CELLS), f"out={out}"]
    assert main(["evaluate", *words]) == 0
    assert "mean of cells" in capsys.readouterr().out
    data = json.loads(out.read_text())
    rows = data["cells"]["mitochondria"]
    assert [(row["cell"], Path(row["model"]).name, row["n_planes"]) for row in rows] == [
        ("a", "0", 3), ("b", "1", 2), ("c", "2", 2)
    ]
    for number, row in enumerate(rows):
        model = json.loads((folds / "loo" / str(number) / "model.json").read_text())
        trained = model["metrics"]["classes"]["mitochondria"]["iou"]
        assert row["iou"]["value"] == pytest.approx(trained, abs=0.02)
    mean = data["mean"]["mitochondria"]["iou"]
    assert mean["value"] == pytest.approx(sum(row["iou"]["value"] for row in rows) / 3)
    assert mean["low"] <= mean["value"] <= mean["high"]
    assert (folds / "scores_iou.svg").is_file()


@pytest.mark.parametrize(
    ("numbers", "cells", "words"),
    [
        ((0, 1), "abc", "c.ome.zarr was left out by none of the models"),
        ((0, 1, 2), "ab", "lacks cells that were left out: c by"),
        ((0, 1), "aab", "names an image twice"),
    ],
)
def test_cells_and_models_have_to_fit(
    folds: Path, capsys: pytest.CaptureFixture[str], numbers: tuple[int, ...], cells: str,
    words: str,
) -> None:
    assert main(["evaluate", models(folds, *numbers), volumes(folds, *cells)]) == 2
    assert words in capsys.readouterr().err


def test_a_cell_that_was_trained_on_is_no_test(
    folds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", models(folds, 0), volumes(folds, "b")]) == 65
    assert "trained on all painted planes of b: it left out a" in capsys.readouterr().err
    assert main(["evaluate", models(folds, 0, 1), volumes(folds, "a", "b"), "planes=[0]"]) == 2
    assert "each model left out another" in capsys.readouterr().err


def test_a_name_that_is_no_volume_is_refused(
    folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [volumes(folds, *CELLS), "annotation=mitochondria", f"out={tmp_path}/m"]
    assert main(["train", *words, "data.leave_out=z", "data.patch=32"]) == 2
    assert "data.leave_out=z is not one of several volumes" in capsys.readouterr().err
