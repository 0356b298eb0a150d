from __future__ import annotations

import cc3d
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, masks

from fibseg.blocks import Processes, label_blocks
from fibseg.errors import DataError, PartlyDoneError, UsageError

CONNECTIVITY = st.sampled_from([6, 18, 26])


def whole(mask, connectivity, min_voxels=0):
    """The reference: scipy on the whole volume, ranked by the first voxel in C order."""
    rank = {6: 1, 18: 2, 26: 3}[connectivity]
    labels, _ = ndimage.label(mask, structure=ndimage.generate_binary_structure(3, rank))
    counts = np.bincount(labels.ravel())
    values, first = np.unique(labels, return_index=True)
    keep = (values > 0) & (counts[values] >= min_voxels)
    order = values[keep][np.argsort(first[keep])]
    ids = np.zeros(len(counts), dtype=np.uint32)
    ids[order] = np.arange(1, len(order) + 1)
    return ids[labels]


@settings(deadline=None, max_examples=80)
@given(masks(), block_shapes(), CONNECTIVITY, st.sampled_from([0, 1, 2, 7]))
def test_blockwise_equals_whole(mask, block_shape, connectivity, min_voxels):
    target = np.full(mask.shape, 99, dtype=np.uint32)
    n = label_blocks(
        mask, target, block_shape=block_shape, connectivity=connectivity, min_voxels=min_voxels
    )
    expected = whole(mask, connectivity, min_voxels)
    np.testing.assert_array_equal(target, expected)
    assert n == expected.max()


def test_the_ids_are_those_of_cc3d():
    mask = np.random.default_rng(0).random((40, 50, 60)) < 0.12
    target = np.zeros(mask.shape, dtype=np.uint32)
    label_blocks(mask, target, block_shape=(16, 16, 16))
    np.testing.assert_array_equal(target, cc3d.connected_components(mask, connectivity=26))


@pytest.mark.parametrize("step", [(1, 0, 0), (1, 1, 0), (1, -1, 0), (0, 1, -1), (1, 1, 1),
                                  (1, -1, 1), (1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_two_voxels_meet_across_a_face_an_edge_or_a_corner(step, connectivity):
    mask = np.zeros((4, 4, 4), dtype=bool)
    here = tuple(1 if s >= 0 else 2 for s in step)
    mask[here] = mask[tuple(h + s for h, s in zip(here, step, strict=True))] = True
    n = label_blocks(
        mask, np.zeros((4, 4, 4), np.uint8), block_shape=(2, 2, 2), connectivity=connectivity
    )
    assert n == (1 if sum(map(abs, step)) <= {6: 1, 18: 2, 26: 3}[connectivity] else 2)


def test_one_object_that_winds_through_all_blocks():
    mask = np.zeros((9, 20, 20), dtype=bool)
    mask[::2] = True
    mask[1::4, -1, -1] = mask[3::4, 0, 0] = True
    assert label_blocks(mask, np.zeros(mask.shape, np.uint8), block_shape=(2, 7, 9)) == 1


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 1, 1), (3, 0, 0)])
def test_tiny_volumes(shape):
    target = np.zeros(shape, dtype=np.uint32)
    assert label_blocks(np.ones(shape, bool), target, block_shape=(2, 2, 2)) == (target.size > 0)
    assert (target == 1).all()


def test_more_objects_than_numbers_is_an_error():
    mask = np.zeros((1, 40, 40), dtype=bool)
    mask[:, ::2, ::2] = True
    with pytest.raises(DataError, match="400 components cannot be numbered in uint8"):
        label_blocks(mask, np.zeros(mask.shape, np.uint8), block_shape=(1, 8, 8))


def test_a_connectivity_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="Use 6, 18 or 26"):
        label_blocks(np.ones((2, 2, 2)), np.zeros((2, 2, 2)), block_shape=(2, 2, 2),
                     connectivity=8)


def test_processes_number_as_serial_does(tmp_path):
    mask = np.random.default_rng(1).random((24, 32, 32)) < 0.1
    stored = zarr.save_array(tmp_path / "mask", mask)
    stored = zarr.open_array(tmp_path / "mask", mode="r")
    target = zarr.create_array(tmp_path / "out", shape=mask.shape, chunks=(8, 16, 16), dtype="u4")
    label_blocks(stored, target, block_shape=(8, 16, 16), runner=Processes(n_workers=2))
    np.testing.assert_array_equal(target[:], whole(mask, 26))


def test_a_second_call_does_nothing_and_other_inputs_start_afresh(tmp_path):
    mask = np.random.default_rng(2).random((8, 8, 8)) < 0.2
    target = np.zeros(mask.shape, dtype=np.uint32)

    def again(mask, **change):
        return label_blocks(
            mask, target, block_shape=(4, 4, 4), scratch=tmp_path / "scratch",
            journal=tmp_path / "journal", **{"fingerprint": "a", **change},
        )

    n = again(mask)
    assert n == whole(mask, 26).max()
    target[:] = 0
    assert again(mask) == n
    assert (target == 0).all()
    assert not (tmp_path / "scratch" / "blocks").exists(), "faces are removed once solved"
    again(mask, connectivity=6)
    np.testing.assert_array_equal(target, whole(mask, 6))
    again(~mask, fingerprint="b")
    np.testing.assert_array_equal(target, whole(~mask, 26))


def test_a_mask_that_changes_meanwhile_is_noticed(tmp_path):
    mask = np.zeros((4, 4, 4), dtype=bool)
    label_blocks(mask, np.zeros((4, 4, 4), np.uint8), block_shape=(4, 4, 4), scratch=tmp_path)
    mask[0, 0, 0] = True
    with pytest.raises(PartlyDoneError, match="it is being changed"):
        label_blocks(mask, np.zeros((4, 4, 4), np.uint8), block_shape=(4, 4, 4), scratch=tmp_path)
