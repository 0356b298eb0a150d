from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.metrics import Regions, packed, suggest

NONE = np.empty((0, 2))


def regions(unsure: list[list[float]], looks: np.ndarray | None = None, step: int = 1) -> Regions:
    """A list of uncertainties for each plane; looks are the same unless given."""
    values = np.concatenate([np.array(u, float) for u in unsure])
    planes = np.repeat(np.arange(len(unsure)) * step, [len(u) for u in unsure])
    return Regions(planes, values, np.zeros((len(values), 2)) if looks is None else looks)


def chosen(found: Regions, **options: object) -> list[tuple[int, int]]:
    wanted = {"painted": NONE, "n_planes": 1, "n_regions": 1, "apart": 1, "diversity": 0.5}
    return [(s.plane, s.region) for s in suggest(found, **(wanted | options))]


def test_without_diversity_the_most_unsure_come_first() -> None:
    found = regions([[0.1, 0.2], [0.9, 0.0], [0.3, 0.4]])
    assert chosen(found, n_planes=3, diversity=0.0) == [(1, 2), (2, 5), (0, 1)]


def test_a_plane_counts_by_the_sum_of_its_best_regions() -> None:
    found = regions([[0.9, 0.0, 0.0], [0.5, 0.5, 0.1]])
    assert chosen(found, diversity=0.0) == [(0, 0)]
    assert chosen(found, diversity=0.0, n_regions=2) == [(1, 3), (1, 4)]
    assert len(chosen(found, n_regions=9)) == 3


def test_planes_are_apart_even_where_neighbours_are_more_unsure() -> None:
    found = regions([[0.8], [1.0], [0.9], [0.1], [0.2]])
    assert [z for z, _ in chosen(found, n_planes=2, apart=2, diversity=0.0)] == [1, 4]


def test_no_plane_is_chosen_that_leaves_too_little_room() -> None:
    found = regions([[0.1], [0.1], [1.0], [0.1], [0.1]])
    # The middle one alone would leave room for one other plane; three go on 0, 2 and 4.
    assert sorted(z for z, _ in chosen(found, n_planes=3, apart=2)) == [0, 2, 4]
    # With four planes between them, the best one stands in the way of the only two that fit.
    assert sorted(z for z, _ in chosen(found, n_planes=2, apart=4)) == [0, 4]


def test_diversity_prefers_what_looks_unlike_the_painted_and_the_chosen() -> None:
    looks = np.array([[0.0, 0], [0, 0], [5, 0], [0, 3]])
    found = regions([[1.0], [0.99], [0.6], [0.6]], looks, step=10)
    assert [z for z, _ in chosen(found, n_planes=2, diversity=0.0)] == [0, 10]
    painted = np.array([[0.0, 0.0]])
    diverse = chosen(found, n_planes=2, painted=painted, diversity=0.9)
    assert sorted(z for z, _ in diverse) == [20, 30]


def test_novelty_alone_is_a_core_set() -> None:
    """Each next region is the farthest from all before it (k-center greedy), found here anew."""
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(30, 2))
    found = regions([[u] for u in rng.random(30)], looks)
    painted = looks[:2]
    scaled = looks / looks.std(0)
    centers = list(scaled[:2])
    want = []
    for _ in range(5):
        away = np.min([np.linalg.norm(scaled - c, axis=1) for c in centers], axis=0)
        want.append(int(away.argmax()))
        centers.append(scaled[want[-1]])
    got = suggest(found, painted=painted, n_planes=5, n_regions=1, apart=1, diversity=1.0)
    assert [s.plane for s in got] == want
    assert [s.novelty for s in got] == pytest.approx([1.0] * 5)


def test_a_look_that_never_changes_counts_nothing() -> None:
    looks = np.array([[7.0, 0], [7, 1], [7, 9]])
    found = regions([[0.5], [0.5], [0.5]], looks)
    assert chosen(found, painted=np.array([[1e6, 0.0]]), diversity=1.0) == [(2, 2)]


@given(
    seed=st.integers(0, 1000), depth=st.integers(1, 25), apart=st.floats(1, 6),
    n_regions=st.integers(1, 3), diversity=st.floats(0, 1),
)
def test_as_many_as_there_is_room_for_can_always_be_had(
    seed: int, depth: int, apart: float, n_regions: int, diversity: float
) -> None:
    rng = np.random.default_rng(seed)
    planes = sorted(rng.choice(50, depth, replace=False).tolist())
    found = Regions(np.repeat(planes, 2), rng.random(2 * depth), rng.normal(size=(2 * depth, 3)))
    n = packed(planes, apart)
    got = suggest(
        found, painted=np.empty((0, 3)), n_planes=n, n_regions=n_regions, apart=apart,
        diversity=diversity,
    )
    used = sorted({s.plane for s in got})
    assert len(used) == n
    assert all(b - a >= apart - 1e-9 for a, b in itertools.pairwise(used))
    assert len({s.region for s in got}) == len(got) == n * min(n_regions, 2)
    assert all(found.plane[s.region] == s.plane for s in got)
    assert all(0 <= s.score <= 1 + 1e-9 for s in got)
