"""The model card says what a person must know, and the same of the same model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fibseg.errors import DataError
from fibseg.export import ModelSpec, describe_model
from fibseg.export.card import model_card
from fibseg.export.schema import exact_keys, is_number, names, positive_numbers, whole_number


def make_spec(**changes: Any) -> ModelSpec:
    values: dict[str, Any] = {
        "network": {"name": "unet", "features": [8, 16]}, "classes": ["mitochondria", "nucleus"],
        "normalisation": {"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        "context": 1, "receptive_field": 9, "stride_multiple": 2, "training": {}, "metrics": {},
        "spacing": (50.0, 16.25, 16.25),
    }
    return describe_model(**{**values, **changes})


def test_the_card_names_what_decides_whether_a_model_fits() -> None:
    text = model_card(make_spec())
    for words in (
        "| classes | background, mitochondria, nucleus |",
        "| working spacing (z, y, x) | 50 x 16.25 x 16.25 nm |",
        "| input planes | 3 |", "| receptive radius | 9 px |", "percentile 0.5 to 0 and 99.5 to 1",
        "stain bright", "fibseg infer model=THIS_FOLDER volume=cell.ome.zarr",
    ):
        assert words in text


def test_what_is_not_known_is_said() -> None:
    assert model_card(make_spec()).count("Not recorded.") == 2
    text = model_card(make_spec(training={"volumes": ["a"]}, metrics={"iou": 0.625}))
    assert "Not recorded." not in text
    blocks = [part.split("```")[0] for part in text.split("```json\n")[1:]]
    assert [json.loads(b) for b in blocks] == [{"volumes": ["a"]}, {"iou": 0.625}]


def test_equal_models_have_equal_cards() -> None:
    assert model_card(make_spec()) == model_card(make_spec())
    assert model_card(make_spec()) != model_card(make_spec(context=0))


@pytest.mark.parametrize("value", [True, 1.0, "3", None, -1, 4])
def test_a_whole_number_is_one(value: object) -> None:
    with pytest.raises(DataError, match=r"window\.margin is .* whole number >= 5.*fibseg train"):
        whole_number(value, "window.margin", least=5)
    assert whole_number(5, "window.margin", least=5) == 5


@pytest.mark.parametrize("value", [(1, 2), (1, 2, 0), (1, 2, float("nan")), "123", 3, (1, 2, True)])
def test_sizes_are_finite_and_above_0(value: object) -> None:
    with pytest.raises(DataError, match=r"spacing is .* not 3 numbers above 0"):
        positive_numbers(value, "spacing", n=3)
    assert positive_numbers([1, 2.5, 3], "spacing", n=3) == (1.0, 2.5, 3.0)


@pytest.mark.parametrize(
    "value", [[], ["a", "a"], ["../a"], ["a/b"], [""], [".hidden"], ["a b"], [1], "ab", None]
)
def test_a_class_can_be_the_name_of_a_folder(value: object) -> None:
    with pytest.raises(DataError, match=r"classes is .* not a list of different names"):
        names(value, "classes")
    assert names(["a", "b-2_c.d"], "classes") == ("a", "b-2_c.d")


def test_keys_are_neither_missing_nor_more() -> None:
    with pytest.raises(DataError, match=r"lacks the keys \['b'\] and has the unknown keys \['c'\]"):
        exact_keys({"a": 1, "c": 2}, "ab", "window")
    with pytest.raises(DataError, match="window is list, not a JSON object"):
        exact_keys([1], "ab", "window")
    assert exact_keys({"b": 1, "a": 2}, "ab", "window") == {"a": 2, "b": 1}


def test_infinite_numbers_and_booleans_are_no_numbers() -> None:
    found = [is_number(v) for v in (1, 1.5, True, float("inf"), float("nan"), "1")]
    assert found == [True, True, False, False, False, False]
