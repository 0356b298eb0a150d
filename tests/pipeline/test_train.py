from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted_cell import make_cell

from fibseg.cli import main
from fibseg.data import SparseData
from fibseg.errors import DataError, ExistsError, InterruptedRunError, UsageError
from fibseg.export import load_network, load_spec
from fibseg.export.constants import constants_of, trained_constants
from fibseg.models import NetworkSpec
from fibseg.pipeline import train
from fibseg.training import TrainerSettings

NETWORK = NetworkSpec(features=(4, 8), dropout=0.1)
DATA = SparseData(patch=32, batch=4, gap_nm=40.0)
TRAINER = TrainerSettings(max_time=None, max_steps=4, precision="32", threads=1)


def run(volume: Any, out: Path, **changes: Any) -> dict[str, Any]:
    keywords = {
        "annotation": "mitochondria", "network": NETWORK, "data": DATA, "trainer": TRAINER,
        "seed": 0, **changes,
    }
    volumes = [str(v.path) for v in volume] if isinstance(volume, list) else str(volume.path)
    return train.run(volume=volumes, out=str(out), **keywords)


def test_the_model_folder_tells_all(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    got = run(volume, tmp_path / "m", overrides=["trainer.max_steps=4"])
    network, spec = load_network(tmp_path / "m")
    assert not network.training
    assert spec.classes == ("mitochondria",)
    assert spec.spacing == (20.0, 20.0, 20.0)
    assert spec.training["overrides"] == ["trainer.max_steps=4"]
    assert spec.training["n_steps"] == 4
    assert spec.training["volumes"] == [{
        "name": "a", "raw_digest": volume.raw_digest, "annotation": "annotation_mitochondria",
        "annotation_digest": volume.labels_info("annotation_mitochondria").digest,
        "intensities": {"low": volume.percentiles["p0.5"], "high": volume.percentiles["p99.5"],
                        "polarity": "dark", "dtype": "uint8"},
    }]
    assert trained_constants(spec, "m") == constants_of(volume)
    split = spec.training["split"]
    assert split["kind"] == "planes"
    assert len(split["held_out"]["a"]) == 1
    scores = spec.metrics["classes"]["mitochondria"]
    assert {"iou", "dice", "precision", "recall", "boundary_f1", "object_f1_50"} <= set(scores)
    assert spec.metrics["planes"][0]["z"] == split["held_out"]["a"][0]["z"]
    assert spec.metrics["tolerance_nm"] == 40.0
    assert got["held_out"] == spec.metrics["classes"]
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "README.md", "model.json", "training", "weights.safetensors",
    ]
    assert "training on" in (tmp_path / "m/training/log.txt").read_text()


def test_a_finished_training_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    first = run(volume, tmp_path / "m")
    monkeypatch.setattr(train, "fit", None)
    second = run(volume, tmp_path / "m", trainer=TrainerSettings(
        max_time=None, max_steps=4, precision="32", threads=2, log_every=1,
    ))
    assert second == {**first, "already_finished": True}
    monkeypatch.setenv("SLURM_PROCID", "1")  # of several processes only the first tells
    assert run(volume, tmp_path / "m") is None


