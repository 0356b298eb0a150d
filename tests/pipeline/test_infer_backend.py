"""A product keeps the backend that began it, and is no other one because of another backend."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from inference_fakes import random_model
from stores import noise_store

from fibseg.blocks import Serial
from fibseg.errors import ExistsError, PartlyDoneError
from fibseg.export import save_model_folder
from fibseg.inference import Backend, ModelBlocks, Wish
from fibseg.pipeline import infer, infer_backend, probabilities
from fibseg.volume import Product

ONNX, TORCH = Backend("onnxruntime", "float32"), Backend("torch", "float32")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model_folder(
        tmp_path_factory.mktemp("m") / "m", *random_model(features=(4, 4), n_classes=2)
    )


@pytest.fixture
def store(tmp_path):
    # Zarr 2 has no shards, so that a small volume has two blocks.
    return noise_store(tmp_path / "c.ome.zarr", shape=(70, 40, 40), ome_version="0.4")


@pytest.fixture(autouse=True)
def fastest_is(monkeypatch):
    """Says which backend measured fastest; by default torch."""
    found = {"now": TORCH}
    monkeypatch.setattr(infer_backend, "fastest", lambda wish, *_, **__: (
        found["now"] if wish.allows(found["now"]) else wish.candidates()[0]
    ))
    return found


def run(model: Path, store, **keywords):
    return infer.run(
        model=str(model), volume=str(store.path), name="m", blocks=Serial(), **keywords
    )


def backends(store):
    return [store.probabilities_info(f"m_class{i}").attributes["backend"]["name"] for i in (0, 1)]


def test_the_same_command_is_done_with_whichever_backend_is_fastest_today(
    model, store, fastest_is, monkeypatch
):
    run(model, store, precision="float32")
    assert backends(store) == ["torch", "torch"]
    monkeypatch.setattr(probabilities, "map_blocks", None)
    fastest_is["now"] = ONNX
    for wish in ({}, {"backend": "onnxruntime"}, {"backend": "torch", "precision": "float32"}):
        made = run(model, store, **wish)
        assert set(made.values()) == {"made before"}, wish
    assert backends(store) == ["torch", "torch"]
    with pytest.raises(ExistsError, match="overwrite=true"):
        run(model, store, precision="bfloat16")


def test_another_backend_gives_the_same_within_a_grey_value(model, store):
    run(model, store, backend="torch", precision="float32")
    before = store.probabilities("m_class0")[:]
    Product(store.path / "probabilities" / "m_class0").discard()
    Product(store.path / "probabilities" / "m_class1").discard()
    run(model, store, backend="onnxruntime")
    assert backends(store) == ["onnxruntime", "onnxruntime"]
    after = store.probabilities("m_class0")[:]
    assert before.std() > 5
    assert np.abs(after.astype(int) - before.astype(int)).max() <= 1


@pytest.fixture
def half_done(model, store, monkeypatch):
    """The first block was made by torch, the second failed."""
    computed: list[tuple[str, int]] = []
    call = ModelBlocks.__call__

    def noted(task, *arrays, block):
        computed.append((task.backend.name, block.index))
        if len(computed) == 2:
            raise OSError("a disk that was taken away")
        return call(task, *arrays, block=block)

    monkeypatch.setattr(ModelBlocks, "__call__", noted)
    with pytest.raises(PartlyDoneError):
        run(model, store, precision="float32")
    assert [name for name, _ in computed] == ["torch", "torch"]
    return computed


def test_what_was_begun_goes_on_with_its_backend(model, store, half_done, fastest_is):
    fastest_is["now"] = ONNX
    run(model, store, precision="float32")
    assert half_done[2:] == [("torch", half_done[1][1])], "only the block that failed, by torch"
    assert backends(store) == ["torch", "torch"]


def test_another_backend_by_name_begins_anew(model, store, half_done, caplog):
    with caplog.at_level(logging.WARNING, "fibseg.infer"):
        run(model, store, backend="onnxruntime")
    assert {name for name, _ in half_done[2:]} == {"onnxruntime"}
    assert len({index for _, index in half_done[2:]}) == 2, "no block of torch is left"
    assert backends(store) == ["onnxruntime", "onnxruntime"]
    assert "was begun by torch and is made anew" in caplog.text


def test_a_lost_map_is_made_by_the_backend_of_its_sister(model, store, fastest_is):
    run(model, store, precision="float32")
    wanted = store.probabilities_info("m_class0").digest
    Product(store.path / "probabilities" / "m_class0").discard()
    fastest_is["now"] = ONNX
    run(model, store, precision="float32")
    assert backends(store) == ["torch", "torch"]
    assert store.probabilities_info("m_class0").digest == wanted


def test_a_backend_that_is_not_there_any_more_is_not_gone_on_with(
    model, store, half_done, monkeypatch, fastest_is
):
    fastest_is["now"] = ONNX
    allows = Wish.allows
    monkeypatch.setattr(Wish, "allows", lambda w, b: b.name != "torch" and allows(w, b))
    run(model, store, precision="float32")
    assert backends(store) == ["onnxruntime", "onnxruntime"]


@pytest.mark.parametrize("means", [None, "torch", {"name": "torch"}, {"name": 1, "extra": 2}])
def test_records_of_other_releases_are_not_understood(store, means):
    attributes = {} if means is None else {"backend": means}
    store.create_probabilities("m", inputs="0" * 64, attributes=attributes)
    assert infer_backend._begun(store, "m") is None
