"""The plan of a pyramid: how many levels, and which axes are halved."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fibseg.volume.pyramid import plan_levels

SHAPES = st.tuples(st.integers(1, 800), st.integers(1, 4000), st.integers(1, 4000))
SPACINGS = st.tuples(*[st.sampled_from([4.0, 8.0, 10.0, 13.0, 20.0, 50.0])] * 3)


@given(shape=SHAPES, spacing=SPACINGS)
def test_plan_never_halves_a_coarse_axis_and_keeps_the_extent(shape, spacing):
    levels = plan_levels(shape, spacing)
    assert levels[0].shape == shape
    for fine, coarse in itertools.pairwise(levels):
        for axis in range(3):
            factor = coarse.factors[axis]
            assert coarse.shape[axis] == -(-fine.shape[axis] // factor)
            assert coarse.spacing[axis] == fine.spacing[axis] * factor
        assert max(fine.shape) > 128


def test_levels_of_an_anisotropic_volume_become_cubes():
    spacings = [level.spacing for level in plan_levels((100, 2000, 2000), (40.0, 10.0, 10.0))]
    assert spacings[:4] == [(40, 10, 10), (40, 20, 20), (40, 40, 40), (80, 80, 80)]
