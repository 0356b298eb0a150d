"""Pyramids: built in blocks they equal the array functions on the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.volume import layout
from fibseg.volume.pyramid import KERNELS, build_levels, plan_levels

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


@pytest.mark.parametrize("kind", ["image", "labels", "annotation"])
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_blocks_equal_the_whole(tmp_path, kind, version):
    data = np.random.default_rng(0).integers(0, 4, (66, 140, 1100), dtype=np.uint8)
    array = layout.create_array(
        tmp_path / "0", shape=data.shape, dtype=data.dtype, ome_version=version
    )
    array[:] = data
    levels = plan_levels(data.shape, (10.0, 10.0, 10.0))[:3]
    build_levels(tmp_path, array, levels, kind=kind, ome_version=version)
    expected = data
    for number, level in enumerate(levels[1:], start=1):
        expected = KERNELS[kind](expected, factors=level.factors)
        np.testing.assert_array_equal(layout.open_array(tmp_path / str(number))[:], expected)
