from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fibseg.errors import DataError
from fibseg.export import ModelSpec, describe_model
from fibseg.pipeline.held_out import held_out_planes, require_folder
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE = (6, 16, 16)


def make_spec(training: dict[str, Any], classes: tuple[str, ...] = ("mito",)) -> ModelSpec:
    return describe_model(
        network={"name": "unet", "features": [4, 8]}, classes=classes, context=0,
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        receptive_field=9, stride_multiple=2, training=training, metrics={},
        spacing=(10.0, 10.0, 10.0),
    )


@pytest.fixture
def make_store(tmp_path: Path) -> Any:
    def make(*names: str, **classes: int) -> Volume:
        volume = Volume.create(tmp_path / "c.ome.zarr", shape=SHAPE, dtype="uint8",
                               spacing=(10.0, 10.0, 10.0), polarity="dark")
        volume.raw()[...] = 1
        finish_raw(volume)
        for name in names:
            product = volume.create_labels(
                name, kind="annotation", dtype="uint8", inputs=name,
                classes=classes or {"background": 1, "mito": 2},
            )
            labels = np.zeros(SHAPE, np.uint8)
            labels[[1, 4]] = 2
            product.array[...] = labels
            finish_product(product)
        return volume

    return make


def trained_on(
    volume: Volume, name: str, held: Any, kind: str = "planes", known_as: str = "c"
) -> ModelSpec:
    return make_spec({
        "volumes": [
            {"name": "other", "raw_digest": "x", "annotation": name, "annotation_digest": "y"},
            {"name": known_as, "raw_digest": volume.raw_digest, "annotation": name,
             "annotation_digest": volume.labels_info(name).digest},
        ],
        "split": {"kind": kind, "train_planes": {}, "held_out": {
            "other": [{"z": 99, "boxes": None}], known_as: held}},
    })


def test_held_out_planes_are_those_of_this_store(make_store: Any) -> None:
    volume = make_store("mito")
    held = held_out_planes(
        volume, trained_on(volume, "annotation_mito", [{"z": 4, "boxes": None}]), None
    )
    assert held.z == [4]
    assert held.boxes == {}
    assert held.classes == {"mito": 2}
    assert held.annotation == "annotation_mito"


def test_a_store_that_was_renamed_is_known_by_its_voxels(make_store: Any) -> None:
    volume = make_store("mito")
    spec = trained_on(volume, "annotation_mito", [{"z": 1, "boxes": None}], known_as="was_called")
    assert held_out_planes(volume, spec, None).z == [1]


def test_boxes_are_kept_and_called_too_good(make_store: Any) -> None:
    volume = make_store("mito")
    boxes = [[0, 2, 8, 10], [8, 8, 16, 16]]
    spec = trained_on(volume, "annotation_mito", [{"z": 1, "boxes": boxes}], kind="boxes")
    held = held_out_planes(volume, spec, None)
    assert held.boxes == {1: [(0, 2, 8, 10), (8, 8, 16, 16)]}
    assert "too good" in held.where


def test_values_of_classes_are_those_of_the_painting(make_store: Any) -> None:
    volume = make_store("all", background=1, er=2, mito=7)
    held = held_out_planes(volume, make_spec({}), "all")
    assert held.classes == {"mito": 7}
    assert held.z == [1, 4]


def test_on_another_store_the_painting_is_guessed_only_if_there_is_no_choice(
    make_store: Any,
) -> None:
    volume = make_store("mito", "nucleus")
    known = make_spec({"volumes": [{"raw_digest": "x", "annotation": "annotation_nucleus"}]})
    assert held_out_planes(volume, known, None).annotation == "annotation_nucleus"
    with pytest.raises(DataError, match=r"annotation_mito.*Say which is the truth with truth="):
        held_out_planes(volume, make_spec({}), None)
    assert held_out_planes(volume, make_spec({}), "mito").annotation == "annotation_mito"


def test_lone_painting_is_taken(make_store: Any) -> None:
    assert held_out_planes(make_store("any"), make_spec({}), None).annotation == "annotation_any"


def test_no_painting_and_no_class_are_refused(make_store: Any) -> None:
    with pytest.raises(DataError, match="kind=annotation"):
        held_out_planes(make_store(), make_spec({}), None)


def test_painting_of_other_classes_is_refused(make_store: Any) -> None:
    volume = make_store("mito")
    with pytest.raises(DataError, match="the model finds golgi"):
        held_out_planes(volume, make_spec({}, ("mito", "golgi")), None)


def test_nothing_held_out_is_refused(make_store: Any) -> None:
    volume = make_store("mito")
    spec = trained_on(volume, "annotation_mito", [], kind="none")
    with pytest.raises(DataError, match=r"data\.split=none"):
        held_out_planes(volume, spec, None)


def test_missing_folder(tmp_path: Path) -> None:
    assert require_folder(str(tmp_path)) == str(tmp_path)
    with pytest.raises(DataError, match="no model folder"):
        require_folder(str(tmp_path / "none"))


def test_reserved_planes_are_the_test(make_store: Any) -> None:
    volume = make_store("annotation_a")
    spec = trained_on(volume, "annotation_a", [{"z": 1, "boxes": None}])
    spec.training["split"]["reserved"] = {"other": [], "c": [4]}
    held = held_out_planes(volume, spec, None)
    assert (held.z, held.where, held.boxes) == ([4], "planes reserved for the test", {})
    spec.training["split"]["reserved"] = {"other": [3], "c": []}
    with pytest.raises(DataError, match=r"data\.reserved and no plane of c is among them"):
        held_out_planes(volume, spec, None)
