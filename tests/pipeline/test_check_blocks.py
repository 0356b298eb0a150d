"""`fibseg check` finds the same whatever the blocks are, and what it finds is what scipy finds."""

from __future__ import annotations

import functools
import operator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import ADVERSARIES, block_shapes, label_volumes, shapes

from fibseg.blocks import Grid, Processes, reduce_blocks
from fibseg.pipeline import check
from fibseg.pipeline.check_image import GreyBlock, GreyValues
from fibseg.pipeline.check_painting import paint_of
from fibseg.pipeline.check_pieces import SPECK_PIXELS, Paint, PaintBlock, Tally
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

EIGHT = np.ones((3, 3))


@st.composite
def paintings(draw: st.DrawFn) -> np.ndarray:
    """Values 0 to 4 in patches, spots, lines, or what winds through all blocks of a plane."""
    size = draw(shapes())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["patches", "spots", "sparse planes", *ADVERSARIES]))
    if kind in ADVERSARIES:
        axis = draw(st.integers(0, 2))  # so that planes are cut through it in every direction
        turned = ADVERSARIES[kind](tuple(np.roll(size, axis)))
        return np.moveaxis(turned, range(3), np.roll(range(3), -axis)).astype(np.uint8) * 2
    paint = rng.integers(0, 5, size, dtype=np.uint8)
    if kind == "patches":
        paint = np.kron(paint, np.ones((1, 2, 3), np.uint8))[:, : size[1], : size[2]]
    else:
        paint[rng.random(size) < 0.6] = 0
    if kind == "sparse planes":
        paint[rng.random(size[0]) < 0.7] = 0
    return paint


def expected(painted: np.ndarray, values: list[int]) -> dict[tuple[int, int], Tally]:
    """Pieces by plane and value, as `scipy.ndimage.label` has them on whole planes."""
    found = {}
    for z, plane in enumerate(painted):
        for value in values:
            pieces, n = ndimage.label(plane == value, EIGHT)
            sizes = np.bincount(pieces.ravel())[1:]
            if n:
                found[z, value] = Tally(n, int((sizes < SPECK_PIXELS).sum()))
    return found


@given(painted=paintings(), block=block_shapes(low=1))
def test_pieces_across_blocks_are_those_of_whole_planes(painted, block):
    paint = paint_of(painted, [2, 3, 4], block_shape=block)
    assert dict(paint.pieces) == expected(painted, [2, 3, 4])
    assert not len(paint.open_pieces)
    assert not len(paint.rims)
    assert sorted(paint.voxels) == [z for z, plane in enumerate(painted) if plane.any()]
    for z, counts in paint.voxels.items():
        direct = np.bincount(painted[z].ravel(), minlength=256)
        assert counts[0] == 0
        np.testing.assert_array_equal(counts[1:], direct[1:])


def parts_of(painted: np.ndarray, grid: Grid) -> list[Paint]:
    block_of = PaintBlock(grid, [2, 3, 4])
    return [block_of(painted[b.write.slices], block=b) for b in grid.blocks()]


@given(painted=paintings(), block=block_shapes(low=3), seed=st.integers(0, 2**32 - 1))
def test_neighbours_may_be_joined_in_any_order(painted, block, seed):
    parts = parts_of(painted, Grid.over(painted.shape, block))
    rng = np.random.default_rng(seed)
    while len(parts) > 1:
        k = int(rng.integers(len(parts) - 1))
        parts[k : k + 2] = [parts[k] + parts[k + 1]]
    assert dict(parts[0].pieces) == expected(painted, [2, 3, 4])


def test_what_is_kept_is_no_more_than_the_rim():
    """Of a plane full of paint, the pixels beside blocks that have not been looked at yet."""
    painted = np.full((2, 40, 40), 2, np.uint8)
    half = sum_of(parts_of(painted, Grid.over(painted.shape, (2, 10, 10)))[:8])
    assert half.open_pieces.tolist() == [[0, 2, 800], [1, 2, 800]]
    assert len(half.rims) == 2 * 40


def sum_of(parts: list[Paint]) -> Paint:
    return functools.reduce(operator.add, parts)


@given(image=label_volumes(), block=block_shapes(low=1))
def test_grey_values_are_those_of_the_whole(image, block):
    image = (image % 7).astype(np.uint16)
    image[::3] = 5
    found: GreyValues = reduce_blocks(GreyBlock(), image, operator.add, block_shape=block)
    np.testing.assert_array_equal(found.counts, np.bincount(image.ravel(), minlength=65536))
    np.testing.assert_array_equal(found.lowest, image.min(axis=(1, 2)))
    np.testing.assert_array_equal(found.highest, image.max(axis=(1, 2)))
    assert found.constant_planes == [z for z, p in enumerate(image) if p.min() == p.max()]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_processes_report_the_same(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 200, (70, 90, 80)).astype(dtype)
    raw[66] = 7
    paint = (ndimage.gaussian_filter(rng.normal(size=raw.shape), (0, 3, 3)) > 0.02).astype("u1")
    paint += (rng.random(raw.shape) < 0.001) & (paint > 0)
    paint[::2] = 0
    volume = Volume.create(
        tmp_path / "a.ome.zarr", shape=raw.shape, dtype=dtype, spacing=(9, 9, 9), polarity="dark"
    )
    volume.raw()[:] = raw
    finish_raw(volume)
    product = volume.create_labels(
        "cell", kind="annotation", dtype=np.uint8, inputs="x", classes={"mito": 2}
    )
    product.array[:] = paint
    finish_product(product)
    serial = check.run(volume=volume.path)
    assert check.run(volume=volume.path, blocks=Processes(2)).text() == serial.text()
    assert serial.look.constant_planes == [66]
    (painting,) = serial.paintings
    assert painting.n_objects("mito") == sum(t.n for t in expected(paint, [2]).values()) > 9
