from __future__ import annotations

import pytest

from fibseg.errors import UsageError
from fibseg.postprocess import fewest_voxels, most_voxels

CUBE = (10.0, 10.0, 10.0)


def test_volumes_become_whole_numbers_of_voxels():
    assert fewest_voxels(min_voxels=None, min_volume_um3=3e-6, spacing=CUBE) == 3
    assert fewest_voxels(min_voxels=None, min_volume_um3=3.1e-6, spacing=CUBE) == 4
    assert most_voxels(max_volume_um3=3e-6, spacing=CUBE) == 3
    assert most_voxels(max_volume_um3=3.9e-6, spacing=CUBE) == 3
    assert fewest_voxels(min_voxels=7, min_volume_um3=None, spacing=CUBE) == 7


def test_no_limit():
    assert fewest_voxels(min_voxels=None, min_volume_um3=None, spacing=CUBE) == 0
    assert most_voxels(max_volume_um3=None, spacing=CUBE) is None


def test_limits_that_cannot_be_meant():
    with pytest.raises(UsageError, match="Set one of them to null"):
        fewest_voxels(min_voxels=1, min_volume_um3=1, spacing=CUBE)
    with pytest.raises(UsageError, match="Give 0 or more"):
        fewest_voxels(min_voxels=-1, min_volume_um3=None, spacing=CUBE)
    with pytest.raises(UsageError, match="Give 0 or more"):
        most_voxels(max_volume_um3=-1, spacing=CUBE)
