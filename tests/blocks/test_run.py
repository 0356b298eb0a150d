from __future__ import annotations

import functools

import block_work
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, shapes, spacings

from fibseg.blocks import Serial, map_blocks, reduce_blocks
from fibseg.blocks.reduce import fold
from fibseg.blocks.task import IN_FLIGHT
from fibseg.errors import PartlyDoneError, UsageError


def image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(np.int64)


@settings(deadline=None, max_examples=60)
@given(shapes(low=0), spacings(), block_shapes(), st.sampled_from([0.0, 9.0, 40.0]))
def test_blockwise_equals_whole_for_a_local_operator(shape, spacing, block_shape, radius_nm):
    fn = functools.partial(block_work.box_sum, radius_nm=radius_nm, spacing=spacing)
    source, target = image(shape), np.full(shape, -1)
    map_blocks(fn, source, target, block_shape=block_shape)
    np.testing.assert_array_equal(target, fn(source) if source.size else source)


def test_the_spacing_may_be_given_to_the_verb():
    fn = functools.partial(block_work.box_sum, radius_nm=20)
    source, target = image((9, 9, 9)), np.zeros((9, 9, 9), dtype=int)
    map_blocks(fn, source, target, block_shape=(4, 4, 4), spacing=(20, 10, 5))
    np.testing.assert_array_equal(target, fn(source, spacing=(20, 10, 5)))
    with pytest.raises(UsageError, match="no spacing is given"):
        map_blocks(fn, source, target, block_shape=(4, 4, 4))


def test_several_sources_and_targets():
    class Both:
        def read_box(self, write, shape):
            return write

        def __call__(self, a, b, *, block):
            return a + b, a - b

    a, b = image((5, 6, 7), 1), image((5, 6, 7), 2)
    total, difference = np.zeros_like(a), np.zeros_like(a)
    map_blocks(Both(), [a, b], [total, difference], block_shape=(2, 6, 3))
    np.testing.assert_array_equal(total, a + b)
    np.testing.assert_array_equal(difference, a - b)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fn": np.negative}, "global operator"),
        ({"sources": np.zeros((4, 4, 5))}, "does not lie on the grid"),
        ({"target": [np.zeros((4, 4, 4)), np.zeros((4, 4, 5))]}, "targets of one shape"),
        ({"block_shape": (4, 4)}, "Give 3 whole numbers"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(change, words):
    right = {
        "fn": block_work.plus_one, "sources": np.zeros((4, 4, 4)), "target": np.zeros((4, 4, 4)),
        "block_shape": (2, 2, 2),
    }
    plan = {**right, **change}
    with pytest.raises(UsageError, match=words):
        map_blocks(
            plan["fn"], plan["sources"], plan["target"], block_shape=plan["block_shape"]
        )


def test_a_result_that_does_not_fit_the_target_is_a_failed_block():
    with pytest.raises(PartlyDoneError, match=r"returned float64 .* but uint8"):
        map_blocks(
            block_work.plus_one, np.zeros((2, 2, 2)), np.zeros((2, 2, 2), dtype=np.uint8),
            block_shape=(2, 2, 2),
        )


def test_failed_blocks_are_listed_and_only_they_are_tried_again(tmp_path):
    source, target = image((12, 2, 2)), np.full((12, 2, 2), -1)
    diary = tmp_path / "diary"
    diary.mkdir()
    work = functools.partial(
        map_blocks, sources=source, target=target, block_shape=(1, 2, 2),
        journal=tmp_path / "journal",
    )
    bad = block_work.Poisoned(fails=(3, 7), diary=str(diary))
    with pytest.raises(PartlyDoneError, match="2 of 12 blocks failed, 10 are done") as caught:
        work(bad)
    assert "poison in block 3" in str(caught.value)
    assert (target[3] == -1).all()
    assert (np.delete(target, [3, 7], axis=0) != -1).all()
    work(block_work.Poisoned(diary=str(diary)))
    np.testing.assert_array_equal(target, source + 1)
    times = {int(file.name): len(file.read_text()) for file in diary.iterdir()}
    assert times == {n: 2 if n in (3, 7) else 1 for n in range(12)}
    target[:] = 0
    work(block_work.Poisoned(diary=str(diary)))
    assert (target == 0).all(), "a finished run started again does nothing"


def test_a_changed_fingerprint_computes_everything_again(tmp_path):
    source, target = image((4, 2, 2)), np.zeros((4, 2, 2), dtype=int)
    for fingerprint in ("a", "b"):
        target[:] = 0
        map_blocks(
            block_work.plus_one, source, target, block_shape=(2, 2, 2),
            journal=tmp_path / "journal", fingerprint=fingerprint,
        )
        np.testing.assert_array_equal(target, source + 1)


def test_when_everything_fails_it_stops_early(tmp_path):
    bad = block_work.Poisoned(fails=tuple(range(100)), diary=str(tmp_path))
    with pytest.raises(PartlyDoneError, match=r"(8|9|10) of 100 blocks failed, 0 are done"):
        map_blocks(bad, image((100, 1, 1)), np.zeros((100, 1, 1), int), block_shape=(1, 1, 1))
    assert 8 <= len(list(tmp_path.iterdir())) < 8 + IN_FLIGHT


@given(shapes(low=0), block_shapes())
def test_reduce_sums_over_all_blocks(shape, block_shape):
    source = image(shape)
    total = reduce_blocks(block_work.Sum(), source, lambda a, b: a + b, block_shape=block_shape)
    assert (total or 0) == source.sum()


@given(st.lists(st.text(max_size=3), min_size=1))
def test_fold_keeps_the_order(words):
    assert fold(words, lambda left, right: left + right) == "".join(words)


def test_fold_of_nothing_is_none():
    assert fold([], lambda left, right: left + right) is None


def test_the_serial_runner_needs_no_pickling():
    target = np.zeros((3, 1, 1), int)
    fn = functools.partial(block_work.plus_one)
    map_blocks(fn, image((3, 1, 1)), target, block_shape=(1, 1, 1), runner=Serial())
    np.testing.assert_array_equal(target, image((3, 1, 1)) + 1)
