from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from skimage.measure import regionprops_table
from strategies import block_shapes, label_volumes, spacings

from fibseg.blocks import Grid
from fibseg.measure import regions


@settings(deadline=None, max_examples=100)
@given(label_volumes(), block_shapes(), spacings())
def test_blockwise_equals_whole_bit_by_bit(labels, block_shape, spacing):
    sums = None
    for block in Grid.over(labels.shape, block_shape).blocks():
        part = regions.partial(labels[block.write.slices], start=block.write.start)
        sums = part if sums is None else regions.merge(sums, part)
    table = regions.finish(sums, shape=labels.shape, spacing=spacing)
    whole = regions.measure(labels, spacing=spacing)
    assert list(table) == list(whole)
    for name in whole:
        np.testing.assert_array_equal(table[name], whole[name], strict=True)


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


def test_the_sums_are_exact_far_from_the_origin():
    block = np.zeros((64, 128, 128), dtype=np.uint32)
    block[1:, 3:, 5:] = 4_000_000_000
    start = (20_000, 30_000, 40_000)
    sums = regions.partial(block, start=start)
    z, y, x = np.nonzero(block)
    assert sums["label"].tolist() == [4_000_000_000]
    for name, index, begin in zip("zyx", (z, y, x), start, strict=True):
        assert sums[f"sum_{name}"].tolist() == [int(index.astype(object).sum()) + begin * len(z)]


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
