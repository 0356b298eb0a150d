from __future__ import annotations

import itertools
import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops_table
from strategies import block_shapes, label_volumes, spacings

from fibseg.blocks import Grid
from fibseg.errors import UsageError
from fibseg.measure import regions, wide


def image_of(labels, dtype=np.uint16):
    """Intensities over the whole range of a type, the same for the same shape."""
    info = np.iinfo(dtype)
    rng = np.random.default_rng(labels.size)
    return rng.integers(info.min, info.max, labels.shape, dtype=dtype, endpoint=True)


@settings(deadline=None, max_examples=100)
@given(label_volumes(), block_shapes(), spacings(), st.booleans(), st.booleans())
def test_blockwise_equals_whole_bit_by_bit(labels, block_shape, spacing, moments, with_image):
    image = image_of(labels) if with_image else None
    sums = None
    for block in Grid.over(labels.shape, block_shape).blocks():
        cut, start = block.write.slices, block.write.start
        part = regions.partial(
            labels[cut], None if image is None else image[cut], start=start, moments=moments
        )
        sums = part if sums is None else regions.merge(sums, part)
    table = regions.finish(sums, shape=labels.shape, spacing=spacing)
    whole = regions.measure(labels, image, moments=moments, spacing=spacing)
    assert list(table) == list(whole)
    for name in whole:
        np.testing.assert_array_equal(table[name], whole[name], strict=True)


@settings(deadline=None, max_examples=30)
@given(label_volumes(), st.sampled_from([1, 7, 100]))
def test_the_slabs_of_a_block_do_not_matter(labels, slab_voxels):
    image = image_of(labels)
    whole = regions.partial(labels, image, start=(1, 2, 3))
    with mock.patch.object(regions, "SLAB_VOXELS", slab_voxels):
        by_slabs = regions.partial(labels, image, start=(1, 2, 3))
    for name in whole:
        np.testing.assert_array_equal(by_slabs[name], whole[name], strict=True)


@settings(deadline=None, max_examples=60)
@given(label_volumes(), spacings())
def test_the_numbers_are_those_of_skimage(labels, spacing):
    table = regions.measure(labels, spacing=spacing)
    other = regionprops_table(labels, properties=("label", "area", "bbox", "centroid"))
    np.testing.assert_array_equal(table["label"], other["label"])
    np.testing.assert_array_equal(table["n_voxels"], other["area"])
    np.testing.assert_allclose(
        table["volume_um3"], np.asarray(other["area"]) * np.prod(spacing) / 1e9
    )
    for axis, name in enumerate("zyx"):
        np.testing.assert_array_equal(table[f"bbox_{name}_start"], other[f"bbox-{axis}"])
        np.testing.assert_array_equal(table[f"bbox_{name}_stop"], other[f"bbox-{axis + 3}"])
        np.testing.assert_allclose(
            table[f"centroid_{name}_um"],
            np.asarray(other[f"centroid-{axis}"]) * spacing[axis] / 1000, atol=1e-12,
        )


@settings(deadline=None, max_examples=40)
@given(label_volumes(high=9), spacings(), st.sampled_from([np.uint8, np.uint16, np.int16]))
def test_shape_and_brightness_are_those_of_skimage(labels, spacing, dtype):
    image = image_of(labels, dtype)
    table = regions.measure(labels, image, spacing=spacing)
    wanted = ("inertia_tensor", "intensity_mean", "intensity_min", "intensity_max")
    other = regionprops_table(
        labels, image.astype(np.float64), properties=wanted, spacing=spacing
    ) if labels.any() else dict.fromkeys(table, np.zeros(0))
    for name in wanted[1:]:
        np.testing.assert_allclose(table[name], other[name], rtol=1e-12)
    for row in range(len(table["label"])):
        inertia = np.array(
            [[other[f"inertia_tensor-{a}-{b}"][row] for b in range(3)] for a in range(3)]
        )
        points = np.trace(inertia) / 2 * np.eye(3) - inertia
        variances = np.linalg.eigvalsh(points + np.diag(np.square(spacing)) / 12)
        found = [table[f"axis_{name}_um"][row] for name in ("minor", "middle", "major")]
        np.testing.assert_allclose(found, 2e-3 * np.sqrt(5 * variances), rtol=1e-6)


