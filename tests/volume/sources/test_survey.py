"""What is known of a source adds up: the same for any blocks of whole rows, in any order."""

from __future__ import annotations

import functools
import hashlib
import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.blocks import Grid
from fibseg.volume.sources import Survey, part_of

DTYPES = ("uint8", "uint16", "int16", "uint32", "int64", "bool", "float32", "float64", "float16")


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(*(st.integers(1, 9) for _ in range(3))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    data = rng.integers(0, draw(st.sampled_from([2, 100, 1000])), shape)
    if dtype.kind == "i":
        data -= 50
    image = data.astype(dtype)
    if dtype.kind == "f":
        bad = rng.random(shape) < draw(st.sampled_from([0, 0.02, 1]))
        image[bad] = rng.choice([np.nan, np.inf, -np.inf], bad.sum())
    return image


def surveyed(image: np.ndarray, block: tuple[int, int], order: Any = list) -> Survey:
    grid = Grid.over(image.shape, (*block, image.shape[2]))
    kept = image.dtype in (np.uint8, np.uint16)
    parts = [
        part_of(image[b.write.slices], b.write.start, count=True, histogram=kept)
        for b in order(list(grid.blocks()))
    ]
    return functools.reduce(operator.add, parts).finish(image.shape, image.dtype)


@given(image=images(), block=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0))
def test_any_blocks_in_any_order_give_the_same(image, block, seed):
    shuffled = np.random.default_rng(seed).permutation
    whole = surveyed(image, image.shape[:2])
    parts = surveyed(image, block, lambda blocks: [blocks[k] for k in shuffled(len(blocks))])
    assert repr(parts) == repr(whole)


@given(image=images())
def test_it_is_what_numpy_says(image):
    found = surveyed(image, (2, 3))
    good = image[np.isfinite(image)]
    bad = np.argwhere(~np.isfinite(image))
    assert found.n_bad == len(bad)
    assert found.first_bad == (tuple(bad[0]) if len(bad) else None)
    if good.size:
        assert (found.lowest, found.highest) == (good.min(), good.max())
    if image.dtype.kind in "iub":
        values, numbers = np.unique(image, return_counts=True)
        expected = dict(zip(values.tolist(), numbers.tolist(), strict=True))
        assert found.counts == (expected if len(expected) <= 256 else None)
    else:
        assert found.counts is None
    if found.histogram is not None:
        size = np.iinfo(image.dtype).max + 1
        np.testing.assert_array_equal(
            found.histogram, np.bincount(image.ravel(), minlength=size)
        )


def test_the_digest_is_the_documented_one():
    image = np.arange(24, dtype="<u2").reshape(2, 3, 4)
    total = sum(
        int(hashlib.sha256(f"{z},{y}:".encode() + image[z, y].tobytes()).hexdigest(), 16)
        for z in range(2) for y in range(3)
    )
    text = b'["<u2", [2, 3, 4]]' + (total % 2**256).to_bytes(32, "big")
    assert surveyed(image, (1, 2)).digest == hashlib.sha256(text).hexdigest()


@given(image=images(), seed=st.integers(0))
def test_other_voxels_have_another_digest(image, seed):
    rng = np.random.default_rng(seed)
    other = image.copy()
    place = tuple(rng.integers(0, n) for n in image.shape)
    other.view(f"u{image.itemsize}")[place] ^= 1
    assert surveyed(other, (2, 2)).digest != surveyed(image, (2, 2)).digest


@pytest.mark.parametrize(
    "other",
    [
        lambda a: a[::-1].copy(), lambda a: a[:, ::-1].copy(), lambda a: a[:, :, ::-1].copy(),
        lambda a: a.reshape(a.shape[1], a.shape[0], a.shape[2]), lambda a: a.view(np.int16),
        lambda a: a.reshape(1, -1, a.shape[2]), lambda a: a.astype(np.uint32),
    ],
)
def test_moved_planes_and_rows_another_shape_and_type_have_another_digest(other):
    image = np.random.default_rng(0).integers(0, 9, (4, 6, 5), dtype=np.uint16)
    assert surveyed(other(image), (2, 2)).digest != surveyed(image, (2, 2)).digest
