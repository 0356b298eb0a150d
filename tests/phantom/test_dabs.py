"""Dabs on known truth: so many voxels, true, on both sides, half of them along the border."""

from __future__ import annotations

import edt
import numpy as np
import pytest
from strategies import ADVERSARIES

from fibseg.errors import UsageError
from fibseg.phantom import dabbed_annotation

SPACING = (20.0, 20.0, 20.0)


def ball(side=40, radius=14):
    along = (np.arange(side) - side / 2 + 0.5) ** 2
    return along[:, None, None] + along[:, None] + along < radius**2


def test_so_many_voxels_are_painted_truly():
    mask = ball()
    for n in (200, 35, 0):
        painted = dabbed_annotation(mask, n_voxels=n, spacing=SPACING)
        assert painted.dtype == np.uint8
        assert np.count_nonzero(painted) == n
        assert mask[painted == 2].all()
        assert not mask[painted == 1].any()
    painted = dabbed_annotation(mask, spacing=SPACING)
    assert [(painted == v).sum() for v in (1, 2)] == [100, 100]


@pytest.mark.parametrize("spacing", [SPACING, (40.0, 10.0, 10.0)])
def test_half_of_them_lie_along_the_border(spacing):
    mask = ball(70, 30)
    painted = dabbed_annotation(mask, spacing=spacing)
    for value, side in ((1, ~mask), (2, mask)):
        away = edt.edt(side, anisotropy=spacing, black_border=False)[painted == value]
        assert (away <= 60).mean() >= 0.45
        assert (away > 60).any()


def test_a_seed_is_a_painting():
    first, again, other = (dabbed_annotation(ball(), seed=s, spacing=SPACING) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("name", list(ADVERSARIES))
def test_what_has_no_room_is_painted_less(name):
    mask = ADVERSARIES[name]((3, 9, 8))
    painted = dabbed_annotation(mask, spacing=SPACING)
    assert mask[painted == 2].all()
    assert not mask[painted == 1].any()
    assert np.count_nonzero(painted) >= min(60, mask.sum())


def test_a_senseless_number_is_refused():
    with pytest.raises(UsageError, match="n_voxels=-1"):
        dabbed_annotation(ball(), n_voxels=-1, spacing=SPACING)
