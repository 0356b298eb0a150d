from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, label_volumes, spacings

from fibseg.blocks import Block, Serial
from fibseg.errors import DataError, PartlyDoneError
from fibseg.geometry import Box
from fibseg.metrics import (
    IGNORED,
    BoundaryScore,
    Contingency,
    Overlap,
    Scores,
    reach_of_boundary_score,
    score_planes,
)
from fibseg.pipeline.scoring import (
    BlockScores,
    ScoreBlock,
    TruthPlane,
    joined,
    score_each_plane,
    score_volume,
    truth_planes,
)

SPACING = (30.0, 10.0, 10.0)


def labels(seed: int, shape: tuple[int, int, int] = (9, 17, 19)) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    return ndimage.label(ndimage.gaussian_filter(noise, 1.2) > 0.1)[0].astype(np.uint32)


class Watched:
    """An array that notes the largest part that was ever read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = 0

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        part = self.array[key]
        self.largest = max(self.largest, part.size)
        return part


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Objects, the same moved and eaten away, and where nothing is known of them."""
    prediction = draw(label_volumes())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = np.roll(prediction, rng.integers(-2, 3, 3), (0, 1, 2))
    truth[rng.random(truth.shape) < draw(st.sampled_from([0.0, 0.1]))] = 0
    hidden = rng.random(truth.shape) < draw(st.sampled_from([0.02, 0.4, 1.0]))
    return prediction, truth, hidden if draw(st.booleans()) else None


@given(
    comparisons(), block_shapes(low=1), spacings(), st.sampled_from([0.0, 10.0, 21.0, 60.0])
)
@settings(max_examples=40)
def test_blockwise_equals_whole(
    compared: tuple[np.ndarray, np.ndarray, np.ndarray | None], block: tuple[int, int, int],
    spacing: tuple[float, float, float], tolerance_nm: float,
) -> None:
    p, t, hidden = compared
    how = {"tolerance_nm": tolerance_nm, "spacing": spacing}
    known = None if hidden is None else ~hidden
    got = score_volume(p, t, left_out=hidden, block_shape=block, **how)
    assert got.overlap == Overlap().update(p, t, scored=known)
    assert got.boundary == BoundaryScore().update(p > 0, t > 0, scored=known, **how)
    numbered = t if known is None else np.where(known, t, IGNORED)
    assert got.objects == Contingency().update(p, numbered).score()


def test_left_out_ground_is_unknown_ground() -> None:
    p, t = labels(1), labels(2)
    hidden = np.arange(19) < 6
    hidden = np.broadcast_to(hidden, p.shape)
    got = score_volume(
        p, t, left_out=hidden, tolerance_nm=10.0, block_shape=(5, 17, 10), spacing=SPACING
    )
    assert got.overlap == Overlap().update(p[:, :, 6:], t[:, :, 6:])
    assert got.objects == Contingency().update(p, np.where(hidden, IGNORED, t)).score()


def test_never_more_than_a_block_and_its_halo_is_read() -> None:
    p, t = Watched(labels(3, (20, 40, 40))), Watched(labels(4, (20, 40, 40)))
    block = (5, 10, 10)
    score_volume(p, t, tolerance_nm=10.0, block_shape=block, runner=Serial(), spacing=SPACING)
    halo = reach_of_boundary_score(10.0, spacing=SPACING)
    most = np.prod([b + 2 * h for b, h in zip(block, halo, strict=True)])
    assert p.largest <= most
    assert t.largest <= most


def test_one_voxel_and_an_empty_volume() -> None:
    one = np.ones((1, 1, 1), np.uint32)
    got = score_volume(one, one, tolerance_nm=5.0, block_shape=(4, 4, 4), spacing=SPACING)
    assert got.compute()["iou"] == got.compute()["object_f1_75"] == 1.0
    none = np.zeros((0, 4, 4), np.uint32)
    got = score_volume(none, none, tolerance_nm=5.0, block_shape=(4, 4, 4), spacing=SPACING)
    assert got == Scores()


def test_labels_that_are_no_whole_numbers_fail_with_the_reason() -> None:
    bad = labels(0).astype(np.float32)
    with pytest.raises((DataError, PartlyDoneError), match="float32, not whole numbers"):
        score_volume(bad, labels(0), tolerance_nm=5.0, block_shape=(9, 17, 19), spacing=SPACING)


def test_read_box_covers_the_tolerance_and_stays_inside() -> None:
    fn = ScoreBlock(tolerance_nm=25.0, spacing=SPACING)
    box = fn.read_box(Box((0, 10, 10), (4, 12, 12)), (9, 17, 19))
    assert box == Box((0, 6, 6), (6, 16, 16))


def test_a_block_counts_its_write_box_only() -> None:
    fn = ScoreBlock(tolerance_nm=10.0, spacing=SPACING)
    p, t = labels(5), labels(6)
    write = Box((3, 4, 5), (6, 9, 11))
    read = fn.read_box(write, p.shape)
    got = fn(p[read.slices], t[read.slices], block=Block(0, write, read))
    assert got.overlap.n_scored == write.size
    assert got.table.counts.sum() == write.size
    assert (got + BlockScores()).finish() == got.finish()


def painted() -> np.ndarray:
    annotation = np.ones((3, 12, 14), np.uint8)
    annotation[:, 2:6, 2:6] = 2
    annotation[:, 8:10, 8:12] = 2
    return annotation


def test_boxes_hide_what_lies_outside() -> None:
    plane = TruthPlane(7, painted()[0])
    assert plane.within(None) is plane
    inside = plane.within([(0, 0, 7, 7), (5, 5, 6, 14)])
    assert inside.z == 7
    want = np.zeros((12, 14), bool)
    want[:7, :7] = want[5, 5:14] = True
    np.testing.assert_array_equal(inside.annotation > 0, want)
    np.testing.assert_array_equal(inside.annotation[want], painted()[0][want])
    assert not plane.within([]).annotation.any()


def test_numbered_truth_becomes_painting_that_covers_everything() -> None:
    objects = np.array([[[0, 5, 6]], [[0, 0, 1]]], np.uint32)
    found = list(truth_planes(iter(objects), [4, 9], numbered=True))
    assert [p.z for p in found] == [4, 9]
    np.testing.assert_array_equal(found[0].annotation, [[1, 2, 2]])
    np.testing.assert_array_equal(found[0].objects, [[0, 5, 6]])
    (plain,) = truth_planes(iter(objects[:1]), [4], numbered=False)
    assert plain.objects is None
    np.testing.assert_array_equal(plain.annotation, objects[0])


def test_planes_are_scored_one_by_one_and_add_up_to_all() -> None:
    annotation = painted()
    prediction = np.roll(annotation == 2, 1, axis=2)
    by_plane = score_each_plane(
        truth_planes(iter(annotation), [0, 1, 2], numbered=False), lambda z: prediction[z],
        value=2, n_planes=3, tolerance_nm=10.0, spacing=SPACING,
    )
    assert list(by_plane) == [0, 1, 2]
    whole = score_planes(prediction, annotation, value=2, tolerance_nm=10.0, spacing=SPACING)
    total = joined(by_plane.values())
    assert total.overlap == whole.overlap
    assert total.boundary == whole.boundary
    assert total.compute() == pytest.approx(whole.compute(), nan_ok=True)
    assert joined([]) == Scores()
