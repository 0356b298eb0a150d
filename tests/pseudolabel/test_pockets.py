"""The shell of pockets, and what is known of each."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fibseg.errors import UsageError
from fibseg.geometry import halo_voxels, reach_nm
from fibseg.pseudolabel import PocketLimits, envelope_shell, nearest_to_border
from fibseg.pseudolabel.envelope import NORMAL_NM

SPACING = (30.0, 15.0, 15.0)


def ball(radius_nm=240.0, shape=(24, 48, 48)):
    offset = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, SPACING, strict=True)]
    away = np.sqrt(sum(o**2 for o in np.ix_(*(o for o in offset))))
    return away < radius_nm, radius_nm - away


def test_a_shell_lies_at_its_depth():
    nucleus, depth = ball()
    shell = envelope_shell(nucleus, from_nm=60.0, to_nm=150.0, spacing=SPACING)
    assert not shell[~nucleus].any()
    assert shell[(depth > 60 + 30) & (depth < 150 - 30)].all()
    assert not shell[(depth < 60 - 30) | (depth > 150 + 30)].any()


def test_a_shell_looks_no_farther_than_its_depth():
    nucleus, _ = ball()
    fn = partial(envelope_shell, from_nm=60.0, to_nm=150.0)
    assert reach_nm(fn) == 150.0 + NORMAL_NM
    halo = halo_voxels(reach_nm(fn), SPACING)[2]
    part = envelope_shell(nucleus[:, :, :32], from_nm=60.0, to_nm=150.0, spacing=SPACING)
    whole = envelope_shell(nucleus, from_nm=60.0, to_nm=150.0, spacing=SPACING)
    np.testing.assert_array_equal(part[:, :, :-halo], whole[:, :, : 32 - halo])


def test_faces_of_the_volume_are_no_envelope():
    nucleus, _ = ball()
    cut = nucleus[12:]
    shell = envelope_shell(cut, from_nm=0.0, to_nm=60.0, spacing=SPACING)
    assert not shell[0, 20:28, 20:28].any()
    assert shell[-6:].any()


@pytest.mark.parametrize("depth", [(50.0, 50.0), (-10.0, 50.0), (80.0, 20.0)])
def test_depths_go_up(depth):
    with pytest.raises(UsageError, match="no range"):
        envelope_shell(ball()[0], from_nm=depth[0], to_nm=depth[1], spacing=SPACING)


def test_distances_run_from_surface_to_surface():
    nucleus = np.zeros((1, 1, 12), bool)
    nucleus[..., 2:] = True
    labels = np.zeros((1, 1, 12), np.uint32)
    labels[..., 2], labels[..., 6:8], labels[..., 10] = 4, 9, 2
    found = nearest_to_border(labels, nucleus, max_nm=100.0, spacing=SPACING)
    assert found["label"].tolist() == [2, 4, 9]
    assert found["distance_nm"].tolist() == [100.0, 0.0, 60.0]


def test_what_reaches_across_the_border_touches_it():
    nucleus = np.array([[[0, 0, 1, 1]]])
    found = nearest_to_border(
        np.array([[[0, 3, 3, 0]]], np.uint32), nucleus, max_nm=100.0, spacing=SPACING
    )
    assert found["distance_nm"].tolist() == [0.0]


def test_without_objects_there_are_no_distances():
    found = nearest_to_border(
        np.zeros((2, 3, 4), np.uint32), np.ones((2, 3, 4)), max_nm=9.0, spacing=SPACING
    )
    assert len(found["label"]) == len(found["distance_nm"]) == 0


def test_limits_are_volumes_and_distances():
    limits = PocketLimits(min_volume_nm3=3.2e6, max_volume_nm3=16e6, max_distance_nm=100.0)
    kept = limits.keep(
        np.array([399, 400, 2000, 2001, 1000]), np.array([0.0, 0, 100, 0, 101]),
        spacing=(20.0, 20.0, 20.0),
    )
    assert kept.tolist() == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"min_volume_nm3": 17e6}, "no range"), ({"max_distance_nm": 0.0}, "max_distance_nm=0")],
)
def test_limits_that_cannot_be_are_refused(change, said):
    with pytest.raises(UsageError, match=said):
        PocketLimits(**change)
