"""Steps outside graphs against their definitions, computed on all voxels at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import DataError
from fibseg.export.foreign.steps import Step, read_steps
from fibseg.inference.foreign_steps import applied, as_type, bound, sigmoid, softmax


def volume(seed=0, dtype=np.uint8, n=4000):
    rng = np.random.default_rng(seed)
    high = np.iinfo(dtype).max
    return (high * rng.beta(2, 5, n)).astype(dtype)


def on(voxels, *steps):
    largest = np.iinfo(voxels.dtype).max
    counts = np.bincount(voxels, minlength=largest + 1)
    ready = bound(steps, largest=largest, counts=counts)
    assert not any(s.of_volume for s in ready)
    return applied(ready, voxels)


def step(name, **kwargs):
    return read_steps([{"id": name, "kwargs": kwargs}], "it", before=True)[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("low", "high"), [(0, 100), (1, 99.8), (5, 50), (0.1, 99.9)])
def test_scale_range_is_that_of_bioimageio(dtype, low, high):
    v = volume(dtype=dtype)
    p, q = np.percentile(v, [low, high])
    got = on(v, step("scale_range", min_percentile=low, max_percentile=high))
    np.testing.assert_allclose(got, (v - p) / (q - p + 1e-6), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zero_mean_unit_variance_is_that_of_bioimageio(dtype):
    v = volume(dtype=dtype).astype(np.float64)
    got = on(v.astype(dtype), step("zero_mean_unit_variance", eps=1e-3))
    np.testing.assert_allclose(got, (v - v.mean()) / (v.std() + 1e-3), rtol=1e-4, atol=1e-5)


def test_a_chain_counts_what_the_steps_before_left():
    v = volume(1)
    steps = [step("scale_linear", gain=-2, offset=7), step("clip", min=-300, max=-100),
             step("scale_range", min_percentile=2, max_percentile=90),
             step("clip", min_percentile=10, max_percentile=95), step("zero_mean_unit_variance")]
    w = np.clip(v * -2.0 + 7, -300, -100)
    p, q = np.percentile(w, [2, 90])
    w = (w - p) / (q - p + 1e-6)
    w = np.clip(w, *np.percentile(w, [10, 95]))
    w = (w - w.mean()) / (w.std() + 1e-6)
    np.testing.assert_allclose(on(v, *steps), w, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("made", "wanted"), [
    (Step("unit"), lambda v: v / 255), (step("binarize", threshold=100), lambda v: v > 100),
    (step("fixed_zero_mean_unit_variance", mean=100, std=20), lambda v: (v - 100) / 20),
    (step("sigmoid"), lambda v: 1 / (1 + np.exp(-v))),
    (step("clip", max=50), lambda v: v.clip(max=50)),
    (step("ensure_dtype", dtype="float64"), lambda v: v),
    (step("ensure_dtype", dtype="int8"), lambda v: v.clip(max=127)),
])
def test_steps_by_their_definition(made, wanted):
    v = volume(2)
    np.testing.assert_allclose(on(v, made), wanted(v.astype(float)), rtol=1e-5, atol=1e-5)


def test_whole_numbers_come_back_as_they_were():
    v = np.arange(256, dtype=np.uint8)
    scaled = on(v, Step("unit"), step("scale_linear", gain=255))
    np.testing.assert_array_equal(as_type(scaled, "uint8"), v)
    fractions = applied([step("ensure_dtype", dtype="uint8")], np.array([1.9, -3, 300, 2.0]))
    assert fractions.tolist() == [1, 0, 255, 2]
    w = np.arange(65536, dtype=np.uint16)
    scaled = on(w, Step("unit"), step("scale_linear", gain=65535))
    np.testing.assert_array_equal(as_type(scaled, "uint16"), w)


@pytest.mark.parametrize("made", [step("scale_range"), step("zero_mean_unit_variance")])
def test_a_volume_of_one_value_is_refused(made):
    with pytest.raises(DataError, match="intensity 9 nearly everywhere"):
        on(np.full(50, 9, np.uint8), made)


def test_a_step_that_needs_the_volume_asks_for_it():
    with pytest.raises(ValueError, match="histogram"):
        bound([step("scale_range")], largest=255)
    with pytest.raises(ValueError, match="not bound"):
        applied([step("scale_range")], np.zeros(3))


@given(st.lists(st.floats(-2.0**100, 2.0**100, width=32), min_size=1, max_size=8))
def test_shares_are_shares(values):
    v = np.array(values, np.float32)
    shares = softmax(v[:, None])
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert ((sigmoid(v) >= 0) & (sigmoid(v) <= 1)).all()
    np.testing.assert_allclose(sigmoid(v) + sigmoid(-v), 1, atol=1e-6)
