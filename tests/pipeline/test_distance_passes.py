from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from benches import DiskBench, MemoryBench
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, masks, spacings

from fibseg import postprocess
from fibseg.blocks import Processes, Serial
from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box
from fibseg.pipeline import distance_blocks, distance_passes, distance_sides
from fibseg.pipeline.bench import Sheet, Work
from fibseg.pipeline.distance_blocks import InPlanes
from fibseg.pipeline.distance_passes import ACROSS, IN_PLANES, most_read
from fibseg.pipeline.distance_sides import Chosen, find_sides, look_at_sides

ALL = Chosen()
CAPS = st.sampled_from([3.0, 20.0, 57.3, 400.0])
BORDERED = masks().filter(lambda mask: mask.any() and not mask.all())


@contextlib.contextmanager
def small(most_voxels=2**27, slab=3, cell=2, first_part=16, rows=3):
    """Everything that is cut is cut small."""
    with (
        mock.patch.object(distance_blocks, "MOST_VOXELS", most_voxels),
        mock.patch.object(distance_blocks, "ROWS", rows),
        mock.patch.object(distance_blocks, "SLAB", slab),
        mock.patch.object(distance_blocks, "FIRST_PART", first_part),
        mock.patch.object(distance_sides, "CELL", cell),
    ):
        yield


def in_passes(labels, target, folder, *, signed=False, chosen=ALL, max_nm, work, inputs=""):
    how = {"chosen": chosen, "signed": signed, "work": work, "inputs": inputs}
    sides = find_sides(labels, folder=folder, **how)
    distance_passes.write_distances(labels, target, sides=sides, max_nm=max_nm, **how)


def blockwise(mask, *, block_shape, spacing, **how):
    target = Sheet(np.full(mask.shape, np.nan, dtype=np.float32), None, Path("unused"))
    with tempfile.TemporaryDirectory() as folder:
        bench = MemoryBench(mask.shape, Path(folder))
        work = Work(bench, block_shape=block_shape, runner=Serial(), spacing=spacing)
        in_passes(mask, target, Path(folder), work=work, **how)
    return target.array


@settings(max_examples=150)
@given(
    BORDERED, spacings(), block_shapes(), CAPS, st.booleans(), st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 3, 16]),
)
def test_blockwise_equals_whole(mask, spacing, block_shape, max_nm, signed, cell, first_part):
    kernel = postprocess.signed_distance if signed else postprocess.distance
    how = {"max_nm": max_nm, "spacing": spacing}
    with small(cell=cell, first_part=first_part):
        found = blockwise(mask, signed=signed, block_shape=block_shape, **how)
    np.testing.assert_allclose(found, kernel(mask, **how), rtol=1e-6)


@settings(max_examples=60)
@given(
    BORDERED, st.sampled_from([(8.0, 8.0, 8.0), (30.0, 10.0, 10.0), (4.0, 8.0, 12.0)]),
    block_shapes(), CAPS,
)
def test_it_is_the_same_bit_by_bit_where_spacings_are_multiples(mask, spacing, block_shape, max_nm):
    how = {"max_nm": max_nm, "spacing": spacing}
    with small():
        found = blockwise(mask, signed=True, block_shape=block_shape, **how)
    np.testing.assert_array_equal(found, postprocess.signed_distance(mask, **how))


