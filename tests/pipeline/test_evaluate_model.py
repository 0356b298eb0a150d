from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec, describe_model, save_model_folder
from fibseg.inference import predict_planes
from fibseg.metrics import Comparison, score_planes
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple
from fibseg.pipeline import evaluate
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE = (12, 64, 80)
SPACING = (30.0, 10.0, 10.0)
CLASSES = {"background": 1, "nucleus": 2, "mitochondria": 3}


def painted() -> np.ndarray:
    """Planes 1, 4, 7 and 10, left of x = 60, with all classes."""
    rng = np.random.default_rng(0)
    annotation = np.zeros(SHAPE, np.uint8)
    for z in (1, 4, 7, 10):
        annotation[z, :, :60] = rng.integers(1, 4, (8, 6)).repeat(8, 0).repeat(10, 1)
    return annotation


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    path = tmp_path_factory.mktemp("held") / "cell.ome.zarr"
    volume = Volume.create(path, shape=SHAPE, dtype="uint8", spacing=SPACING, polarity="dark")
    volume.raw()[...] = np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8)
    finish_raw(volume)
    for name in ("mito", "empty"):
        product = volume.create_labels(
            name, kind="annotation", dtype="uint8", inputs=name,
            classes=CLASSES if name == "mito" else {"background": 1, "golgi": 2},
        )
        product.array[...] = painted() if name == "mito" else 0
        finish_product(product)
    return volume


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, ModelSpec]:
    network = NetworkSpec(features=(4, 8))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_network(network, in_channels=1, n_classes=2).eval()
    spec = describe_model(
        network={"name": "unet", "features": [4, 8], "dropout": 0.1, "norm": "batch", "context": 0},
        classes=["nucleus", "mitochondria"], context=0,
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        receptive_field=receptive_margin(network), stride_multiple=stride_multiple(network),
        training={}, metrics={}, spacing=SPACING,
    )
    return module, spec


Folder = Callable[..., str]


@pytest.fixture
def folder(trained: tuple[nn.Module, ModelSpec], store: Volume, tmp_path: Path) -> Folder:
    """Writes the model as if trained on the store with this split."""

    def write(kind: str, held: list[dict[str, Any]], **source: str) -> str:
        network, spec = trained
        training = {
            "volumes": [{
                "name": "cell", "raw_digest": store.raw_digest,
                "annotation": "annotation_mito",
                "annotation_digest": store.labels_info("annotation_mito").digest, **source,
            }],
            "split": {"kind": kind, "train_planes": {"cell": [1]}, "held_out": {"cell": held}},
        }
        path = tmp_path / f"model-{kind}"
        save_model_folder(path, network, replace(spec, training=training), overwrite=True)
        return str(path)

    return write


def expected(
    trained: tuple[nn.Module, ModelSpec], store: Volume, z: list[int], annotation: np.ndarray
) -> dict[str, dict[str, float]]:
    """Scores by predicting and scoring all planes at once."""
    network, spec = trained
    probs = np.stack(list(predict_planes(network, spec, store, z, backend="torch")))
    return {
        name: score_planes(
            probs[:, i] >= 128, annotation[z], value=CLASSES[name], spacing=SPACING
        ).compute()
        for i, name in enumerate(spec.classes)
    }


def test_held_out_planes_are_predicted_by_infer_and_scored(
    trained: tuple[nn.Module, ModelSpec], store: Volume, folder: Folder
) -> None:
    model = folder("planes", [{"z": 4, "boxes": None}, {"z": 7, "boxes": None}])
    result = evaluate.run(volume=str(store.path), model=model, backend="torch")
    want = expected(trained, store, [4, 7], painted())
    assert list(result.scores) == ["nucleus", "mitochondria"]
    for name, scores in result.scores.items():
        assert scores == pytest.approx(want[name], nan_ok=True)
    assert list(result.planes["nucleus"]) == [4, 7]
    assert result.where == "held-out planes"
    assert "nucleus" in result.text()
    record = next(r for r in store.runs() if r["metrics"] == result.as_dict())
    assert set(record["inputs"]) == {"raw", "model"}


