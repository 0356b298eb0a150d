"""Crowds and empty places that were built in are found, and none elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from surfaces import apart, ball

from fibseg.errors import UsageError
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.surface_clusters import clusters, islands
from fibseg.measure.surface_pairs import SurfacePairs, scattered


@pytest.fixture(scope="module")
def pairs():
    envelope = EnvelopeMesh.of(ball(1.6), spacing=(40, 40, 40))
    return SurfacePairs.of(envelope, radii_um=(0.25, 0.5, 1.0))


def test_cores_are_those_of_scikit_learn(pairs):
    points, _ = scattered(pairs.envelope, 300, np.random.default_rng(0))
    found = clusters(pairs, pairs.envelope.feet(points), distance_um=0.22, n_simulations=0)
    feet = pairs.envelope.feet(points).points_um
    other = DBSCAN(eps=0.22, min_samples=5).fit(feet)  # counts the object itself
    assert ((found.cluster > 0) == (other.labels_ >= 0)).all()
    core = other.core_sample_indices_
    together = found.cluster[core][:, None] == found.cluster[core][None]
    assert (together == (other.labels_[core][:, None] == other.labels_[core][None])).all()
    sizes = np.bincount(found.cluster)[1:]
    assert (np.diff(sizes) <= 0).all()


def test_a_crowd_is_one_cluster_and_more_than_chance(pairs):
    envelope = pairs.envelope
    loose = apart(envelope, 120, least_um=0.3)
    rng = np.random.default_rng(0)
    crowd = loose[0] + 0.08 * rng.standard_normal((25, 3))
    found = clusters(pairs, envelope.feet(np.concatenate([loose, crowd])), n_simulations=99)
    assert set(np.unique(found.cluster[120:])) <= {0, 1}
    assert (found.cluster[120:] == 1).mean() > 0.8
    assert (found.cluster[:120] > 0).sum() <= 6
    assert found.p_value < 0.1
    assert found.share > found.share_at_random


def test_objects_that_keep_apart_have_no_cluster(pairs):
    found = clusters(
        pairs, pairs.envelope.feet(apart(pairs.envelope, 200, least_um=0.26)), n_simulations=19
    )
    assert found.cluster.max() == 0
    assert found.p_value == 1


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_object(pairs, n):
    feet = pairs.envelope.feet(pairs.envelope.vertices_um[:n])
    assert clusters(pairs, feet, n_simulations=19).cluster.tolist() == [0] * n


def test_an_island_is_what_is_left_around_an_empty_place(pairs):
    envelope = pairs.envelope
    points = apart(envelope, 10_000, least_um=0.2)
    top = np.argmax(points[:, 0])
    keep = np.linalg.norm(points - points[top], axis=1) > 1.0
    found = islands(envelope, envelope.feet(points[keep]), radius_um=0.5)
    assert np.pi * 0.5**2 < found["area_um2"][0] < np.pi * 0.65**2  # the nearest are 1.0 to 1.15
    assert found["area_um2"][1:].sum() < 0.02
    middle = [found[f"{a}_um"][0] for a in "zyx"]
    assert np.linalg.norm(np.array(middle) - points[top]) < 0.15


def test_without_objects_everything_is_an_island(pairs):
    nothing = pairs.envelope.feet(np.zeros((0, 3)))
    found = islands(pairs.envelope, nothing)
    assert found["area_um2"].tolist() == pytest.approx([pairs.envelope.total_um2])
    everywhere = pairs.envelope.feet(pairs.envelope.vertices_um[::25])
    assert not len(islands(pairs.envelope, everywhere)["area_um2"])


def test_what_cannot_be_meant_is_refused(pairs):
    feet = pairs.envelope.feet(pairs.envelope.vertices_um[:5])
    with pytest.raises(UsageError, match="at least 1"):
        clusters(pairs, feet, n_others=0)
    with pytest.raises(UsageError, match=r"such as 0\.5"):
        islands(pairs.envelope, feet, radius_um=0)
