from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import masks, shapes, spacings

from fibseg.measure import working_grid as module
from fibseg.measure.working_grid import WorkingGrid, majority, working_grid

FACTORS = st.tuples(*[st.integers(1, 5)] * 3)


def naive(mask, factors, *, ties):
    """Voxel by voxel."""
    found = np.zeros([-(-n // f) for n, f in zip(mask.shape, factors, strict=True)], bool)
    for place in itertools.product(*map(range, found.shape)):
        cut = tuple(slice(p * f, p * f + f) for p, f in zip(place, factors, strict=True))
        share = (mask[cut] != 0).mean()
        found[place] = share > 0.5 or (ties and share == 0.5)
    return found


@given(masks(), FACTORS, st.booleans())
def test_majority_counts_voxels(mask, factors, ties):
    found = majority(mask.astype(np.uint16) * 700, factors=factors, ties=ties)
    assert found.tolist() == naive(mask, factors, ties=ties).tolist()


@given(st.floats(3, 12), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_majority_keeps_volume_and_place(radius, factor, seed):
    """A ball anywhere on the grid has as many nm³ afterwards, but for its rough surface."""
    n = 12 * factor
    centre = n / 2 + np.random.default_rng(seed).uniform(-2, 2, 3)
    away = np.sqrt(sum((i - c) ** 2 for i, c in zip(np.indices((n,) * 3), centre, strict=True)))
    mask = away < min(radius, n / 2 - 3)
    coarse = majority(mask, factors=(factor,) * 3, ties=True)
    surface = 4 * np.pi * radius**2
    assert abs(coarse.sum() * factor**3 - mask.sum()) < 0.75 * factor * surface


@given(shapes(high=400), spacings(), FACTORS)
def test_a_grid_covers_the_volume_to_half_a_voxel(shape, spacing, factors):
    grid = WorkingGrid.of(factors, shape=shape, spacing=spacing)
    for n, working, f in zip(shape, grid.shape, factors, strict=True):
        assert abs(n - working * f) <= f / 2 or working == 1
    for axis in range(3):
        ends = grid.first_um[axis] * 1e3 - grid.spacing[axis] / 2
        assert ends == pytest.approx(-spacing[axis] / 2)  # both begin at the same face
        apart = grid.cell[axis] * spacing[axis] / grid.finer[axis]
        assert apart <= min(grid.spacing) / 2 * (1 + 1e-6)
        assert grid.finer[axis] == 1 or grid.cell[axis] == 1


@given(shapes(high=2000), spacings(), st.floats(1, 5000), st.floats(1e-6, 1e6))
def test_a_grid_is_as_fine_as_wanted_or_as_memory_allows(shape, spacing, wanted_nm, volume_um3):
    grid = working_grid(wanted_nm, volume_um3=volume_um3, shape=shape, spacing=spacing)
    n_voxels, n_points = math.prod(grid.shape), grid.n_points(volume_um3)
    fits = n_voxels <= module.MOST_VOXELS and n_points <= module.MOST_POINTS
    assert fits or grid.shape == (1, 1, 1)
    pairs = list(zip(grid.factors, spacing, strict=True))
    if any(f > 1 and f * s > wanted_nm * (1 + 1e-6) for f, s in pairs):
        width = max(f * s for f, s in pairs if f > 1)
        finer = working_grid(width * (1 - 1e-6), volume_um3=volume_um3, shape=shape,
                             spacing=spacing)
        assert finer == grid  # the next finer one would not do
    else:
        assert all((f + 1) * s > wanted_nm for f, s in pairs)


def test_points_are_counted_as_they_are_made():
    grid = WorkingGrid.of((1, 2, 2), shape=(8, 8, 8), spacing=(40.0, 20.0, 20.0))
    assert (grid.cell, grid.finer) == ((1, 1, 1), (2, 1, 1))
    assert grid.n_points(16e-6 * 100) == pytest.approx(200)  # 100 voxels of 16 000 nm³