def test_only_what_lies_in_held_out_boxes_counts(
    trained: tuple[nn.Module, ModelSpec], store: Volume, folder: Folder
) -> None:
    model = folder("boxes", [{"z": 4, "boxes": [[0, 0, 30, 40], [40, 10, 64, 50]]}])
    result = evaluate.run(volume=str(store.path), model=model, backend="torch")
    annotation = painted()
    kept = np.zeros_like(annotation)
    kept[4, :30, :40] = annotation[4, :30, :40]
    kept[4, 40:64, 10:50] = annotation[4, 40:64, 10:50]
    want = expected(trained, store, [4], kept)
    assert result.scores["mitochondria"] == pytest.approx(want["mitochondria"], nan_ok=True)
    assert result.scores["mitochondria"]["n_scored"] == 30 * 40 + 24 * 40
    assert "trained on" in result.where


def test_all_painting_counts_on_a_volume_that_was_not_trained_on(
    trained: tuple[nn.Module, ModelSpec], store: Volume, folder: Folder
) -> None:
    model = folder("planes", [{"z": 4, "boxes": None}], raw_digest="another")
    result = evaluate.run(volume=str(store.path), model=model, backend="torch")
    assert list(result.planes["nucleus"]) == [1, 4, 7, 10]
    want = expected(trained, store, [1, 4, 7, 10], painted())
    assert result.scores["nucleus"] == pytest.approx(want["nucleus"], nan_ok=True)
    chosen = evaluate.run(
        volume=str(store.path), model=model, truth="mito", planes=[7], backend="torch"
    )
    assert list(chosen.planes["nucleus"]) == [7]


