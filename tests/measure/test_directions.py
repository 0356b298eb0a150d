from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import spacings

from fibseg.errors import UsageError
from fibseg.measure.directions import Directions


def random_normals(n=5000):
    normals = np.random.default_rng(0).normal(size=(n, 3))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("spacing", "mean", "sd", "worst"),
    [
        ((1, 1, 1), 0.004, 0.005, 0.031), ((12.5, 10, 10), 0.004, 0.006, 0.05),
        ((2.5, 1, 1), 0.008, 0.010, 0.08), ((1, 1, 2.5), 0.008, 0.010, 0.08),
        ((5, 1, 1), 0.007, 0.017, 0.12),
    ],
)
def test_planes_in_all_directions_read_alike(spacing, mean, sd, worst):
    found = Directions.of(spacing).plane(random_normals(), spacing=spacing)
    assert abs(found.mean() - 1) < mean
    assert found.std() < sd
    assert np.abs(found - 1).max() < worst


@settings(deadline=None, max_examples=40)
@given(spacings())
def test_the_least_planes_can_be_off_holds_for_any_spacing(spacing):
    found = Directions.of(spacing).plane(random_normals(500), spacing=spacing)
    assert abs(found.mean() - 1) < 0.01
    assert found.std() < 0.06


@settings(deadline=None, max_examples=40)
@given(spacings())
def test_steps_are_each_other_once_and_have_no_step_between(spacing):
    directions = Directions.of(spacing)
    steps = [step for group in directions.groups for step in group]
    assert len({*steps, *(tuple(-v for v in step) for step in steps)}) == 2 * len(steps)
    assert all(math.gcd(*step) == 1 for step in steps)
    assert all(unit > 0 for unit in directions.units)
    assert max(max(map(abs, step)) for step in steps) == max(directions.reach) <= 4
    # Surfaces of a voxel's own count fit 32 bits, and a group's count of steps 8.
    total = sum(
        unit * len(g) for unit, g in zip(directions.units, directions.groups, strict=True)
    )
    assert total < 2**21
    assert max(map(len, directions.groups)) < 256


def test_a_larger_voxel_of_the_same_form_counts_the_same():
    small, large = Directions.of((4.0, 2.0, 2.0)), Directions.of((80.0, 40.0, 40.0))
    assert (small.groups, small.units) == (large.groups, large.units)
    assert large.unit_nm2 == pytest.approx(400 * small.unit_nm2)


def test_axes_of_equal_spacing_are_treated_alike():
    groups = Directions.of((10.0, 10.0, 10.0)).groups
    assert {len(group) for group in groups} == {3, 4, 6, 12}
    assert {(0, 0, 1), (0, 1, 0), (1, 0, 0)} in [set(group) for group in groups]


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -2, 1), (1, 1, math.nan), (math.inf, 1, 1)])
def test_what_is_no_size_is_refused(spacing):
    with pytest.raises(UsageError, match="Give three positive nm"):
        Directions.of(spacing)