def test_a_second_process_that_is_stopped_ends_well(tmp_path: Path) -> None:
    """The signal comes after the training has begun, and before its first step."""
    volume = make_cell(tmp_path / "a.ome.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "volumes_tested", lambda *_: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(InterruptedRunError):
            run(volume, tmp_path / "m")
        patch.setenv("LOCAL_RANK", "1")
        assert run(volume, tmp_path / "m") is None
    assert not (tmp_path / "m" / "model.json").exists()


def test_a_model_is_kept_until_another_training_begins(tmp_path: Path) -> None:
    """Nothing painted: the new training does not begin, and costs no model."""
    run(make_cell(tmp_path / "1" / "a.ome.zarr"), tmp_path / "m")
    before = (tmp_path / "m" / "model.json").read_bytes()
    empty = make_cell(tmp_path / "2" / "a.ome.zarr", planes=())
    with pytest.raises(DataError, match="unlabelled"):
        run(empty, tmp_path / "m", overwrite=True)
    assert (tmp_path / "m" / "model.json").read_bytes() == before
    assert load_network(tmp_path / "m")


def test_changed_settings_are_named_and_overwrite_starts_again(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    run(volume, tmp_path / "m")
    with pytest.raises(ExistsError, match=r"seed was 0, is 1.*overwrite=true"):
        run(volume, tmp_path / "m", seed=1)
    with pytest.raises(ExistsError, match=r"data\.patch was 32, is 16"):
        run(volume, tmp_path / "m", data=SparseData(patch=16, batch=4, gap_nm=40.0))
    with pytest.raises(ExistsError, match="resume=never"):
        run(volume, tmp_path / "m", resume="never")
    got = run(volume, tmp_path / "m", seed=1, overwrite=True)
    assert not got["already_finished"]
    assert load_spec(tmp_path / "m").training["settings"]["seed"] == 1


def test_another_painting_is_another_training(tmp_path: Path) -> None:
    run(make_cell(tmp_path / "1" / "a.ome.zarr"), tmp_path / "m")
    with pytest.raises(ExistsError, match=r"volume\[0\]\.annotation_digest differs"):
        run(make_cell(tmp_path / "2" / "a.ome.zarr", planes=(1, 5, 9)), tmp_path / "m")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.tex").write_text("years of work")
    with pytest.raises(ExistsError, match="other files"):
        run(volume, tmp_path / "m", overwrite=True)
    assert (tmp_path / "m" / "thesis.tex").exists()


def test_three_classes_of_two_stores_on_coarser_pixels(tmp_path: Path) -> None:
    volumes = [
        make_cell(tmp_path / f"{n}.ome.zarr", n_classes=3, seed=i, planes=(0, 3, 6, 9))
        for i, n in enumerate("ab")
    ]
    got = run(
        volumes, tmp_path / "m", network=NetworkSpec(features=(4, 8), context=1),
        data=SparseData(patch=16, batch=4, pixel_nm=40.0),
    )
    spec = load_spec(tmp_path / "m")
    assert spec.spacing == (20.0, 40.0, 40.0)
    assert spec.context == 1
    assert set(got["held_out"]) == {"class_0", "class_1", "class_2"}
    assert {p["volume"] for p in spec.metrics["planes"]} == {"a", "b"}


def test_the_command_trains_on_several_stores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = [make_cell(tmp_path / f"{n}.ome.zarr", seed=i) for i, n in enumerate("abc")]
    words = [
        "train", f"volume=[{','.join(str(s.path) for s in stores)}]", "annotation=mitochondria",
        f"out={tmp_path}/m", "network.features=[4,8]", "data.patch=32", "data.batch=2",
        "data.gap_nm=40", "trainer.max_time=null", "trainer.max_steps=3", "trainer.precision=32",
        "trainer.threads=1",
    ]
    assert main(words) == 0
    spec = load_spec(tmp_path / "m")
    assert [v["name"] for v in spec.training["volumes"]] == ["a", "b", "c"]
    assert {p["volume"] for p in spec.metrics["planes"]} == {"a", "b", "c"}
    printed = capsys.readouterr().out
    assert "boundary F1" in printed
    assert f"fibseg infer model={tmp_path}/m volume={stores[0].path} name=mito" in printed


def test_folds_test_every_painted_plane_once(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr", planes=(0, 4, 8))
    held = []
    for fold in range(3):
        data = SparseData(patch=32, batch=2, gap_nm=40.0, folds=3, fold=fold)
        run(volume, tmp_path / f"{fold}", data=data)
        training = load_spec(tmp_path / f"{fold}").training
        (plane,) = training["split"]["held_out"]["a"]
        assert plane["z"] not in training["split"]["train_planes"]["a"]
        held.append(plane["z"])
    assert held == [0, 4, 8]


def test_a_gpu_that_is_not_there_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UsageError, match="trainer=cpu"):
        run(make_cell(tmp_path / "a.ome.zarr"), tmp_path / "m", trainer=TrainerSettings(
            accelerator="gpu",
        ))
    assert not (tmp_path / "m").exists()


def test_boxes_are_flagged_and_only_they_are_scored(tmp_path: Path) -> None:
    annotation = np.zeros((12, 80, 80), np.uint8)
    for i in range(5):
        annotation[4, 10:26, 15 * i + 2 : 15 * i + 14] = 1
        annotation[4, 14:20, 15 * i + 5 : 15 * i + 10] = 2
    volume = make_cell(tmp_path / "a.ome.zarr", annotation=annotation)
    got = run(volume, tmp_path / "m", data=SparseData(patch=32, batch=2, split="boxes"))
    spec = load_spec(tmp_path / "m")
    assert "too good" in got["note"]
    (held,) = spec.training["split"]["held_out"]["a"]
    assert held["z"] == 4
    assert len(held["boxes"]) == 1
    assert spec.metrics["classes"]["mitochondria"]["n_scored"] == 16 * 12


def test_nothing_held_out_is_said(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr", planes=(5,))
    with pytest.raises(DataError, match=r"1 annotated plane .*data\.split=boxes"):
        run(volume, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    got = run(volume, tmp_path / "m", data=SparseData(patch=32, batch=4, split="none"))
    assert "Nothing was held out" in got["note"]
    assert got["held_out"] == {}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("nothing painted", "unlabelled"), ("class missing", "nucleus .value 3. is painted on no"),
        ("no background", "background .value 1. is painted on no"),
        ("unknown value", "Plane 4 of the annotation of a has the value 9"),
        ("small", "less than a patch of 96"), ("no annotation", "no annotation 'cristae'"),
        ("no volume", "There is no volume"), ("other classes", "the classes"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path: Path, case: str, words: str) -> None:
    changes: dict[str, Any] = {}
    if case == "nothing painted":
        volume: Any = make_cell(tmp_path / "a.ome.zarr", planes=())
    elif case == "class missing":
        volume = make_cell(tmp_path / "a.ome.zarr", classes={"mitochondria": 2, "nucleus": 3})
    elif case == "no background":
        labels = np.full((12, 80, 80), 2, np.uint8)
        volume = make_cell(tmp_path / "a.ome.zarr", annotation=labels)
    elif case == "unknown value":
        labels = np.zeros((12, 80, 80), np.uint8)
        labels[[0, 4, 8], :40], labels[[0, 4, 8], 40:], labels[4, 3, 3] = 1, 2, 9
        volume = make_cell(tmp_path / "a.ome.zarr", annotation=labels)
    else:
        volume = make_cell(tmp_path / "a.ome.zarr")
    if case == "small":
        changes["data"] = SparseData(patch=96)
    if case == "no annotation":
        changes["annotation"] = "cristae"
    if case == "no volume":
        volume = type(volume)(tmp_path / "b.ome.zarr")
    if case == "other classes":
        other = make_cell(tmp_path / "b.ome.zarr", seed=1, classes={"lysosomes": 2})
        volume = [volume, other]
    with pytest.raises(DataError, match=words):
        run(volume, tmp_path / "m", **changes)
    assert not (tmp_path / "m").exists()


def test_wrong_words(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    with pytest.raises(UsageError, match="resume"):
        run(volume, tmp_path / "m", resume="yes")
    with pytest.raises(UsageError, match="1 volumes and 2 annotations"):
        run(volume, tmp_path / "m", annotation=["mitochondria", "nucleus"])
    with pytest.raises(UsageError, match="same name"):
        run([volume, volume], tmp_path / "m")


def test_a_pickle_as_checkpoint_is_refused(tmp_path: Path) -> None:
    import pickle

    volume = make_cell(tmp_path / "a.ome.zarr")
    run(volume, tmp_path / "m")
    (tmp_path / "m" / "model.json").unlink()
    for name in ("last.ckpt", "previous.ckpt"):
        (tmp_path / "m/training/checkpoints" / name).write_bytes(pickle.dumps({"a": object()}))
    with pytest.raises(DataError, match="overwrite=true"):
        run(volume, tmp_path / "m")


def test_the_log_level_is_put_back(tmp_path: Path) -> None:
    before = logging.getLogger("fibseg").level, len(logging.getLogger("fibseg").handlers)
    run(make_cell(tmp_path / "a.ome.zarr"), tmp_path / "m")
    assert before == (
        logging.getLogger("fibseg").level, len(logging.getLogger("fibseg").handlers)
    )


def test_equal_runs_give_equal_files(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    for name in "mn":
        run(volume, tmp_path / name)
    for file in ("weights.safetensors", "model.json", "README.md"):
        assert (tmp_path / "m" / file).read_bytes() == (tmp_path / "n" / file).read_bytes()
    json.loads((tmp_path / "m" / "model.json").read_text())


@pytest.mark.parametrize(
    ("data", "held_out"),
    [({"leave_out": "a"}, True), ({"split": "planes"}, True), ({"split": "none"}, False)],
)
def test_two_stores_of_one_image_are_refused_where_it_is_tested_on(
    tmp_path: Path, data: dict[str, Any], held_out: bool
) -> None:
    """The same cell, painted anew: it would be trained on under its other name."""
    volumes = [
        make_cell(tmp_path / f"{name}.ome.zarr", seed=seed, planes=planes)
        for name, seed, planes in (("a", 0, (0, 4)), ("repainted", 0, (1, 5)), ("b", 1, (0, 4)))
    ]
    chosen = SparseData(patch=32, batch=4, gap_nm=0.0, **data)
    if not held_out:
        assert run(volumes, tmp_path / "m", data=chosen)["held_out"] == {}
        return
    with pytest.raises(UsageError, match=r"a\.ome\.zarr and .*repainted\.ome\.zarr hold the same"):
        run(volumes, tmp_path / "m", data=chosen)
    assert not (tmp_path / "m").exists()
