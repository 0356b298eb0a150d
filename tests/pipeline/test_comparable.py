from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fibseg.errors import DataError, UsageError
from fibseg.metrics import Overlap, Scores
from fibseg.pipeline.comparable import (
    chosen_planes,
    in_short,
    label_info,
    painted_class,
    require_truth,
    truth_info,
)
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import ProductInfo, Volume


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    path = tmp_path_factory.mktemp("comparable") / "cell.ome.zarr"
    volume = Volume.create(
        path, shape=(2, 8, 8), dtype="uint8", spacing=(5.0, 5.0, 5.0), polarity="dark"
    )
    volume.raw()[...] = 1
    finish_raw(volume)
    for name, kind in (("cells", "labels"), ("golgi", "annotation")):
        product = volume.create_labels(name, kind=kind, dtype="uint8", inputs=name)
        product.array[...] = 1
        finish_product(product)
    return volume


def info(kind: str, **classes: int) -> ProductInfo:
    return ProductInfo(
        name="t", kind=kind, classes=classes, digest="", inputs="", derived_from=None,
        complete=True,
    )


def test_truth_may_be_named_without_its_prefix(store: Volume) -> None:
    assert truth_info(store, "golgi").name == "annotation_golgi"
    assert truth_info(store, "annotation_golgi").name == "annotation_golgi"
    assert truth_info(store, "cells").kind == "labels"


def test_missing_labels_name_the_key_and_what_is_there(store: Volume) -> None:
    with pytest.raises(DataError, match=r"truth=er: .*\['annotation_golgi', 'cells'\]"):
        truth_info(store, "er")
    with pytest.raises(DataError, match="labels=golgi: "):
        label_info(store, "golgi", "labels")


@pytest.mark.parametrize(
    ("classes", "class_name", "labels", "want"),
    [
        ({"background": 1, "mito": 2}, None, "anything", ("mito", 2)),
        ({"background": 1, "mito": 2, "er": 3}, None, "er", ("er", 3)),
        ({"background": 1, "mito": 2, "er": 3}, "mito", "er", ("mito", 2)),
    ],
)
def test_class_of_painting(
    classes: dict[str, int], class_name: str | None, labels: str, want: tuple[str, int]
) -> None:
    assert painted_class(info("annotation", **classes), class_name, labels) == want


def test_numbered_objects_have_one_class_of_the_name_of_the_labels() -> None:
    assert painted_class(info("labels"), None, "mito") == ("mito", 2)


@pytest.mark.parametrize(
    ("classes", "class_name"),
    [({"a": 2, "b": 3}, None), ({"a": 2}, "background"), ({"background": 1}, None), ({}, None)],
)
def test_unclear_class(classes: dict[str, int], class_name: str | None) -> None:
    with pytest.raises(UsageError, match=r"class_name=…"):
        painted_class(info("annotation", **classes), class_name, "labels")


def test_planes_come_once_and_in_order(store: Volume) -> None:
    assert chosen_planes([1, 5, 9], None, store, "t") == [1, 5, 9]
    assert chosen_planes([1, 5, 9], [9, 1, 9], store, "t") == [1, 9]
    with pytest.raises(DataError, match=r"no truth on \[2\]. It has it on 1, 5, 9"):
        chosen_planes([1, 5, 9], [1, 2], store, "t")
    with pytest.raises(DataError, match="nothing to score"):
        chosen_planes([], None, store, "t")


def test_truth_without_the_class_is_refused() -> None:
    mask = np.zeros((1, 2, 2), bool)
    require_truth(Scores(overlap=Overlap().update(mask, ~mask)), "t")
    with pytest.raises(DataError, match="t has no voxel of the class"):
        require_truth(Scores(overlap=Overlap().update(~mask, mask)), "t")


def test_many_planes_in_short() -> None:
    assert in_short([3, 4]) == "3, 4"
    assert in_short(range(12)).count(",") == 11
    assert in_short(range(13)).endswith("11 … 12")


def test_store_is_untouched(store: Volume) -> None:
    assert Path(store.path).is_dir()
    assert store.runs() == []