def test_isotropic_axes_are_those_of_skimage_but_for_the_voxel_itself():
    labels = (np.random.default_rng(5).random((30, 20, 40)) < 0.1).astype(np.uint8)
    other = regionprops_table(labels, properties=("axis_major_length", "axis_minor_length"))
    table = regions.measure(labels, spacing=(10.0, 10.0, 10.0))
    for name in ("major", "minor"):
        points = np.sqrt(table[f"axis_{name}_um"] ** 2 - 20 * 0.01**2 / 12)
        np.testing.assert_allclose(points, other[f"axis_{name}_length"] * 0.01, rtol=1e-6)


def test_the_axes_of_an_ellipsoid_are_its_own():
    spacing = (20.0, 10.0, 8.0)
    grid = np.indices((40, 50, 100)) * np.reshape(spacing, (3, 1, 1, 1))
    centre = np.reshape((390, 245, 396), (3, 1, 1, 1))
    ball = (((grid - centre) / np.reshape((150, 200, 350), (3, 1, 1, 1))) ** 2).sum(axis=0) <= 1
    table = regions.measure(ball.astype(np.uint8), spacing=spacing)
    found = [table[f"axis_{name}_um"][0] for name in ("major", "middle", "minor")]
    np.testing.assert_allclose(found, [0.7, 0.4, 0.3], rtol=0.01)


def test_a_box_of_voxels_has_the_moments_of_a_solid_box():
    for shape in ((1, 1, 1), (2, 3, 5)):
        table = regions.measure(np.ones(shape, np.uint8), spacing=(40.0, 10.0, 10.0))
        sides = np.sort(np.array(shape) * (40.0, 10.0, 10.0))[::-1]
        found = [table[f"axis_{name}_um"][0] for name in ("major", "middle", "minor")]
        np.testing.assert_allclose(found, 1e-3 * 2 * np.sqrt(5 * sides**2 / 12))


def test_the_sums_are_exact_far_from_the_origin():
    block = np.zeros((32, 64, 64), dtype=np.uint32)
    block[1:, 3:, 5:] = 4_000_000_000
    start = (2_000_000_000, 30_000, 4_000_000_000)
    sums = regions.partial(block, start=start)
    places = [index.astype(object) + s for index, s in zip(np.nonzero(block), start, strict=True)]
    assert sums["label"].tolist() == [4_000_000_000]
    for axis, place in zip("zyx", places, strict=True):
        assert sums[f"sum_{axis}"].tolist() == [int(place.sum())]
    assert int((places[0] * places[2]).sum()) > 2**63
    for a, b in itertools.combinations_with_replacement(range(3), 2):
        pair = "zyx"[a] + "zyx"[b]
        exact = int((places[a] * places[b]).sum())
        assert wide.joined(f"sum_{pair}", sums).tolist() == [exact]


