"""One model of three classes, from the painting of the phantom to a probability map of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fibseg.data import SparseData
from fibseg.export import load_spec
from fibseg.models import NetworkSpec
from fibseg.pipeline import infer, ingest, phantom, train
from fibseg.training import TrainerSettings
from fibseg.volume import Volume

CLASSES = ("mitochondria", "nucleus", "cytosol")
SPACING = (20.0, 20.0, 20.0)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the phantom, its store and a model that was trained and applied."""
    folder = tmp_path_factory.mktemp("three")
    store = str(folder / "cell.ome.zarr")
    phantom.run(
        out=folder / "sample", shape=(24, 112, 112), seed=1, pores=False, every=6, fraction=0.35
    )
    ingest.run(source=folder / "sample/stack", volume=store, spacing=SPACING, polarity="dark")
    ingest.run(
        source=folder / "sample/painted_organelles.tif", volume=store, kind="annotation",
        name="organelles", classes=dict(zip(CLASSES, (2, 3, 4), strict=True)),
    )
    train.run(
        volume=store, annotation="organelles", out=str(folder / "model"),
        network=NetworkSpec(features=(12, 24, 48, 64)),
        data=SparseData(patch=64, batch=4, foreground=0.75),
        trainer=TrainerSettings(max_time=None, max_steps=120, precision="32", threads=1),
    )
    infer.run(
        model=str(folder / "model"), volume=store, name="em", backend="torch", precision="float32"
    )
    return folder


@pytest.fixture(scope="module")
def probs(done: Path) -> NDArray[np.int64]:
    """Probabilities 0 to 255 of background and the three classes, shape (4, z, y, x)."""
    store = Volume.open(done / "cell.ome.zarr")
    classes = np.stack([store.probabilities(f"em_{c}")[:] for c in CLASSES]).astype(np.int64)
    return np.concatenate([255 - classes.sum(0, keepdims=True), classes])


def test_the_model_knows_three_classes_and_how_well_each_is_found(done: Path) -> None:
    spec = load_spec(done / "model")
    assert spec.classes == CLASSES
    scores = spec.metrics["classes"]
    assert set(scores) == set(CLASSES)
    for name in CLASSES:
        assert 0 <= scores[name]["iou"] <= 1
        assert scores[name]["n_scored"] > 0
    assert all(set(plane["classes"]) == set(CLASSES) for plane in spec.metrics["planes"])


def test_each_class_has_its_probabilities_and_background_is_the_rest(
    done: Path, probs: NDArray[np.int64]
) -> None:
    store = Volume.open(done / "cell.ome.zarr")
    assert sorted(store.probability_names()) == sorted(f"em_{c}" for c in CLASSES)
    # Each class is rounded by itself, hence 2 of 255.
    assert probs.min() >= -2
    truth = tifffile.imread(done / "sample/truth_organelles.tif")
    assert probs[0][truth == 1].mean() > 2 * probs[0][truth != 1].mean()


def test_the_classes_are_found(done: Path, probs: NDArray[np.int64]) -> None:
    truth = tifffile.imread(done / "sample/truth_organelles.tif")
    found = probs.argmax(0) + 1
    iou = {
        name: ((found == v) & (truth == v)).sum() / ((found == v) | (truth == v)).sum()
        for v, name in enumerate(("background", *CLASSES), start=1)
    }
    # To say "nucleus" everywhere scores its share of the volume, a fifth.
    assert (truth == 3).mean() < 0.25
    assert iou["nucleus"] > 0.6
    assert (found == truth).mean() > 0.7, iou
