"""model.json: what goes in comes out, and whatever breaks the format is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import DataError
from fibseg.export import FORMAT_VERSION, ModelSpec, describe_model
from fibseg.export.schema import plain


def make_spec(**changes: Any) -> ModelSpec:
    given_values: dict[str, Any] = {
        "network": {"name": "unet", "features": [8, 16]}, "classes": ["mitochondria"],
        "normalisation": {"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        "context": 1, "receptive_field": 9, "stride_multiple": 2,
        "training": {"overrides": ["data.patch=64"]}, "metrics": {"iou": 0.5, "f1": None},
        "spacing": (20.0, 40.0, 40.0),
    }
    return describe_model(**{**given_values, **changes})


def as_data() -> dict[str, Any]:
    return json.loads(make_spec().to_json())


def test_a_spec_survives_json():
    spec = make_spec()
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert spec.to_json() == make_spec().to_json()
    assert (spec.in_channels, spec.n_outputs) == (3, 2)


@pytest.mark.parametrize(("radius", "multiple"), [(0, 1), (9, 2), (51, 8), (107, 16), (112, 16)])
def test_the_window_lies_on_the_pooling_grid_and_covers_the_receptive_field(radius, multiple):
    spec = make_spec(receptive_field=radius, stride_multiple=multiple)
    # One more, so that the pixels that upsampling needs beside a core are exact too.
    assert spec.window.margin >= radius + 1
    assert spec.window.margin - radius <= multiple
    assert spec.window.margin % multiple == spec.window.core[0] % multiple == 0


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("format_version", FORMAT_VERSION + 1, "newer fibseg"),
        ("format_version", True, "format_version"),
        ("format_version", "1", "format_version"),
        ("network", {"features": [8]}, "registry name"),
        ("network", {"name": "unet", "_target_": "os.system"}, "plain data"),
        ("network", {"name": "${oc.env:HOME}"}, "plain data"),
        ("training", {"note": {"deep": ["${x}"]}}, "plain data"),
        ("training", [1], "not a JSON object"),
        ("classes", [], "classes"),
        ("classes", ["a", "a"], "classes"),
        ("classes", ["../../etc"], "classes"),
        ("classes", ["a/b"], "classes"),
        ("classes", "ab", "classes"),
        ("spacing", [20, 20], "spacing"),
        ("spacing", [20, 0, 20], "spacing"),
        ("spacing", [20, "20", 20], "spacing"),
        ("context", -1, "context"),
        ("context", 1.5, "context"),
        ("window", {"core": [64, 64]}, "lacks the keys"),
        ("window", {"core": [64], "margin": 10}, "window.core"),
        ("window", {"core": [63, 64], "margin": 10}, "stride_multiple"),
        ("window", {"core": [64, 64], "margin": 8}, "receptive"),
        ("normalisation", {"low_percentile": 0.5}, "lacks the keys"),
        (
            "normalisation", {"low_percentile": 99, "high_percentile": 1, "stain": "bright"},
            "normalisation",
        ),
        (
            "normalisation", {"low_percentile": 1, "high_percentile": 99, "stain": "blue"},
            "stain",
        ),
    ],
)
def test_what_breaks_the_format_is_refused(path, value, word):
    data = as_data()
    data[path] = value
    with pytest.raises(DataError, match=word):
        ModelSpec.from_json(json.dumps(data))


@pytest.mark.parametrize("key", sorted(as_data()))
def test_every_key_is_needed(key):
    data = as_data()
    del data[key]
    with pytest.raises(DataError):
        ModelSpec.from_json(json.dumps(data))


def test_an_unknown_key_is_refused():
    with pytest.raises(DataError, match="hook"):
        ModelSpec.from_json(json.dumps({**as_data(), "hook": "import os"}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"a": 1, "a": 2}'])
def test_what_is_not_a_description_is_refused(text):
    with pytest.raises(DataError):
        ModelSpec.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_must_be_finite(number):
    text = json.dumps(as_data()).replace('"iou": 0.5', f'"iou": {number}')
    assert number in text
    with pytest.raises(DataError):
        ModelSpec.from_json(text)


def test_a_score_that_is_not_a_number_is_refused_when_writing():
    with pytest.raises(DataError, match="iou"):
        make_spec(metrics={"iou": float("nan")})


def test_code_and_objects_cannot_be_written():
    with pytest.raises(DataError, match="plain"):
        make_spec(training={"f": print})
    with pytest.raises(DataError, match="string"):
        make_spec(training={1: "a"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5).filter(lambda s: "${" not in s and "_target_" not in s),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=5).filter(lambda s: "${" not in s and "_target_" not in s), inner,
        max_size=3,
    ),
    max_leaves=8,
)


@given(json_values)
def test_plain_data_is_kept_as_it_is(value):
    assert plain(value, "value") == json.loads(json.dumps(value))


@given(json_values)
def test_plain_data_is_not_shared_with_the_caller(value):
    before = copy.deepcopy(value)
    rebuilt = plain({"inner": value}, "value")
    if isinstance(rebuilt["inner"], list | dict):
        rebuilt["inner"].clear()
    assert value == before
