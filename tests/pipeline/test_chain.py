from __future__ import annotations

import functools

import numpy as np
import pytest

from fibseg.errors import UsageError
from fibseg.geometry import is_local, reach_nm
from fibseg.pipeline.chain import describe, fused, planned
from fibseg.pipeline.operators import GLOBAL
from fibseg.postprocess import (
    closing,
    components,
    dilation,
    fill_holes,
    grow,
    hysteresis,
    largest,
    smooth,
    split_objects,
    threshold,
)

SPACING = (20.0, 10.0, 10.0)
P = functools.partial
LAST = {"components": P(components)}
MASK = {"threshold": P(threshold, level=0.5)}


def plan(operators, dtype=np.uint8):
    return list(planned(operators, dtype=dtype, known=GLOBAL, spacing=SPACING))


def test_local_neighbours_become_one_step_that_looks_as_far_as_both():
    steps = plan({
        "smooth": P(smooth, sigma_nm=10), "threshold": P(threshold, level=0.5),
        "closing": P(closing, radius_nm=40), "fill": P(fill_holes), **LAST,
    })
    assert [name for name, _ in steps] == ["smooth-threshold-closing", "fill", "components"]
    assert [is_local(fn) for _, fn in steps] == [True, False, False]
    assert reach_nm(steps[0][1]) == 30 + 80


def test_steps_on_numbered_objects_stay_steps_of_their_own():
    steps = plan({
        "smooth": P(smooth, sigma_nm=10), "h": P(hysteresis, low=0.3, high=0.6),
        "largest": P(largest, n=2), **LAST, "split": P(split_objects, depth_nm=20),
        "grow": P(grow, distance_nm=30),
    })
    assert [name for name, _ in steps] == [
        "smooth", "h", "largest", "components", "split", "grow"
    ]
    assert reach_nm(steps[-1][1]) == 30


def test_a_fused_step_does_one_after_the_other():
    mask = np.random.default_rng(0).random((9, 9, 9)) < 0.05
    steps = [P(dilation, radius_nm=20, spacing=SPACING), P(closing, radius_nm=30, spacing=SPACING)]
    expected = steps[1](steps[0](mask))
    np.testing.assert_array_equal(fused(steps, spacing=SPACING)(mask), expected)


def test_null_leaves_a_step_out():
    chain = {"threshold": P(threshold, level=0.5), "closing": None, **LAST}
    assert [name for name, _ in plan(chain)] == ["threshold", "components"]


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        ({}, "do not end in components"),
        ({"components": None}, "do not end in components"),
        ({**LAST, "threshold": P(threshold, level=0.5)}, "do not end in components"),
        ({"threshold": P(threshold, level=0.5), "n": np.negative, **LAST}, "global operator"),
        (LAST, "Put a threshold before it"),
        ({"smooth": P(smooth, sigma_nm=9), "fill": P(fill_holes), **LAST}, "gets float32"),
        ({"threshold": P(threshold, level=128), **LAST}, "level=128 is no probability"),
        ({"threshold": P(threshold, level=0.5), "closing": P(closing, radius_nm=-1), **LAST},
         "radius_nm=-1"),
        ({**MASK, "closing": P(closing, radius_nm=1e6), **LAST}, "closing looks 2e[+]06 nm far"),
        ({**MASK, "closing": P(closing, radius_nm=float("nan")), **LAST}, "closing looks nan"),
        ({"smooth": P(smooth, sigma_nm=float("inf")), **MASK, **LAST}, "smooth looks inf nm far"),
        ({**MASK, **LAST, "grow": P(grow, distance_nm=1e7)}, "grow looks 1e[+]07 nm far"),
        ({"threshold": P(threshold, level=0.5),
          "components": P(components, min_voxels=3, min_volume_um3=1)}, "one of them to null"),
        ({**MASK, **LAST, "again": P(components)}, "Put it there, once"),
        ({**MASK, **LAST, "closing": P(closing, radius_nm=9)}, "only split_objects and grow may"),
        ({**MASK, "wider": P(grow, distance_nm=9), **LAST}, "wider needs numbered objects"),
        ({**MASK, "split": P(split_objects, depth_nm=9), **LAST}, "split needs numbered objects"),
        ({**MASK, "h": P(hysteresis, low=0.3, high=0.6), **LAST}, "h needs probabilities"),
        ({"h": P(hysteresis, low=0.6, high=0.3), **LAST}, "low=0.6 is above high=0.3"),
        ({"largest": P(largest), **LAST}, "largest needs a mask"),
        ({**MASK, "largest": P(largest, n=0), **LAST}, "n=0 components would leave nothing"),
        ({**MASK, **LAST, "grow": P(grow, distance_nm=-1)}, "distance_nm=-1"),
        ({**MASK, **LAST, "split": P(split_objects, depth_nm=-1)}, "depth_nm=-1"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_work(operators, words):
    with pytest.raises(UsageError, match=words):
        plan(operators)


def test_the_description_holds_order_and_every_setting():
    chain = {"threshold": P(threshold, level=0.5), "closing": P(closing, radius_nm=30), **LAST}
    first = describe(chain)
    assert first[1] == {"name": "closing", "function": "closing", "radius_nm": 30}
    assert first[2]["connectivity"] == 26, "defaults count too"
    assert first != describe({**chain, "closing": P(closing, radius_nm=40)})
    assert first != describe(dict(reversed(chain.items())))
    assert describe({**chain, "closing": None}) == [first[0], first[2]]
