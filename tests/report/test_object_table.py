from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import DataError
from fibseg.pictures import OKABE_ITO
from fibseg.report import ObjectTable, color_range
from fibseg.report.object_table import table_data

ENOUGH = 10**7


def values(data: dict[str, Any]) -> dict[str, list[Any]]:
    lists = json.loads(zlib.decompress(base64.b64decode(data["values"])))
    return {c["name"]: v for c, v in zip(data["columns"], lists, strict=True)}


def described(columns: dict[str, Any], **words: Any) -> dict[str, dict[str, Any]]:
    data = table_data(ObjectTable(columns, **words), n_bytes=ENOUGH)
    return {c["name"]: c for c in data["columns"]}


@given(st.lists(st.floats(width=64), max_size=20))
def test_numbers_keep_five_digits_and_nan_is_null(numbers: list[float]) -> None:
    table = {"label": np.arange(len(numbers)), "value": np.array(numbers, float)}
    found = values(table_data(ObjectTable(table), n_bytes=ENOUGH))
    assert found["label"] == list(range(len(numbers)))
    for given_value, shown in zip(numbers, found["value"], strict=True):
        if np.isfinite(given_value):
            assert shown == pytest.approx(given_value, rel=5.1e-5, abs=0)
        else:
            assert shown is None


def test_types_tell_what_can_be_a_color() -> None:
    found = described({
        "label": np.arange(3), "n_voxels": np.arange(3), "volume_um3": np.array([1.0, 2, np.nan]),
        "touches_border": np.array([True, False, False]), "spatial_class": np.array(["b", "a", ""]),
        "surface_neighbour_1": np.arange(3), "surface_neighbour_1_um": np.ones(3),
        "bbox_z_start": np.arange(3),
    })
    assert {k: v["type"] for k, v in found.items()} == {
        "label": "identity", "n_voxels": "number", "volume_um3": "number",
        "touches_border": "class", "spatial_class": "class", "surface_neighbour_1": "identity",
        "surface_neighbour_1_um": "number", "bbox_z_start": "identity",
    }
    assert found["spatial_class"]["classes"] == ["a", "b"], "the empty word is no class"
    assert found["touches_border"]["classes"] == ["no", "yes"]
    assert found["volume_um3"]["range"] == [1.02, 1.98]


def test_classes_come_in_the_order_given_and_all_of_them() -> None:
    words = np.array(["far", "near", "near", "else"])
    colors = {"near": OKABE_ITO[0], "middle": (1, 1, 1), "far": (2, 2, 2)}
    found = described({"label": np.arange(4), "c": words}, classes={"c": colors})["c"]
    assert found["classes"] == ["near", "far", "else"]
    assert found["colors"] == [OKABE_ITO[0], (2, 2, 2), OKABE_ITO[1]]
    assert found["counts"] == [2, 1, 1]


def test_many_words_are_text() -> None:
    found = described({"label": np.arange(40), "name": np.array([f"n{i}" for i in range(40)])})
    assert found["name"]["type"] == "text"
    assert "classes" not in found["name"]


@pytest.mark.parametrize("n_bytes", [20_000, 3_000, 300, 10])
def test_beyond_the_budget_the_largest_stay(n_bytes: int) -> None:
    rng = np.random.default_rng(0)
    n = 5000
    table = {"label": np.arange(1, n + 1), "volume_um3": rng.random(n)}
    data = table_data(ObjectTable(table), n_bytes=n_bytes)
    found = values(data)
    assert data["n_objects"] == n
    assert len(data["values"]) <= n_bytes or data["n_rows"] == 0
    assert data["n_rows"] == len(found["label"]) < n
    kept = set(found["label"])
    smallest = min(table["volume_um3"][label - 1] for label in kept) if kept else 2.0
    left = np.delete(table["volume_um3"], [label - 1 for label in kept])
    assert left.max() <= smallest
    assert found["label"] == sorted(found["label"])


def test_range_leaves_out_extremes_and_what_is_missing() -> None:
    rng = np.random.default_rng(1)
    numbers = np.append(rng.random(1000), [1e9, np.nan, np.inf])
    low, high = color_range(numbers) or (0, 0)
    assert (low, high) == tuple(np.percentile(numbers[np.isfinite(numbers)], (2, 98)))
    assert high < 1
    assert color_range(np.array([np.nan])) is None
    assert color_range(np.zeros(0)) is None


@pytest.mark.parametrize(
    "columns",
    [{}, {"volume_um3": np.ones(2)}, {"label": np.arange(3), "volume_um3": np.ones(2)}],
)
def test_a_table_that_does_not_fit_is_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="lengths"):
        table_data(ObjectTable(columns), n_bytes=ENOUGH)


def test_what_is_not_there_is_not_shown_first() -> None:
    table = ObjectTable({"label": np.arange(2)}, color_by="gone", shown=("label", "gone"))
    data = table_data(table, n_bytes=ENOUGH)
    assert data["color_by"] == ""
    assert data["shown"] == ["label"]
