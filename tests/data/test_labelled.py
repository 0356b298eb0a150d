"""Which cell a patch comes from: a cell with much paint does not drown one with little."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.data import Patches, SparseData
from fibseg.data.labelled import LabelledRows
from fibseg.errors import DataError

N = 4000
MANY, FEW = 18, 2


def rows(balance: str) -> LabelledRows:
    """A cell with 18 planes, and one with 2 of half as much paint."""
    many = np.ones((MANY, 8, 8), np.uint8)
    many[:, 2:6, 2:6] = 2
    few = np.ones((FEW, 8, 8), np.uint8)
    few[:, 2:4, 2:6] = 2
    return LabelledRows([many, few], 2, names=["many", "few"], balance=balance)


def share_of_few(balance: str, *, foreground: float) -> float:
    drawn, random = rows(balance), np.random.default_rng(1)
    found = [drawn.draw(random, foreground=foreground) for _ in range(N)]
    for number, (plane, y, x) in found[:200]:
        value = drawn.annotations[number][plane, y, x]
        assert value == (2 if foreground else 1)
    return float(np.mean([number for number, _ in found]))


@pytest.mark.parametrize(
    ("balance", "expected"),
    [("cell", 0.5), ("planes", FEW / (FEW + MANY)), ("voxels", 0.5 * FEW / (0.5 * FEW + MANY))],
)
def test_cells_are_drawn_as_often_as_the_balance_says(balance: str, expected: float) -> None:
    # Five standard errors: one in two million would fail.
    margin = 5 * np.sqrt(expected * (1 - expected) / N)
    assert share_of_few(balance, foreground=1.0) == pytest.approx(expected, abs=margin)


def test_background_is_balanced_too_and_voxels_of_a_cell_are_all_drawn() -> None:
    assert share_of_few("cell", foreground=0.0) == pytest.approx(0.5, abs=0.04)
    drawn, random = rows("cell"), np.random.default_rng(2)
    seen = {drawn.draw(random, foreground=1.0) for _ in range(N)}
    assert len({place for number, place in seen if number == 1}) == FEW * 8
    assert {place[0] for number, place in seen if number == 0} == set(range(MANY))


def test_a_class_of_one_cell_comes_from_that_cell() -> None:
    first, second = np.ones((3, 8, 8), np.uint8), np.ones((3, 8, 8), np.uint8)
    second[1, 3, 3] = 2
    drawn = LabelledRows([first, second], 2, names=["a", "b"])
    random = np.random.default_rng(0)
    assert {drawn.draw(random, foreground=1.0) for _ in range(20)} == {(1, (1, 3, 3))}
    with pytest.raises(DataError, match="value 2 is left to train on in a"):
        LabelledRows([first], 2, names=["a"])


@pytest.mark.parametrize(("balance", "expected"), [("cell", 0.5), ("planes", 0.1), ("voxels", 0.1)])
def test_unlabelled_patches_come_from_every_cell(balance: str, expected: float) -> None:
    drawn, random = rows(balance), np.random.default_rng(1)
    found = [drawn.draw_plane(random) for _ in range(N)]
    assert np.mean([number for number, _ in found]) == pytest.approx(expected, abs=0.04)
    assert {plane for number, plane in found if number == 0} == set(range(MANY))


def test_a_single_cell_is_drawn_from_as_without_any_balance() -> None:
    annotation = rows("cell").annotations[0]
    drawn = {
        balance: LabelledRows([annotation], 2, names=["a"], balance=balance)
        for balance in SparseData.balances
    }
    for seed in range(20):
        found = {
            d.draw(np.random.default_rng(seed), foreground=0.5) for d in drawn.values()
        }
        assert len(found) == 1


def test_patches_take_the_balance_of_the_settings() -> None:
    from plane_stacks import both, stack

    def stacks() -> list[object]:
        return [stack(both(n, 16), list(range(n)), name=str(n)) for n in (30, 2)]

    def share(balance: str) -> float:
        data = SparseData(patch=16, batch=400, unlabelled=400, balance=balance)
        patches = Patches(stacks(), n_channels=2, data=data, seed=0)  # type: ignore[arg-type]
        return float(np.mean([centre[0] for centre in patches.centres(0)]))

    assert share("cell") == pytest.approx(0.5, abs=0.06)
    assert share("planes") < 0.1
