"""What is connected within a ball equals a walk from link to link; sites stand for all vertices."""

from __future__ import annotations

import numpy as np
import pytest
from surfaces import ball, slit_ball

from fibseg.measure import connected_balls
from fibseg.measure.connected_balls import apart_in_balls, connected_in_balls, sites_of
from fibseg.measure.envelope import EnvelopeMesh


@pytest.fixture(scope="module")
def slit():
    return EnvelopeMesh.of(slit_ball(radius_um=0.7, width_um=0.12), spacing=(40, 40, 40))


def walked(envelope, centre, start, radius):
    """Members of one ball, found link by link."""
    near = np.linalg.norm(envelope.vertices_um - centre, axis=1) <= radius
    if not near[start]:
        return set()
    reached, open_ends = {start}, [start]
    indptr, indices = envelope.neighbours.indptr, envelope.neighbours.indices
    while open_ends:
        here = open_ends.pop()
        for other in indices[indptr[here] : indptr[here + 1]].tolist():
            if near[other] and other not in reached:
                reached.add(other)
                open_ends.append(other)
    return reached


def members_of(envelope, centres, start, radius):
    found = [set() for _ in start]
    for balls in connected_in_balls(
        envelope.vertices_um, envelope.neighbours, centres, start, radius_um=radius
    ):
        away = np.linalg.norm(
            envelope.vertices_um[balls.member] - centres[balls.owner], axis=1
        )
        assert balls.away_um == pytest.approx(away)
        for owner, member in zip(balls.owner.tolist(), balls.member.tolist(), strict=True):
            found[owner].add(member)
    return found


@pytest.mark.parametrize("at_once", [1, 500, 400_000])
def test_members_are_those_of_a_walk_however_many_at_once(slit, at_once, monkeypatch):
    monkeypatch.setattr(connected_balls, "AT_ONCE", at_once)
    start = np.arange(0, len(slit.area_um2), 97)
    centres = slit.vertices_um[start] + 0.02
    found = members_of(slit, centres, start, 0.25)
    for k, one in enumerate(start.tolist()):
        assert found[k] == walked(slit, centres[k], one, 0.25)
    near = np.linalg.norm(slit.vertices_um[None] - centres[:, None], axis=2) <= 0.25
    assert sum(map(len, found)) < near.sum() - 300  # the other wall of the slit is left out


def test_a_ball_that_does_not_hold_its_start_has_no_member(slit):
    centres = slit.vertices_um[[5]] + 3.0
    assert members_of(slit, centres, np.array([5]), 0.2) == [set()]


def test_no_ball_has_no_member(slit):
    assert members_of(slit, np.zeros((0, 3)), np.zeros(0, np.int64), 0.2) == []


def test_pairs_that_are_apart_are_those_of_walks(slit):
    sites = sites_of(slit, size_um=0.12)
    first, second = apart_in_balls(sites.points_um, sites.neighbours, radius_um=0.3)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    assert all(a < b for a, b in found)

    class Coarse:
        vertices_um, neighbours = sites.points_um, sites.neighbours

    reach = [walked(Coarse, p, k, 0.3) for k, p in enumerate(sites.points_um)]
    between = np.linalg.norm(sites.points_um[:, None] - sites.points_um[None], axis=2)
    # Not connected, seen from both.
    known = {
        (a, b) for a, b in np.argwhere(np.triu(between <= 0.3, 1)).tolist()
        if b not in reach[a] and a not in reach[b]
    }
    assert found == known
    assert len(found) > 20


def test_on_a_ball_nothing_is_apart():
    body = EnvelopeMesh.of(ball(0.7), spacing=(40, 40, 40))
    first, _ = apart_in_balls(body.vertices_um, body.neighbours, radius_um=0.2)
    assert not len(first)


@pytest.mark.parametrize("size_um", [0.1, 0.3])
def test_sites_hold_all_of_the_surface(slit, size_um):
    sites = sites_of(slit, size_um=size_um)
    n = len(sites.area_um2)
    assert set(sites.of_vertex.tolist()) == set(range(n))
    assert sites.area_um2.sum() == pytest.approx(slit.total_um2)
    middle = np.average(sites.points_um, axis=0, weights=sites.area_um2)
    assert middle == pytest.approx(
        np.average(slit.vertices_um, axis=0, weights=slit.area_um2)
    )
    # Each in one cube, the two walls of the slit apart.
    cube = np.floor(slit.vertices_um / size_um)
    for k in range(0, n, 7):
        mine = sites.of_vertex == k
        assert (np.ptp(cube[mine], axis=0) == 0).all()
        assert np.linalg.norm(slit.normals[mine].mean(axis=0)) > 0.3
    assert (sites.neighbours != sites.neighbours.T).nnz == 0


def test_sites_are_linked_where_their_vertices_are(slit):
    sites = sites_of(slit, size_um=0.2)
    links = slit.neighbours.tocoo()
    one, two = sites.of_vertex[links.row], sites.of_vertex[links.col]
    known = set(zip(one[one != two].tolist(), two[one != two].tolist(), strict=True))
    found = sites.neighbours.tocoo()
    assert set(zip(found.row.tolist(), found.col.tolist(), strict=True)) == known
