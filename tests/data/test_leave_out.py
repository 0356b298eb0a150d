"""A whole cell is held out: every painted plane of it, and nothing of the others."""

from __future__ import annotations

import pytest
from plane_stacks import ONE, both, stack

from fibseg.data import ObliqueData, SparseData, split_planes
from fibseg.data.split import CELL
from fibseg.errors import DataError, UsageError


def test_a_cell_is_tested_and_the_others_are_trained_on() -> None:
    stacks = [stack(both(n), list(range(0, 10 * n, 10)), name=name)
              for n, name in ((3, "a"), (4, "b"), (2, "c"))]
    split = split_planes(stacks, ONE, SparseData(leave_out="b"))
    assert split.kind == CELL
    assert [(h.store, h.z, h.boxes) for h in split.held_out] == [
        (1, z, None) for z in (0, 10, 20, 30)
    ]
    assert split.train == ((0, 10, 20), (), (0, 10))
    assert not stacks[1].annotation.any()
    assert [int(a.max()) for a in split.annotation] == [2] * 4


def test_planes_without_paint_are_not_tested() -> None:
    painted = both(3)
    painted[1] = 0
    stacks = [stack(both(2), [0, 1], name="a"), stack(painted, [0, 1, 2], name="b")]
    split = split_planes(stacks, ONE, SparseData(leave_out="b"))
    assert [h.z for h in split.held_out] == [0, 2]


def test_a_learning_curve_thins_the_others_alone() -> None:
    stacks = [stack(both(8), list(range(8)), name=name) for name in "ab"]
    split = split_planes(stacks, ONE, SparseData(leave_out="a", fraction=0.5))
    assert [len(z) for z in split.train] == [0, 4]
    assert len(split.held_out) == 8


def test_what_is_no_other_cell_is_refused() -> None:
    stacks = [stack(both(3), [0, 1, 2], name=name) for name in "ab"]
    with pytest.raises(UsageError, match=r"leave_out=z is not one of several volumes.* a, b"):
        split_planes(stacks, ONE, SparseData(leave_out="z"))
    with pytest.raises(UsageError, match="Name one of two or more"):
        split_planes(stacks[:1], ONE, SparseData(leave_out="a"))
    stacks[1].annotation[stacks[1].annotation == 2] = 1
    with pytest.raises(DataError, match="Without a, mitochondria is painted in none"):
        split_planes(stacks, ONE, SparseData(leave_out="a"))


@pytest.mark.parametrize(
    "beside", [{"fold": 1}, {"held_out": [3]}, {"reserved": [3]}, {"split": "boxes"}]
)
def test_nothing_else_is_held_out_beside_it(beside: dict[str, object]) -> None:
    (name,) = beside
    with pytest.raises(UsageError, match=rf"goes without data\.{name}"):
        SparseData(leave_out="a", **beside)  # type: ignore[arg-type]


def test_rotated_planes_and_unknown_balances_are_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.leave_out: rotated planes"):
        ObliqueData(leave_out="a")
    with pytest.raises(UsageError, match="balance='much' is none of cell, planes, voxels"):
        SparseData(balance="much")
    assert SparseData(leave_out=7).leave_out == "7"  # type: ignore[arg-type]
