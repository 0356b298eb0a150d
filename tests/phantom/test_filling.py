"""What fills the cytoplasm keeps its distance, its size and its number."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from fibseg.phantom.crowd import Crowd
from fibseg.phantom.endomembranes import scatter_balls, stack_golgi, weave_er
from fibseg.phantom.grid import FAR_NM, Grid
from fibseg.phantom.mitochondria import Mitochondria, grow_mitochondria

GRID = Grid((64, 80, 80), (20.0, 20.0, 20.0))


def slab() -> np.ndarray:
    """Depth of cytoplasm between two walls at the first and last rows."""
    y = np.arange(80) * 20.0
    depth = np.minimum(y, y[::-1])
    return np.broadcast_to(depth[None, :, None], GRID.shape).astype(np.float32)


def grown(seed: int, *, share: float = 0.1, gradient: bool = True) -> Mitochondria:
    return grow_mitochondria(
        GRID, Crowd(slab(), GRID), share=share, thickness_gradient=gradient,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_clearance_is_the_room_to_walls_and_balls() -> None:
    crowd = Crowd(slab(), GRID)
    points = np.array([[640.0, 400.0, 800.0], [640.0, 100.0, 800.0]])
    assert crowd.clearance(points).tolist() == [400, 100]
    crowd.add(np.array([640.0, 400.0, 1100.0]), 120.0)
    assert crowd.clearance(points[:1])[0] == pytest.approx(180)
    assert crowd.clearance(np.array([[640.0, 400.0, 1100.0]]))[0] == -120


def test_a_crowd_grows_beyond_its_reserve() -> None:
    crowd = Crowd(slab(), GRID)
    for i in range(700):
        crowd.add(np.array([float(i), 800.0, 800.0]), 1.0)
    assert crowd.n == 700
    assert crowd.clearance(np.array([[699.0, 800.0, 805.0]]))[0] == pytest.approx(4)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15])
def test_mitochondria_fill_the_share_that_is_asked_for(share: float) -> None:
    labels = grown(0, share=share).labels
    assert np.count_nonzero(labels) / (slab() > 0).sum() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_mitochondrion_is_one_piece_apart_from_all_others(seed: int) -> None:
    labels = grown(seed).labels
    pieces = cc3d.connected_components(labels > 0, connectivity=26)
    assert pieces.max() == labels.max() > 0
    for number in range(1, int(labels.max()) + 1):
        assert len(np.unique(pieces[labels == number])) == 1


def test_mitochondria_keep_off_the_walls() -> None:
    assert slab()[grown(1).labels > 0].min() >= 20


def test_the_distance_is_negative_exactly_inside() -> None:
    out = grown(2)
    assert np.array_equal(out.distance < 0, out.labels > 0)
    inside = ndimage.distance_transform_edt(out.labels > 0, sampling=GRID.spacing)
    deep = inside > 40
    assert np.corrcoef(-out.distance[deep], inside[deep])[0, 1] > 0.8


def test_mitochondria_are_longer_than_wide() -> None:
    labels = grown(3).labels
    lengths = []
    for cut in ndimage.find_objects(labels):
        box = np.array([c.stop - c.start for c in cut]) * 20.0
        lengths.append(np.linalg.norm(box))
    widths = 2 * ndimage.maximum(
        ndimage.distance_transform_edt(labels > 0, sampling=GRID.spacing), labels,
        np.arange(1, labels.max() + 1),
    )  # fmt: skip
    assert np.median(np.array(lengths) / widths) > 1.8


def test_no_room_means_no_mitochondria() -> None:
    crowd = Crowd(np.zeros(GRID.shape, np.float32), GRID)
    out = grow_mitochondria(
        GRID, crowd, share=0.1, thickness_gradient=True, rng=np.random.default_rng(0)
    )
    assert not out.labels.any()
    assert (out.distance == FAR_NM).all()


def test_balls_have_their_number_size_and_distance() -> None:
    crowd = Crowd(slab(), GRID)
    balls = scatter_balls(
        GRID, crowd, per_um3=10, radius_nm=(60, 90), rng=np.random.default_rng(0)
    )
    wanted = round(10 * (slab() > 0).sum() * 8e-6)
    assert balls.labels.max() == wanted
    voxels = np.bincount(balls.labels.ravel())[1:]
    assert (voxels * 8000 <= 4 / 3 * np.pi * 95**3).all()
    assert (voxels * 8000 >= 0.3 * 4 / 3 * np.pi * 55**3).all()
    assert cc3d.connected_components(balls.labels > 0, connectivity=26).max() == wanted
    assert np.array_equal(balls.distance < 0, balls.labels > 0)


def test_balls_stop_where_the_room_ends() -> None:
    crowd = Crowd(slab(), GRID)
    balls = scatter_balls(
        GRID, crowd, per_um3=500, radius_nm=(150, 200), rng=np.random.default_rng(0)
    )
    assert 0 < balls.labels.max() < 200


def test_golgi_is_a_stack_of_flat_cisternae() -> None:
    golgi = stack_golgi(GRID, Crowd(slab(), GRID), n=1, rng=np.random.default_rng(0))
    inside = golgi < 0
    assert inside.any()
    pieces = cc3d.connected_components(inside, connectivity=6)
    sizes = np.bincount(pieces.ravel())[1:]
    assert (sizes > 40).sum() >= 3
    thick = ndimage.distance_transform_edt(inside, sampling=GRID.spacing)
    assert thick.max() < 60


def test_golgi_needs_room() -> None:
    tight = np.minimum(slab(), 100)
    assert (stack_golgi(GRID, Crowd(tight, GRID), n=3, rng=np.random.default_rng(0)) >= 0).all()


def test_er_keeps_clear_of_walls_and_others() -> None:
    rng = np.random.default_rng(0)
    others = np.full(GRID.shape, FAR_NM, np.float32)
    others[20:30, 30:50, 30:50] = -50
    er = weave_er(GRID, depth=slab(), nucleus=slab() + 100, others=others, rng=rng)
    inside = er < 0
    assert 0.01 < inside.mean() < 0.25
    assert slab()[inside].min() >= 75
    assert not inside[20:30, 30:50, 30:50].any()


def test_er_is_thin() -> None:
    others = np.full(GRID.shape, FAR_NM, np.float32)
    er = weave_er(
        GRID, depth=slab(), nucleus=slab() + 100, others=others, rng=np.random.default_rng(1)
    )
    thick = ndimage.distance_transform_edt(er < 0, sampling=GRID.spacing)
    assert np.percentile(thick[er < 0], 95) < 70