def sums_of_box(start, stop):
    """What `partial` would give for a solid box, by Gauss, in Python integers."""
    sides = [b - a for a, b in zip(start, stop, strict=True)]
    ones = [(a + b - 1) * n // 2 for a, b, n in zip(start, stop, sides, strict=True)]
    squares = [_pyramid(b) - _pyramid(a) for a, b in zip(start, stop, strict=True)]
    n = math.prod(sides)
    table = {"label": np.array([3], dtype=np.uint32), "n_voxels": np.array([n])}
    for i, axis in enumerate("zyx"):
        table[f"sum_{axis}"] = np.array([ones[i] * (n // sides[i])])
        table[f"start_{axis}"], table[f"stop_{axis}"] = np.array([start[i]]), np.array([stop[i]])
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        line = squares[i] * (n // sides[i]) if i == j else (
            ones[i] * ones[j] * (n // sides[i] // sides[j])
        )
        table |= wide.split(f"sum_{'zyx'[i]}{'zyx'[j]}", np.array([line], dtype=object))
    return table


def _pyramid(n):
    return (n - 1) * n * (2 * n - 1) // 6


def test_the_sums_of_a_box_are_those_by_gauss():
    start, stop = (3, 0, 7), (5, 6, 10)
    counted = regions.partial(np.full((2, 6, 3), 3, np.uint32), start=start)
    expected = sums_of_box(start, stop)
    assert {k: v.tolist() for k, v in counted.items()} == {
        k: v.tolist() for k, v in expected.items()
    }


def test_an_object_of_a_trillion_voxels_keeps_its_shape():
    near, far = (70_000, 80_000, 90_000), (80_000, 90_000, 100_000)
    middle = 94_000
    halves = [
        sums_of_box(near, (*far[:2], middle)), sums_of_box((*near[:2], middle), far)
    ]
    sums = regions.merge(*halves)
    exact = sums_of_box(near, far)
    assert {k: v.tolist() for k, v in sums.items()} == {k: v.tolist() for k, v in exact.items()}
    assert sums["n_voxels"].tolist() == [10**12]
    assert wide.joined("sum_xx", sums)[0] > 2**72
    table = regions.finish(sums, shape=(10**5,) * 3, spacing=(4.0, 4.0, 8.0))
    found = [table[f"axis_{name}_um"][0] for name in ("major", "middle", "minor")]
    np.testing.assert_allclose(found, 2e-3 * np.sqrt(5 * np.square([8e4, 4e4, 4e4]) / 12))


def test_an_image_without_exact_sums_is_refused():
    labels = np.ones((2, 2, 2), dtype=np.uint8)
    with pytest.raises(UsageError, match="float32 have no exact sums"):
        regions.partial(labels, labels.astype(np.float32), start=(0, 0, 0))
    with pytest.raises(UsageError, match="Give one grid"):
        regions.partial(labels, labels[:1], start=(0, 0, 0))


@pytest.mark.parametrize(
    ("place", "touches"), [((0, 1, 1), True), ((1, 1, 3), True), ((1, 1, 1), False)]
)
def test_an_object_at_a_face_touches_the_border(place, touches):
    labels = np.zeros((3, 4, 4), dtype=np.uint32)
    labels[place] = 1
    assert regions.measure(labels, spacing=(1, 1, 1))["touches_border"].tolist() == [touches]


def test_nothing_gives_a_table_without_rows():
    full = regions.measure(np.ones((1, 1, 1), np.uint32), spacing=(1, 1, 1))
    for table in (
        regions.finish(None, shape=(0, 3, 3), spacing=(1, 1, 1)),
        regions.measure(np.zeros((0, 3, 3), np.uint32), spacing=(1, 1, 1)),
        regions.measure(np.zeros((2, 3, 3), np.uint32), spacing=(1, 1, 1)),
    ):
        assert list(table) == list(full)
        assert all(len(column) == 0 for column in table.values())
        assert {n: c.dtype for n, c in table.items()} == {n: c.dtype for n, c in full.items()}


@settings(deadline=None, max_examples=40)
@given(label_volumes(), label_volumes(), label_volumes())
def test_merging_is_associative_and_commutative(a, b, c):
    a, b, c = (regions.partial(x, start=(7 * i, 3, 0)) for i, x in enumerate((a, b, c)))
    merge = regions.merge
    for left, right in [(merge(merge(a, b), c), merge(a, merge(b, c))), (merge(a, b), merge(b, a))]:
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], strict=True)


def test_a_table_of_a_few_voxels_can_be_checked_by_eye():
    labels = np.zeros((2, 3, 4), dtype=np.uint32)
    labels[0, 1, 1:3] = 9
    labels[1, 2, 3] = 4
    table = regions.measure(labels, spacing=(100.0, 10.0, 10.0))
    assert table["label"].tolist() == [4, 9]
    assert table["n_voxels"].tolist() == [1, 2]
    np.testing.assert_allclose(table["volume_um3"], [1e-5, 2e-5])
    np.testing.assert_allclose(table["centroid_z_um"], [0.1, 0])
    np.testing.assert_allclose(table["centroid_y_um"], [0.02, 0.01])
    np.testing.assert_allclose(table["centroid_x_um"], [0.03, 0.015])
    assert table["bbox_x_start"].tolist() == [3, 1]
    assert table["bbox_x_stop"].tolist() == [4, 3]
