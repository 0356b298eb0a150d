from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops_table
from strategies import block_shapes, label_volumes, spacings, sparse_labels, touching_objects

from fibseg.blocks import Grid
from fibseg.errors import UsageError
from fibseg.measure import shape
from fibseg.measure.directions import Directions


def solid(size, inside):
    """A mask from a function of voxel indices less the centre."""
    centre = (np.array(size) - 1) / 2
    return inside(*(np.indices(size) - centre.reshape(3, 1, 1, 1))).astype(np.uint32)


def blockwise(labels, image, block_shape, spacing):
    directions = Directions.of(spacing)
    grid, margin = Grid.over(labels.shape, block_shape), shape.reach(directions)
    parts = None
    for block in grid.blocks(lambda write: write.grow(margin).clip(labels.shape)):
        read = block.read.slices
        part = shape.partial(
            labels[read], None if image is None else image[read], start=block.write.start,
            inside=block.write.relative_to(block.read), directions=directions,
        )
        parts = part if parts is None else shape.merge(parts, part)
    return shape.finish(parts, directions=directions, shape=labels.shape, spacing=spacing)


def assert_equal_tables(table, other):
    assert list(table) == list(other)
    for name in other:
        np.testing.assert_array_equal(table[name], other[name], strict=True)


@settings(deadline=None, max_examples=80)
@given(
    st.one_of(label_volumes(), sparse_labels(), touching_objects()), block_shapes(), spacings(),
    st.booleans(),
)
def test_blockwise_equals_whole_bit_by_bit(labels, block_shape, spacing, with_image):
    rng = np.random.default_rng(labels.size)
    image = rng.integers(0, 65536, labels.shape, np.uint16) if with_image else None
    whole = shape.measure(labels, image, spacing=spacing)
    assert_equal_tables(blockwise(labels, image, block_shape, spacing), whole)


def test_nothing_gives_a_table_without_rows():
    full = shape.measure(np.ones((3, 3, 3), np.uint8), spacing=(1, 1, 1))
    for size in ((4, 3, 3), (0, 3, 3)):
        table = shape.measure(np.zeros(size, np.uint8), spacing=(1, 1, 1))
        assert list(table) == list(full)
        assert {n: c.dtype for n, c in table.items()} == {n: c.dtype for n, c in full.items()}
        assert all(len(column) == 0 for column in table.values())


