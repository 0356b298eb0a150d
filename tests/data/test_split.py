from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from plane_stacks import ONE, both, stack

from fibseg.data import SparseData, split_planes
from fibseg.data.split import evenly
from fibseg.errors import DataError, UsageError


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=4, max_size=20, unique=True), st.integers(2, 6),
    st.floats(0, 150),
)
def test_held_out_planes_are_a_block_with_a_gap(z: list[int], folds: int, gap: float) -> None:
    planes = stack(both(len(z)), sorted(z))
    try:
        got = split_planes([planes], ONE, SparseData(folds=folds, gap_nm=gap))
    except DataError:  # too dense for the gap
        return
    held = [h.z for h in got.held_out]
    where = [planes.z.index(h) for h in held]
    assert where == list(range(where[0], where[-1] + 1))
    assert len(held) == max(1, round(len(z) / folds))
    assert min(abs(a - b) for a in got.train[0] for b in held) * 20 >= gap - 1e-6
    assert set(got.train[0]) == {
        p for p, a in zip(planes.z, planes.annotation, strict=True) if a.any()
    }
    for h, a in zip(got.held_out, got.annotation, strict=True):
        assert np.array_equal(a, both(1)[0])
        assert not planes.annotation[planes.z.index(h.z)].any()


def test_context_widens_the_gap() -> None:
    planes = stack(both(9), list(range(9)))
    got = split_planes([planes], ONE, SparseData(gap_nm=0.0, folds=9, fold=4), context=2)
    assert [h.z for h in got.held_out] == [4]
    assert got.train == ((0, 8),)


def test_folds_cover_every_plane_once() -> None:
    z = list(range(0, 110, 10))
    held = [
        [h.z for h in split_planes(
            [stack(both(11), z)], ONE, SparseData(folds=5, fold=fold)
        ).held_out]
        for fold in range(5)
    ]
    assert [z for block in held for z in block] == z


def test_the_block_with_every_class_is_taken() -> None:
    annotation = np.ones((6, 8, 8), np.uint8)
    annotation[[1, 4], :3] = 2
    got = split_planes([stack(annotation, [0, 10, 20, 30, 40, 50])], ONE, SparseData(folds=5))
    assert [h.z for h in got.held_out] in ([10], [40])


def test_one_plane_stores_are_split_between_stores() -> None:
    stacks = [stack(both(1), [0], name=n) for n in "abc"]
    got = split_planes(stacks, ONE, SparseData())
    assert len(got.held_out) == 1
    assert sum(len(t) for t in got.train) == 2


def test_every_store_with_planes_enough_is_tested() -> None:
    stacks = [stack(both(5), [0, 10, 20, 30, 40], name=n) for n in "ab"]
    got = split_planes(stacks, ONE, SparseData())
    assert [h.store for h in got.held_out] == [0, 1]


@pytest.mark.parametrize("z", [[0], [0, 1]])
def test_too_few_planes_name_boxes(z: list[int]) -> None:
    with pytest.raises(DataError, match=r"data\.split=boxes.*data\.split=none"):
        split_planes([stack(both(len(z)), z)], ONE, SparseData())


@pytest.mark.parametrize("split", ["planes", "boxes", "none"])
def test_a_class_painted_nowhere_is_named(split: str) -> None:
    with pytest.raises(DataError, match=r"nucleus \(value 3\) is painted on no plane"):
        split_planes(
            [stack(both(5), [0, 10, 20, 30, 40])], {"mitochondria": 2, "nucleus": 3},
            SparseData(split=split),
        )
    with pytest.raises(DataError, match="background"):
        split_planes([stack(np.full((3, 4, 4), 2, np.uint8), [0, 9, 18])], ONE,
                     SparseData(split=split))


def boxes_of(n: int) -> NDArray[np.uint8]:
    """Separate painted squares, each with background and class."""
    annotation = np.zeros((2, 20, 10 * n), np.uint8)
    for i in range(n):
        annotation[0, 2:9, 10 * i + 1 : 10 * i + 8] = 1
        annotation[0, 4:6, 10 * i + 3 : 10 * i + 6] = 2
    annotation[1] = annotation[0]
    return annotation