def test_painting_that_changed_since_is_scored_and_said(
    store: Volume, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    model = folder("planes", [{"z": 4, "boxes": None}], annotation_digest="older")
    evaluate.run(volume=str(store.path), model=model, backend="torch")
    assert "not what the model was trained on any more" in caplog.text


def test_what_cannot_be_tested_is_one_clear_error(store: Volume, folder: Folder) -> None:
    volume = str(store.path)
    with pytest.raises(DataError, match=r"split=none and nothing of it was held out"):
        evaluate.run(volume=volume, model=folder("none", []))
    held = folder("planes", [{"z": 4, "boxes": None}])
    with pytest.raises(DataError, match=r"has the classes .*golgi.* finds nucleus, mitochondria"):
        evaluate.run(volume=volume, model=held, truth="empty")
    with pytest.raises(DataError, match=r"no truth on \[5\]"):
        evaluate.run(volume=volume, model=held, planes=[5])
    with pytest.raises(DataError, match="no model folder"):
        evaluate.run(volume=volume, model="models/none")
    with pytest.raises(UsageError, match="without=… goes with labels"):
        evaluate.run(volume=volume, model=held, without="mito")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """A second cell with the same painting."""
    path = tmp_path_factory.mktemp("other") / "other.ome.zarr"
    volume = Volume.create(path, shape=SHAPE, dtype="uint8", spacing=SPACING, polarity="dark")
    volume.raw()[...] = np.random.default_rng(5).integers(0, 255, SHAPE, np.uint8)
    finish_raw(volume)
    product = volume.create_labels(
        "mito", kind="annotation", dtype="uint8", inputs="mito", classes=CLASSES
    )
    product.array[...] = painted()
    finish_product(product)
    return volume


def test_several_volumes_are_scored_one_by_one_and_together(
    trained: tuple[nn.Module, ModelSpec], store: Volume, another: Volume, folder: Folder,
    tmp_path: Path,
) -> None:
    model = folder("planes", [{"z": 4, "boxes": None}, {"z": 7, "boxes": None}])
    out = tmp_path / "scores" / "both.json"
    result = evaluate.run(
        volume=[str(store.path), str(another.path)], model=model, backend="torch", out=str(out)
    )
    network, spec = trained
    known = [store, another]
    pairs = [(known[0], [4, 7]), (known[1], [1, 4, 7, 10])]
    probs = [
        np.stack(list(predict_planes(network, spec, s, z, backend="torch"))) for s, z in pairs
    ]
    truth = np.concatenate([painted()[z] for _, z in pairs])
    for i, name in enumerate(spec.classes):
        want = score_planes(
            np.concatenate(probs)[:, i] >= 128, truth, value=CLASSES[name], spacing=SPACING
        ).compute()
        assert result.scores[name] == pytest.approx(want, nan_ok=True)
        assert result.thresholds[name].at_half["iou"].value == pytest.approx(want["iou"])
        assert result.thresholds[name].volumes == (0, 0, 1, 1, 1, 1)
    assert result.where == "held-out planes; painted planes of a volume that was not trained on"
    own = next(r for r in reversed(another.runs()) if r["verb"] == "evaluate")
    assert own["metrics"]["volume"] == another.name
    assert list(own["metrics"]["planes"]["nucleus"]) == ["1", "4", "7", "10"]
    assert "6 planes of 2 volumes" in result.text()
    assert {p.name for p in out.parent.iterdir()} == {
        "both.json", *(f"both_{n}.{k}" for n in spec.classes for k in ("svg", "png"))
    }


def test_what_several_volumes_cannot_have_is_refused(
    store: Volume, another: Volume, folder: Folder
) -> None:
    model = folder("planes", [{"z": 4, "boxes": None}])
    both = [str(store.path), str(another.path)]
    with pytest.raises(UsageError, match="those of one volume"):
        evaluate.run(volume=both, model=model, planes=[4])
    with pytest.raises(UsageError, match="the same image"):
        evaluate.run(volume=[both[0], both[0]], model=model)
    with pytest.raises(UsageError, match="one volume at a time"):
        evaluate.run(volume=both, labels="a", truth="b")
    with pytest.raises(UsageError, match="names no store"):
        evaluate.run(volume=[], model=model)


def with_planes(folder: Folder, tmp_path: Path, n: int, held: int = 4) -> str:
    """A model that was trained on `n` planes."""
    path = Path(folder("planes", [{"z": held, "boxes": None}]))
    target = tmp_path / f"trained-on-{n}"
    path.rename(target)
    spec = json.loads((target / "model.json").read_text())
    spec["training"]["split"]["train_planes"]["cell"] = list(range(100, 100 + n))
    (target / "model.json").write_text(json.dumps(spec))
    return str(target)


def test_models_are_compared_on_the_same_planes(
    store: Volume, folder: Folder, tmp_path: Path
) -> None:
    models = [with_planes(folder, tmp_path, n) for n in (2, 8)]
    out = tmp_path / "curve.json"
    found = evaluate.run(volume=str(store.path), model=models, backend="torch", out=str(out))
    assert isinstance(found, Comparison)
    assert found.is_learning_curve
    rows = json.loads(out.read_text())["compared"]["nucleus"]
    assert [(r["model"], r["n_planes"]) for r in rows] == [("trained-on-2", 2), ("trained-on-8", 8)]
    alone = evaluate.run(volume=str(store.path), model=models[0], backend="torch")
    assert rows[0]["iou"]["value"] == alone.scores["nucleus"]["iou"]
    assert rows[1]["gain"]["value"] == 0  # the same weights
    assert {"curve_iou.svg", "curve_iou.png"} <= {p.name for p in tmp_path.iterdir()}
    assert "trained-on-8" in found.text()
    assert any(
        len([key for key in run["inputs"] if key.startswith("model/")]) == 2
        for run in store.runs()
    )


def test_models_that_cannot_be_compared_are_refused(
    store: Volume, folder: Folder, tmp_path: Path
) -> None:
    first = with_planes(folder, tmp_path, 3)
    other = with_planes(folder, tmp_path, 5, held=7)
    with pytest.raises(UsageError, match=r"planes \[4\] were held out .*\[7\] of"):
        evaluate.run(volume=str(store.path), model=[first, other])
    with pytest.raises(UsageError, match="names a model twice"):
        evaluate.run(volume=str(store.path), model=[first, first])
