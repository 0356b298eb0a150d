from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from strategies import label_volumes, spacings

from fibseg.measure import clouds
from fibseg.measure.bodies import FAR_POINTS, Body, depth_um


def voxels_of(labels, spacing):
    sums = clouds.partial(labels, start=(0, 0, 0), cell=(1, 1, 1))
    return clouds.finish(sums, cell=(1, 1, 1), spacing=spacing)


@given(label_volumes(), spacings(), st.integers(0, 300))
def test_a_body_is_its_object_about_its_deepest_point(labels, spacing, row):
    found = voxels_of(labels, spacing)
    if not len(found):
        return
    row %= len(found)
    body, own = Body.of(found, row), found.points_um[found.of(row)]
    # The same points, moved; the one at 0 is the deepest.
    origin = found.centres_um[row] - body.centre
    order, known = (np.lexsort(p.round(6).T) for p in (body.points + origin, own))
    np.testing.assert_allclose((body.points + origin)[order], own[known], atol=1e-7)
    outside = np.pad(labels != found.label[row], 1, constant_values=True)
    others = cKDTree((np.argwhere(outside) - 1) * np.array(spacing) / 1000)
    depth = others.query(own)[0]
    here = np.linalg.norm(own - origin, axis=1).argmin()
    assert depth[here] == pytest.approx(depth.max(), rel=1e-5)
    assert body.inner_um <= depth.max()


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_the_first_points_are_far_from_each_other(n, seed):
    """Each is as far as can be from the deepest point, at 0, and from those before it."""
    places = np.unique(np.random.default_rng(seed).integers(0, 40, (n, 3)), axis=0)
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[tuple(places.T)] = 1
    points = Body.of(voxels_of(labels, (1000.0,) * 3), 0).points
    assert len(np.unique(points.round(6), axis=0)) == len(places)
    for row in range(min(FAR_POINTS, len(points))):
        earlier = np.concatenate([np.zeros((1, 3)), points[:row]])
        to_earlier = np.linalg.norm(points[row:, None] - earlier, axis=2).min(axis=1)
        assert to_earlier[0] == pytest.approx(to_earlier.max(), abs=1e-6)


def test_depth_is_that_of_brute_force():
    outside = np.ones((9, 10, 11), bool)
    outside[2:7, 3:9, 1:8] = False
    size = (0.04, 0.02, 0.03)
    away = cKDTree(np.argwhere(outside) * size).query(np.argwhere(~outside) * size)[0]
    np.testing.assert_allclose(depth_um(outside, size)[~outside], away, rtol=1e-5)
    assert not depth_um(outside, size)[outside].any()
