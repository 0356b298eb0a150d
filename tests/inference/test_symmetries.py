"""Symmetries are data: each can be undone, and sets have no doubles."""

from __future__ import annotations

import pytest
import torch

from fibseg.errors import UsageError
from fibseg.inference.symmetries import SYMMETRIES, average, symmetries

IMAGES = torch.arange(24.0).view(1, 2, 3, 4)


@pytest.mark.parametrize("way", SYMMETRIES["d4"])
def test_undo_undoes(way):
    assert torch.equal(way.undo(way.apply(IMAGES)), IMAGES)
    assert way.apply(IMAGES).shape[2:] == ((4, 3) if way.transpose else (3, 4))


@pytest.mark.parametrize(("name", "n"), [("none", 1), ("flips", 4), ("d4", 8)])
def test_sets_have_all_their_members(name, n):
    square = torch.arange(9.0).view(1, 1, 3, 3)
    seen = {tuple(way.apply(square).flatten().tolist()) for way in symmetries(name)}
    assert len(seen) == n
    assert tuple(square.flatten().tolist()) in seen


def test_the_average_of_what_turns_along_is_itself():
    ways = symmetries("d4")
    torch.testing.assert_close(average(lambda images: images * 2, IMAGES, ways), IMAGES * 2)
    corner = average(lambda i: torch.zeros_like(i).index_fill(2, torch.tensor([0]), 1.0),
                     torch.zeros(1, 1, 5, 5), ways)
    torch.testing.assert_close(corner, corner.transpose(2, 3))
    torch.testing.assert_close(corner, corner.flip(2))
    assert corner.mean() == pytest.approx(0.2)


def test_an_unknown_set_names_the_known_ones():
    with pytest.raises(UsageError, match="none, flips, d4"):
        symmetries("rotations")
