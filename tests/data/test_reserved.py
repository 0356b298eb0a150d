from __future__ import annotations

import numpy as np
import pytest
from plane_stacks import ONE, both, stack

from fibseg.data import ObliqueData, SparseData, choose_reserved, split_planes
from fibseg.errors import DataError, UsageError


def test_reserved_planes_are_neither_trained_on_nor_held_out() -> None:
    z = list(range(0, 120, 10))
    plain = split_planes([stack(both(12), z)], ONE, SparseData())
    assert plain.reserved == ((),)
    stacks = [stack(both(12), z)]
    split = split_planes(stacks, ONE, SparseData(reserved=[50, 40]))
    assert split.reserved == ((40, 50),)
    held = {h.z for h in split.held_out}
    assert held
    assert not held & {40, 50}
    assert set(split.train[0]) | held == set(z) - {40, 50}
    assert not stacks[0].annotation[[4, 5]].any()


def test_planes_near_reserved_ones_are_not_used_at_all() -> None:
    z = list(range(20))
    data = SparseData(reserved=[17, 18, 19], gap_nm=60.0)
    split = split_planes([stack(both(20), z)], ONE, data)
    used = {h.z for h in split.held_out} | set(split.train[0])
    assert max(used) == 14
    wide = split_planes([stack(both(20), z)], ONE, data, context=2)
    assert max({h.z for h in wide.held_out} | set(wide.train[0])) == 13


@pytest.mark.parametrize("split", ["boxes", "none"])
def test_other_splits_leave_them_alone_too(split: str) -> None:
    stacks = [stack(both(6), list(range(0, 60, 10)))]
    found = split_planes(stacks, ONE, SparseData(reserved=[50], split=split))
    assert 50 not in found.train[0]
    assert 50 not in {h.z for h in found.held_out}


def test_a_fold_keeps_its_planes() -> None:
    z = list(range(0, 100, 10))
    data = SparseData(fold=1, reserved=[0, 10, 40])
    split = split_planes([stack(both(10), z)], ONE, data)
    assert [h.z for h in split.held_out] == [20, 30]


def test_one_list_is_for_one_volume() -> None:
    stacks = [stack(both(6), list(range(0, 60, 10)), name=n) for n in "ab"]
    split = split_planes(stacks, ONE, SparseData(reserved=[[], [50]]))
    assert split.reserved == ((), (50,))
    with pytest.raises(UsageError, match=r"reserved=\[\[50\]\] are lists of planes of 1 volumes"):
        split_planes(stacks, ONE, SparseData(reserved=[50]))
    with pytest.raises(UsageError, match="mixes"):
        SparseData(reserved=[[1], 2])
    with pytest.raises(UsageError, match="reserved"):
        ObliqueData(reserved=[1])
    assert SparseData(reserved=[]).reserved is None


def test_planes_without_painting_cannot_be_reserved() -> None:
    with pytest.raises(DataError, match=r"names the planes \[7\] of a, .* Painted are \[0, 10"):
        split_planes([stack(both(4), [0, 10, 20, 30])], ONE, SparseData(reserved=[7]))


def test_what_is_chosen_leaves_enough_for_both_others() -> None:
    z = list(range(0, 100, 10))
    chosen = choose_reserved([stack(both(10), z)], ONE, SparseData())
    assert chosen == ((0, 10),)
    split = split_planes([stack(both(10), z)], ONE, SparseData(reserved=chosen))
    assert len(split.held_out) == 2
    assert len(split.train[0]) == 6


def test_with_a_fold_the_next_one_is_chosen() -> None:
    z = list(range(0, 100, 10))
    assert choose_reserved([stack(both(10), z)], ONE, SparseData(fold=4)) == ((0, 10),)
    assert choose_reserved([stack(both(10), z)], ONE, SparseData(fold=1)) == ((40, 50),)


def test_single_planes_of_several_volumes_are_chosen_together() -> None:
    stacks = [stack(both(1), [5], name=n) for n in "abc"]
    assert choose_reserved(stacks, ONE, SparseData()) == ((5,), (), ())


def test_one_plane_cannot_be_shared() -> None:
    with pytest.raises(DataError, match=r"Of 1 painted plane none .* test_planes=\[\]"):
        choose_reserved([stack(both(1), [5])], ONE, SparseData())
    alone = both(3)
    alone[1:][alone[1:] == 2] = 1
    with pytest.raises(DataError, match="Of 3 painted planes none"):
        choose_reserved([stack(np.asarray(alone), [0, 10, 20])], ONE, SparseData())


def test_planes_to_hold_out_can_be_named() -> None:
    z = list(range(0, 100, 10))
    data = SparseData(held_out=[40, 20], reserved=[90], gap_nm=300.0)
    split = split_planes([stack(both(10), z)], ONE, data)
    assert [h.z for h in split.held_out] == [20, 40]
    assert split.train == ((0, 60, 70),)
    with pytest.raises(DataError, match=r"data\.held_out names the planes \[5\] of a"):
        split_planes([stack(both(10), z)], ONE, SparseData(held_out=[5]))
    with pytest.raises(DataError, match="cannot be split"):  # it is reserved: nothing is left of it
        split_planes([stack(both(10), z)], ONE, SparseData(held_out=[20], reserved=[20]))
    for wrong in ({"split": "boxes"}, {"fold": 1}):
        with pytest.raises(UsageError, match=r"data\.held_out names planes"):
            SparseData(held_out=[20], **wrong)
