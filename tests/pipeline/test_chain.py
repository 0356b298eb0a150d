from __future__ import annotations

import functools

import numpy as np
import pytest

from fibseg.errors import UsageError
from fibseg.geometry import is_local, reach_nm
from fibseg.pipeline.chain import Step, describe, fused, planned, settings
from fibseg.pipeline.operators import GLOBAL
from fibseg.postprocess import (
    adaptive_threshold,
    closing,
    components,
    dilation,
    enhance_particles,
    fill_holes,
    filter_objects,
    grow_regions,
    hysteresis_threshold,
    keep_largest,
    mask_by,
    smooth,
    smooth_surface,
    split_large,
    threshold,
    watershed,
)

SPACING = (20.0, 10.0, 10.0)
P = functools.partial
LAST = {"components": P(components)}
MASK = {"threshold": P(threshold, level=0.5)}


ARRAYS = {"labels/cell": np.zeros(1, np.uint32), "raw": np.zeros(1, np.uint8)}


def plan(operators, dtype=np.uint8):
    return list(planned(operators, dtype=dtype, known=GLOBAL, arrays=ARRAYS, spacing=SPACING))


def test_local_neighbours_become_one_step_that_looks_as_far_as_both():
    steps = plan({
        "smooth": P(smooth, sigma_nm=10), "threshold": P(threshold, level=0.5),
        "closing": P(closing, radius_nm=40), "fill": P(fill_holes), **LAST,
    })
    assert [step.name for step in steps] == ["smooth-threshold-closing", "fill", "components"]
    assert [is_local(step.fn) for step in steps] == [True, False, False]
    assert reach_nm(steps[0].fn) == 30 + 80


def test_steps_on_numbered_objects_stay_steps_of_their_own():
    steps = plan({
        "smooth": P(smooth, sigma_nm=10), "h": P(hysteresis_threshold, low=0.3, high=0.6),
        "largest": P(keep_largest, n=2), **LAST, "split": P(watershed, depth_nm=20),
        "grow": P(grow_regions, distance_nm=30),
    })
    assert [step.name for step in steps] == [
        "smooth", "h", "largest", "components", "split", "grow"
    ]
    assert reach_nm(steps[-1].fn) == 30


def test_arrays_are_named_and_told_apart_from_settings():
    steps = plan({
        "cell": P(mask_by, other="labels/cell"), "threshold": P(threshold, level=0.5),
        "not": P(mask_by, other="raw", outside=True), **LAST,
        "split": P(watershed, probs="probabilities", depth_nm=20, strict_level=0.9),
        "grow": P(grow_regions, within=None, image="raw", distance_nm=30, low=9),
        "bright": P(filter_objects, column="intensity_mean", minimum=3),
        "size": P(filter_objects, column="n_voxels", minimum=3),
    })
    assert [step.arrays for step in steps] == [
        (("other", "labels/cell"), ("other", "raw")), (), (("probs", "probabilities"),),
        (("image", "raw"),), (("image", "raw"),), (),
    ]
    probs = np.array([200, 200, 200, 9]).astype(np.uint8)
    cell, raw = np.array([1, 1, 0, 1]), np.array([1, 0, 0, 0])
    assert steps[0].fn(probs, cell, raw).tolist() == [False, True, False, False]
    assert settings(steps[3].fn) == {"distance_nm": 30, "low": 9, "high": None}
    assert steps[0].about[0]["other"] == "labels/cell"


def test_a_fused_step_does_one_after_the_other():
    mask = np.random.default_rng(0).random((9, 9, 9)) < 0.05
    steps = [P(dilation, radius_nm=20, spacing=SPACING), P(closing, radius_nm=30, spacing=SPACING)]
    expected = steps[1](steps[0](mask))
    both = fused([Step("a", fn, (), [{"a": 1}]) for fn in steps], spacing=SPACING)
    np.testing.assert_array_equal(both.fn(mask), expected)
    assert both.about == [{"a": 1}, {"a": 1}]