def test_a_ball_is_as_round_as_can_be_and_a_rod_is_not():
    ball = solid((25, 25, 25), lambda z, y, x: z * z + y * y + x * x <= 100)
    rod = solid((15, 15, 70), lambda z, y, x: (z * z + y * y <= 25) & (abs(x) <= 30))
    found = {name: shape.measure(m, spacing=(10.0,) * 3) for name, m in
             {"ball": ball, "rod": rod}.items()}
    assert found["ball"]["sphericity"][0] == pytest.approx(1, abs=0.01)
    assert found["ball"]["elongation"][0] == pytest.approx(1)
    assert found["ball"]["surface_to_volume_per_um"][0] == pytest.approx(3 / 0.1, rel=0.02)
    assert found["rod"]["sphericity"][0] < 0.7
    # A cylinder of length l and radius r: variances l² / 12 and r² / 4.
    assert found["rod"]["elongation"][0] == pytest.approx(61 / 5.25 / math.sqrt(3), rel=0.03)
    assert found["rod"]["flatness"][0] == pytest.approx(1)
    direction = [found["rod"][f"axis_major_{a}"][0] for a in "zyx"]
    np.testing.assert_allclose(direction, [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("direction", [(1, 2, 3), (3, -2, 1), (-1, -1, 4)])
def test_the_major_axis_points_along_a_rod(direction):
    spacing = np.array((20.0, 10.0, 10.0))
    unit = np.array(direction) / np.linalg.norm(direction)
    place = np.stack(np.indices((41, 81, 81)), -1) * spacing - (400, 400, 400)
    along = place @ unit
    across = np.linalg.norm(place - along[..., None] * unit, axis=-1)
    table = shape.measure(((abs(along) < 300) & (across < 60)).astype(np.uint8),
                          spacing=tuple(spacing))
    found = np.array([table[f"axis_major_{a}"][0] for a in "zyx"])
    sign = np.sign(unit[np.abs(unit).argmax()])
    np.testing.assert_allclose(found, sign * unit, atol=0.01)
    assert np.linalg.norm(found) == pytest.approx(1)
    mirrored = shape.measure(
        ((abs(along) < 300) & (across < 60))[::-1, ::-1, ::-1].astype(np.uint8),
        spacing=tuple(spacing),
    )
    np.testing.assert_allclose([mirrored[f"axis_major_{a}"][0] for a in "zyx"], found)


def test_a_single_voxel_has_no_direction_unless_it_is_longer_one_way():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, 1] = 5
    cube = shape.measure(labels, spacing=(10.0, 10.0, 10.0))
    assert all(np.isnan(cube[f"axis_major_{a}"][0]) for a in "zyx")
    assert cube["elongation"][0] == cube["flatness"][0] == pytest.approx(1)
    assert cube["euler_number"].tolist() == [1]
    tall = shape.measure(labels, spacing=(50.0, 10.0, 10.0))
    assert [tall[f"axis_major_{a}"][0] for a in "zyx"] == [1, 0, 0]
    assert tall["elongation"][0] == pytest.approx(5)


def test_objects_at_the_border_are_flagged_and_left_out():
    labels = solid((16, 16, 16), lambda z, y, x: z * z + y * y + x * x <= 25)
    labels[:3, :3, 13:] = 2
    table = shape.measure(labels, spacing=(10.0, 10.0, 10.0))
    assert table["touches_border"].tolist() == [False, True]
    for name in shape.OF_WHOLE_OBJECTS:
        assert np.isnan(table[name]).tolist() == [False, True]
    kept = shape.measure(labels, keep_border=True, spacing=(10.0, 10.0, 10.0))
    assert all(np.isfinite(kept[name]).all() for name in shape.OF_WHOLE_OBJECTS)
    for name in set(table) - set(shape.OF_WHOLE_OBJECTS):
        np.testing.assert_array_equal(table[name], kept[name])


def test_an_object_that_fills_the_volume_has_no_surface():
    table = shape.measure(np.full((4, 5, 6), 3, np.uint8), keep_border=True, spacing=(9, 9, 9))
    assert table["surface_area_um2"].tolist() == [0]
    assert np.isnan(table["sphericity"]).all()
    assert table["euler_number"].tolist() == [1]
    left_out = shape.measure(np.full((4, 5, 6), 3, np.uint8), spacing=(9, 9, 9))
    assert np.isnan(left_out["surface_area_um2"]).all()


@settings(deadline=None, max_examples=30)
@given(label_volumes(high=9), spacings())
def test_topology_and_brightness_are_those_of_skimage(labels, spacing):
    image = np.random.default_rng(labels.size).integers(0, 65536, labels.shape, np.uint16)
    table = shape.measure(labels, image, spacing=spacing)
    other = regionprops_table(
        labels, image.astype(float), properties=("label", "euler_number", "intensity_std")
    ) if labels.any() else {"euler_number": [], "intensity_std": []}
    np.testing.assert_array_equal(table["euler_number"], other["euler_number"])
    np.testing.assert_allclose(table["intensity_sd"], other["intensity_std"], atol=1e-9)


@pytest.mark.parametrize("other", [(2, 4, 4), (5, 4, 4)])
def test_an_image_of_another_shape_is_refused(other):
    labels, image = np.ones((4, 4, 4), np.uint8), np.ones(other, np.uint8)
    with pytest.raises(UsageError, match="Give one grid"):
        shape.measure(labels, image, spacing=(1, 1, 1))


def test_the_shape_of_one_section_is_that_of_what_goes_on_beyond_it():
    disc = solid((1, 41, 41), lambda z, y, x: y * y + x * x <= 15**2)
    table = shape.measure(disc, keep_border=True, spacing=(10.0, 10.0, 10.0))
    assert table["surface_area_um2"][0] == pytest.approx(2 * np.pi * 0.15 * 0.01, rel=0.02)
