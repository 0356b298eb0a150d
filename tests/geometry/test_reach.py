"""Reach: what an operator declares, with defaults and nested partials, and halos."""

from __future__ import annotations

from functools import partial

import pytest

from fibseg.errors import UsageError
from fibseg.geometry import halo_voxels, is_local, reach, reach_nm


@reach(lambda radius_nm, times: radius_nm * times)
def blur(mask, *, radius_nm, times=2, spacing=(1, 1, 1)):
    return mask


def test_reach_uses_bound_values_and_defaults():
    assert reach_nm(partial(blur, radius_nm=10)) == 20
    assert reach_nm(partial(partial(blur, radius_nm=10, times=1), times=3)) == 30
    assert is_local(partial(blur, radius_nm=1))


def test_a_global_operator_is_named():
    def fill_everything(mask, *, spacing):
        return mask

    assert not is_local(fill_everything)
    with pytest.raises(UsageError, match="fill_everything declares no reach"):
        reach_nm(fill_everything)


@pytest.mark.parametrize(
    ("nm", "halo"), [(0, (0, 0, 0)), (20, (1, 2, 2)), (20.1, (2, 3, 3)), (3 * 0.1 * 100, (2, 3, 3))]
)
def test_halo_covers_the_distance_and_no_voxel_more(nm, halo):
    assert halo_voxels(nm, (20.0, 10.0, 10.0)) == halo