@pytest.mark.parametrize("factor", [1, 2])
def test_boxes_are_held_out_whole(factor: int) -> None:
    planes = stack(boxes_of(5), [0, 10], factor=factor)
    before = planes.annotation.copy()
    got = split_planes([planes], ONE, SparseData(split="boxes", folds=5))
    assert [h.z for h in got.held_out] in ([0], [10], [0, 10])
    assert sum(len(h.boxes or ()) for h in got.held_out) == 2
    for h, annotation in zip(got.held_out, got.annotation, strict=True):
        row = planes.z.index(h.z)
        assert np.array_equal(annotation + planes.annotation[row], before[row])
        for y0, x0, y1, x1 in h.boxes or ():
            part = annotation[y0 // factor : y1 // factor, x0 // factor : x1 // factor]
            assert part.shape == (7, 7)
            assert (part > 0).all()


def test_planes_that_follow_each_other_are_one_box() -> None:
    planes = stack(boxes_of(5), [0, 1])
    got = split_planes([planes], ONE, SparseData(split="boxes", folds=5))
    assert [h.z for h in got.held_out] == [0, 1]
    assert got.held_out[0].boxes == got.held_out[1].boxes


def test_folds_of_boxes_cover_every_region_once() -> None:
    n = 5
    held = [
        box
        for fold in range(3)
        for h in split_planes(
            [stack(boxes_of(n), [0, 1])], ONE, SparseData(split="boxes", folds=3, fold=fold)
        ).held_out
        if h.z == 0
        for box in h.boxes or ()
    ]
    assert len(held) == len(set(held)) == n


def test_one_region_cannot_be_split_into_boxes() -> None:
    with pytest.raises(DataError, match=r"1 painted region .*split=none"):
        split_planes([stack(both(1), [0])], ONE, SparseData(split="boxes"))


def test_none_holds_nothing_out() -> None:
    planes = stack(both(1), [0])
    got = split_planes([planes], ONE, SparseData(split="none"))
    assert got.held_out == ()
    assert planes.annotation.any()


@pytest.mark.parametrize("n", [0, 1, 2, 7, 64])
def test_any_first_few_of_an_even_order_are_spread_over_all(n: int) -> None:
    order = evenly(n)
    assert sorted(order) == list(range(n))
    for few in range(3, n):
        edges = np.diff(sorted([-1, *order[:few], n]))
        assert edges.max() <= 2 * n / few + 1


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_share_of_the_training_planes_leaves_the_test_as_it_is(fraction: float) -> None:
    whole, part = stack(both(40), list(range(0, 400, 10))), stack(both(40), list(range(0, 400, 10)))
    full = split_planes([whole], ONE, SparseData())
    got = split_planes([part], ONE, SparseData(fraction=fraction))
    assert got.held_out == full.held_out
    assert all(np.array_equal(a, b) for a, b in zip(got.annotation, full.annotation, strict=True))
    assert len(got.train[0]) == max(1, round(fraction * len(full.train[0])))
    assert set(got.train[0]) < set(full.train[0])


def test_smaller_shares_lie_in_larger_ones_and_every_store_keeps_a_plane() -> None:
    def trained(fraction: float) -> list[set[int]]:
        stacks = [stack(both(20), list(range(0, 200, 10)), name="a"),
                  stack(both(3), [0, 50, 100], name="b")]
        split = split_planes(stacks, ONE, SparseData(fraction=fraction, split="none"))
        return [set(z) for z in split.train]

    for small, large in ((0.05, 0.2), (0.2, 0.5), (0.5, 1.0)):
        assert all(s <= t and s for s, t in zip(trained(small), trained(large), strict=True))


def test_a_share_that_loses_a_class_or_is_none_is_refused() -> None:
    annotation = both(10)
    annotation[np.arange(10) != 3, 2:5, 2:5] = 1
    planes = stack(annotation, list(range(10)))
    with pytest.raises(DataError, match="leaves no plane on which mitochondria"):
        split_planes([planes], ONE, SparseData(split="none", fraction=0.2))
    for share in (0.0, 1.5):
        with pytest.raises(UsageError, match="above 0 and up to 1"):
            SparseData(fraction=share)