def test_null_leaves_a_step_out():
    chain = {"threshold": P(threshold, level=0.5), "closing": None, **LAST}
    assert [step.name for step in plan(chain)] == ["threshold", "components"]


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        ({}, "lack components, which numbers"),
        ({"components": None}, "lack components"),
        ({**LAST, "threshold": P(threshold, level=0.5)}, "threshold cannot work on numbered"),
        ({"threshold": P(threshold, level=0.5), "n": np.negative, **LAST}, "global operator"),
        (LAST, "Put a threshold before it"),
        ({"smooth": P(smooth, sigma_nm=9), "fill": P(fill_holes), **LAST}, "gets float32"),
        ({"threshold": P(threshold, level=128), **LAST}, "level=128 is no probability"),
        ({"threshold": P(threshold, level=0.5), "closing": P(closing, radius_nm=-1), **LAST},
         "radius_nm=-1"),
        ({**MASK, "closing": P(closing, radius_nm=1e6), **LAST}, "closing looks 2e[+]06 nm far"),
        ({**MASK, "closing": P(closing, radius_nm=float("nan")), **LAST}, "closing looks nan"),
        ({"smooth": P(smooth, sigma_nm=float("inf")), **MASK, **LAST}, "smooth looks inf nm far"),
        ({**MASK, **LAST, "grow": P(grow_regions, distance_nm=1e7)}, "grow looks 1e[+]07 nm far"),
        ({"threshold": P(threshold, level=0.5),
          "components": P(components, min_voxels=3, min_volume_um3=1)}, "one of them to null"),
        ({**MASK, **LAST, "again": P(components)}, "again numbers the objects again"),
        ({**MASK, **LAST, "closing": P(closing, radius_nm=9)},
         "closing cannot work on numbered objects.*may come watershed, split_large, grow_regions"),
        ({**MASK, **LAST, "in": P(mask_by, other="raw")}, "in cannot work on numbered objects"),
        ({"closing": P(closing, radius_nm=9), **MASK, **LAST}, "closing needs a mask, but gets u"),
        ({"even": P(smooth_surface, sigma_nm=9), **MASK, **LAST}, "even needs a mask"),
        ({**MASK, "a": P(adaptive_threshold, window_nm=90), **LAST}, "a needs probabilities"),
        ({**MASK, "b": P(enhance_particles, diameter_nm=90), **LAST}, "b needs probabilities"),
        ({**MASK, "in": P(mask_by, other="labels/x"), **LAST}, "in needs labels/x, which is not"),
        ({**MASK, "in": P(mask_by, other=5), **LAST}, "other=5 of in cannot be used .* name an ar"),
        ({**MASK, **LAST, "f": P(filter_objects, table="m", column="n_voxels")},
         "f needs tables/m, which is not among"),
        ({**MASK, **LAST, "f": P(filter_objects, table={"label": [1]}, column="n_voxels")},
         "of f cannot be used in a chain: name a table of the store"),
        ({**MASK, **LAST, "f": P(filter_objects, column="n_voxels", minimum=5, maximum=1)},
         "minimum=5 is above maximum=1"),
        ({**MASK, **LAST, "f": P(filter_objects, column="roundness")}, "column=roundness is not"),
        ({**MASK, "f": P(filter_objects, column="n_voxels"), **LAST}, "f needs numbered objects"),
        ({**MASK, **LAST, "l": P(split_large, max_volume_um3=-1, depth_nm=1)}, "um3=-1 is neg"),
        ({**MASK, **LAST, "g": P(grow_regions, distance_nm=9, low=3)}, "goes with low=3"),
        ({**MASK, **LAST, "w": P(watershed, depth_nm=9, strict_level=0.9)}, "Give probs too"),
        ({**MASK, "wider": P(grow_regions, distance_nm=9), **LAST}, "wider needs numbered objects"),
        ({**MASK, "split": P(watershed, depth_nm=9), **LAST}, "split needs numbered objects"),
        ({**MASK, "h": P(hysteresis_threshold, low=0.3, high=0.6), **LAST}, "h needs probab"),
        ({"h": P(hysteresis_threshold, low=0.6, high=0.3), **LAST}, "low=0.6 is above high=0.3"),
        ({"largest": P(keep_largest), **LAST}, "largest needs a mask"),
        ({**MASK, "largest": P(keep_largest, n=0), **LAST}, "n=0 components would leave nothing"),
        ({**MASK, **LAST, "grow": P(grow_regions, distance_nm=-1)}, "distance_nm=-1"),
        ({**MASK, **LAST, "split": P(watershed, depth_nm=-1)}, "depth_nm=-1"),
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
