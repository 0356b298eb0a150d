"""Training on rotated planes of numbered objects: the model, what is held out, the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import noise_store

from fibseg.data import ObliqueData, SparseData
from fibseg.errors import UsageError
from fibseg.export import load_spec
from fibseg.models import NetworkSpec
from fibseg.pipeline import evaluate, train
from fibseg.pipeline.pyramid import finish_product
from fibseg.training import TrainerSettings
from fibseg.volume import Volume

SHAPE = (48, 48, 120)
NETWORK = NetworkSpec(features=(8, 16), dropout=0.0)
DATA = ObliqueData(patch=32, batch=8, foreground=0.5, test_planes=4)
TRAINER = TrainerSettings(
    max_time=None, max_steps=60, precision="32", threads=1, learning_rate=0.01, n_pictures=1
)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """Dark balls in a bright volume."""
    z, y, x = np.indices(SHAPE)
    balls = (z % 24 - 12) ** 2 + (y % 24 - 12) ** 2 + (x % 24 - 12) ** 2 < 49
    noise = np.random.default_rng(0).normal(0, 10, SHAPE)
    image = np.clip(np.where(balls, 60, 160) + noise, 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("balls") / "cell.ome.zarr"
    volume = noise_store(path, shape=SHAPE, image=image)
    product = volume.create_labels("balls", kind="labels", dtype=np.uint32, inputs="x")
    product.array[:] = balls
    finish_product(product)
    return volume


def run(cell: Volume, out: Path, **changes: Any) -> dict[str, Any] | None:
    given = {"annotation": "labels/balls", "network": NETWORK, "data": DATA, "trainer": TRAINER}
    return train.run(volume=str(cell.path), out=str(out), **{**given, **changes})


def test_a_model_of_rotated_planes_is_tested_in_another_part(cell: Volume, tmp_path: Path) -> None:
    got = run(cell, tmp_path / "m")
    spec = load_spec(tmp_path / "m")
    assert spec.classes == ("balls",)
    assert spec.spacing == (20.0, 20.0, 20.0)
    split = spec.training["split"]
    assert split["kind"] == "space"
    assert split["planes"] == "oblique"
    parts = split["parts"]["cell"]
    assert parts["train"][5] < parts["validation"][2] < parts["validation"][5] < parts["test"][2]
    boxes = {tuple(b) for h in split["held_out"]["cell"] for b in h["boxes"]}
    assert boxes == {(*parts["test"][1:3], *parts["test"][4:6])}
    assert got is not None
    assert got["held_out"]["balls"]["iou"] > 0.8
    found = evaluate.run(model=str(tmp_path / "m"), volume=str(cell.path))
    assert found.where == "planes of a held-out part of the volume"
    assert found.scores["balls"]["iou"] == pytest.approx(got["held_out"]["balls"]["iou"], abs=1e-9)
    again = run(cell, tmp_path / "m")
    assert again is not None
    assert again["already_finished"]


def test_numbered_objects_are_no_sparse_paint(cell: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="data=rotated or data=oblique"):
        run(cell, tmp_path / "m", data=SparseData(patch=32))
    assert not (tmp_path / "m").exists()


def test_with_nothing_held_out_nothing_is_said_of_quality(cell: Volume, tmp_path: Path) -> None:
    got = run(
        cell, tmp_path / "m", data=replace(DATA, split="none"),
        trainer=replace(TRAINER, max_steps=2),
    )
    assert got is not None
    assert not got["held_out"]
    assert "Nothing was held out" in got["note"]