class Counted:
    """An array that remembers what was read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.sizes, self.along_x = [], []

    def __getitem__(self, box):
        part = self.array[box]
        self.sizes.append(part.size)
        self.along_x.append((box[2].start, box[2].stop))
        return part


@settings(max_examples=60)
@given(BORDERED, spacings(), block_shapes(), st.sampled_from([57.3, 400.0]), st.integers(0, 2))
def test_no_worker_holds_more_of_the_mask_than_it_may(mask, spacing, block_shape, max_nm, spare):
    """The bound is one plane of a block with all of the cap around it, or a little more."""
    how = {"max_nm": max_nm, "spacing": spacing, "block_shape": block_shape}
    plane = most_read(mask.shape, **{**how, "block_shape": (1, *block_shape[1:])})[IN_PLANES]
    held = []

    def noted(passes, read):
        found = whole(passes, read)
        held.append(found.size)
        return found

    whole = InPlanes._mask_of
    with small(most_voxels=plane + spare), mock.patch.object(
        InPlanes, "_mask_of", noted
    ):
        found = blockwise(mask, **how)
    assert max(held, default=0) <= plane + spare
    expected = postprocess.distance(mask, max_nm=max_nm, spacing=spacing)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@given(masks(), st.integers(1, 5), st.data())
def test_a_mask_is_read_in_bands_of_rows(mask, rows, data):
    start = tuple(data.draw(st.integers(0, n - 1)) for n in mask.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, mask.shape, strict=True))
    source, box = Counted(mask * np.uint32(7)), Box(start, stop)
    passes = InPlanes(source, ALL, sides=mock.Mock(), max_nm=9, spacing=(5, 5, 5))
    with small(rows=rows):
        np.testing.assert_array_equal(passes._mask_of(box), mask[box.slices])
    assert max(source.sizes) <= box.shape[0] * rows * box.shape[2]


def test_the_largest_box_of_a_large_volume_stays_within_the_bound():
    """The case of the manual: 2 µm at 5 nm, blocks of a store, a volume of 10¹² voxels."""
    shape, block, spacing = (10_000,) * 3, (64, 512, 512), (5.0, 5.0, 5.0)
    labels = mock.Mock(shape=shape, dtype=np.dtype(np.uint32))
    distance_passes.check_reach(labels, max_nm=2000, block_shape=block, spacing=spacing)
    passes = InPlanes(
        labels, ALL, sides=mock.Mock(**{"of.return_value": 3}), max_nm=2000, spacing=spacing
    )
    middle = Box((640, 5120, 5120), (704, 5632, 5632))
    first = passes.read_box(middle, shape)
    assert first.shape == (64, 562, 562)
    (piece,) = passes._pieces(middle, 2000)
    assert passes._grown(piece, 2000).shape == (64, 1312, 1312), "110 MB of mask"
    far = list(passes._pieces(middle, 15_000))
    assert sum(piece.size for piece in far) == middle.size
    assert max(passes._grown(piece, 15_000).size for piece in far) <= 2**27
    assert len(far) == 22
    most = most_read(shape, max_nm=2000, block_shape=block, spacing=spacing)
    assert most[IN_PLANES] == 64 * 1312 * 1312
    assert most[ACROSS] == 864 * 512 * 512
    assert distance_passes.worker_bytes(most, block) < 1.5 * 2**30


def test_a_cap_for_which_no_memory_would_do_is_refused_before_any_work():
    labels = mock.Mock(shape=(100, 20_000, 20_000), dtype=np.dtype(np.uint32))
    how = {"block_shape": (64, 512, 512), "spacing": (5.0, 5.0, 5.0)}
    distance_passes.check_reach(labels, max_nm=25_000, **how)
    with pytest.raises(UsageError, match=r"max_nm=30000 is 6000 voxels far.* 157 million voxels"):
        distance_passes.check_reach(labels, max_nm=30_000, **how)
    labels.shape = (100, 2000, 2000)
    distance_passes.check_reach(labels, max_nm=30_000, **how)


def test_what_is_far_from_the_other_side_is_never_read():
    mask = np.zeros((8, 64, 64), dtype=bool)
    mask[4, 4, 4] = True
    source = Counted(mask)
    how = {"max_nm": 9.0, "spacing": (1.0, 1.0, 1.0)}
    with small(cell=4, slab=4, rows=64):
        found = blockwise(source, signed=True, block_shape=(4, 8, 8), **how)
    np.testing.assert_array_equal(found, postprocess.signed_distance(mask, **how))
    n_blocks = 2 * 8 * 8
    read_again = [size for size in source.sizes[n_blocks:] if size]
    assert read_again, "the passes read what is near"
    assert len(source.sizes) - n_blocks >= n_blocks
    assert len(read_again) < n_blocks / 4


def test_only_what_is_uncertain_is_read_again_with_a_wider_halo():
    mask = np.zeros((1, 1, 64), dtype=bool)
    mask[:, :, 0] = True
    source = Counted(mask)
    with small(cell=8, first_part=16):
        found = blockwise(source, max_nm=32.0, spacing=(1.0, 1.0, 1.0), block_shape=(1, 1, 8))
    np.testing.assert_array_equal(found[0, 0], np.minimum(np.arange(64), 32))
    boxes = sorted((a, b) for a, b in source.along_x[8:] if a < b)  # blocks are read ahead
    near = [(0, 10), (0, 16)]
    second = [(6, 18), (0, 24), (0, 48)]
    farther = [(14, 26), (8, 32), (0, 56), (22, 34), (16, 40), (0, 64), (30, 42), (24, 48), (0, 64)]
    assert boxes == sorted(near + second + farther), "and nothing of the three blocks beyond"


@pytest.mark.parametrize(
    ("numbers", "value", "said"),
    [(None, 0, "no object in the labels, all voxels are 0"),
     (None, 3, "in the labels fill the whole volume"),
     ((3, 5, 9), 3, "no object 5, 9 in the labels")],
)
def test_a_mask_without_a_border_is_refused_before_a_block_is_written(numbers, value, said):
    labels = np.full((3, 4, 5), value, dtype=np.uint32)
    how = {"max_nm": 20, "spacing": (1, 1, 1), "block_shape": (2, 4, 5)}
    with pytest.raises(DataError, match=said):
        blockwise(labels, chosen=Chosen(numbers), signed=True, **how)
    if value and numbers is None:
        np.testing.assert_array_equal(blockwise(labels, **how), np.zeros(labels.shape))


@pytest.mark.parametrize("max_nm", [0, -3, np.nan])
def test_a_cap_that_is_none_is_refused(max_nm):
    with pytest.raises(UsageError, match="is no distance to look"):
        distance_passes.check_reach(
            np.ones((2, 2, 2)), max_nm=max_nm, block_shape=(2, 2, 2), spacing=(1, 1, 1)
        )


@given(masks(), block_shapes(), st.integers(1, 4))
def test_sides_are_those_of_every_cell(mask, block_shape, cell):
    labels = mask * np.uint32(5)
    with small(cell=cell):
        cells, numbers = look_at_sides(
            labels, Chosen((5,)), block_shape=block_shape, runner=Serial()
        )
        edges = distance_sides.cell_shape(block_shape)
    assert numbers == ({5} if mask.any() else set())
    for place in np.ndindex(cells.shape):
        part = mask[tuple(slice(p * e, (p + 1) * e) for p, e in zip(place, edges, strict=True))]
        expected = distance_sides.INSIDE * part.any() + distance_sides.OUTSIDE * (not part.all())
        assert cells[place] == expected


def test_processes_find_what_serial_finds_and_a_finished_run_reads_nothing(tmp_path):
    labels = np.zeros((20, 24, 28), dtype=np.uint8)
    labels[3, 4, 5] = labels[18, 20, 1] = 1
    labels[10, 10, 10] = 2
    bench = DiskBench(labels.shape, tmp_path)
    stored, target = bench.stored("labels", labels), bench.sheet("distance", dtype="f4")
    how = {"max_nm": 170.0, "spacing": (20.0, 10.0, 10.0)}
    again = {"max_nm": 170.0, "inputs": "a", "signed": True, "chosen": Chosen((1,))}
    work = Work(bench, (8, 8, 16), Processes(n_workers=2), how["spacing"])
    in_passes(stored, target, tmp_path, work=work, **again)
    whole = postprocess.signed_distance(labels == 1, **how)
    np.testing.assert_array_equal(target.array[:], whole)
    source = Counted(labels)
    work = Work(bench, (8, 8, 16), Serial(), how["spacing"])
    in_passes(source, target, tmp_path, work=work, **again)
    assert not source.sizes
