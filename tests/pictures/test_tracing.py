from __future__ import annotations

import numpy as np
import pytest

from fibseg.pictures.camera import Camera, Wedge, outermost, rays
from fibseg.pictures.tracing import depth_field, first_hits, gradients, objects_at, sample
from fibseg.types import Spacing

SPACINGS: list[Spacing] = [(10.0, 10.0, 10.0), (30.0, 10.0, 10.0)]
RADIUS_UM = 0.2


def ball(spacing: Spacing, *, radius_um: float = RADIUS_UM, pad: int = 4) -> np.ndarray:
    """Ball around the middle of a volume."""
    axes = []
    for s in spacing:
        half = int(np.ceil(radius_um * 1e3 / s)) + pad
        axes.append(np.arange(-half, half + 1) * s * 1e-3)
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return np.asarray(z**2 + y**2 + x**2 <= radius_um**2)


def middle(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    return (np.array(mask.shape) - 1) / 2 * np.array(spacing) * 1e-3


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_field_is_the_distance_to_the_surface(spacing: Spacing) -> None:
    mask = ball(spacing)
    at = np.stack(np.indices(mask.shape), -1) * np.array(spacing) * 1e-3
    true = RADIUS_UM - np.linalg.norm(at - middle(mask, spacing), axis=-1)
    field = depth_field(mask, spacing=spacing)
    near = np.abs(true) < 0.05
    assert np.abs(field - true)[near].max() < 0.7 * max(spacing) * 1e-3
    assert np.abs(np.mean(field[near] - true[near])) < 0.1 * max(spacing) * 1e-3


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("angles", [(0, 0), (-32, 24), (140, -50)])
def test_rays_meet_a_ball_where_it_is(spacing: Spacing, angles: tuple[int, int]) -> None:
    mask = ball(spacing)
    camera = Camera(*angles, size_px=60, supersampling=1)
    bundle = rays(camera, outermost(mask, spacing=spacing))
    hits = first_hits(depth_field(mask, spacing=spacing), bundle, spacing=spacing)
    centre = middle(mask, spacing)
    offset = bundle.origins_um - centre
    ahead = -offset @ bundle.away
    beside = np.linalg.norm(offset + ahead[:, None] * bundle.away, axis=1)
    coarse = max(spacing) * 1e-3
    # A ray that passes the ball by half a voxel may or may not meet it.
    assert set(np.flatnonzero(beside < RADIUS_UM - 0.6 * coarse)) <= set(hits.rays)
    assert np.all(beside[hits.rays] < RADIUS_UM + 0.6 * coarse)
    well = beside[hits.rays] < 0.8 * RADIUS_UM
    true = ahead[hits.rays] - np.sqrt(np.maximum(RADIUS_UM**2 - beside[hits.rays] ** 2, 0))
    assert np.abs(hits.depth_um - true)[well].max() < coarse
    outwards = (hits.points_um - centre) / np.linalg.norm(hits.points_um - centre, axis=1)[:, None]
    turned = np.rad2deg(np.arccos(np.einsum("ij,ij->i", hits.normals, outwards).clip(-1, 1)))
    assert np.median(turned) < (8 if spacing[0] == 10 else 16)
    assert not hits.on_cut.any()


def test_a_body_cut_by_the_volume_shows_a_flat_face() -> None:
    mask = ball((10.0, 10.0, 10.0))[24:]  # half of it, and its first plane is a face
    camera = Camera(0, 0, size_px=60, supersampling=1)
    spacing = (10.0, 10.0, 10.0)
    bundle = rays(camera, outermost(mask, spacing=spacing))
    hits = first_hits(depth_field(mask, spacing=spacing), bundle, spacing=spacing)
    assert hits.on_cut.mean() > 0.95
    assert np.allclose(hits.points_um[hits.on_cut, 0], -0.005)
    assert np.allclose(hits.normals[hits.on_cut], [-1, 0, 0])


def test_a_wedge_opens_a_body_and_rays_go_on_behind_it() -> None:
    spacing = (10.0, 10.0, 10.0)
    mask = ball(spacing)
    centre = middle(mask, spacing)
    camera = Camera(0, 0, size_px=60, supersampling=1)
    bundle = rays(camera, outermost(mask, spacing=spacing))
    wedge = Wedge(tuple(centre), ((-1.0, 0.0, 0.0), (0.0, 0.0, 2.0)))
    hits = first_hits(depth_field(mask, spacing=spacing), bundle, wedge=wedge, spacing=spacing)
    right = hits.points_um[:, 2] > centre[2]
    assert np.all(hits.on_cut == (right & hits.on_cut))
    assert hits.on_cut[right].mean() > 0.95
    assert np.allclose(hits.points_um[hits.on_cut, 0], centre[0])
    assert np.all(hits.points_um[~right, 0] < centre[0] + 1e-9)
    away = Wedge((0.0, 0.0, 0.0), ((1.0, 0.0, 0.0),))
    nothing = first_hits(depth_field(mask, spacing=spacing), bundle, wedge=away, spacing=spacing)
    assert nothing.rays.size == 0


def test_no_object_vanishes_and_each_keeps_its_label() -> None:
    labels = np.zeros((9, 21, 21), np.uint16)
    labels[4, 3, 3] = 7
    labels[4, 10, :] = 8
    labels[3:6, 15:18, 3:6] = 300
    labels[3:6, 15:18, 6:9] = 301
    spacing = (20.0, 20.0, 20.0)
    for angles in ((0, 0), (-32, 24)):
        camera = Camera(*angles, size_px=120, supersampling=1)
        bundle = rays(camera, outermost(labels > 0, spacing=spacing))
        hits = first_hits(depth_field(labels, spacing=spacing), bundle, spacing=spacing)
        assert set(objects_at(labels, hits, spacing=spacing)) == {7, 8, 300, 301}


@pytest.mark.parametrize("value", [0, 1])
def test_an_empty_and_a_full_volume(value: int) -> None:
    labels = np.full((1, 3, 4), value, np.uint8)
    spacing = (10.0, 10.0, 10.0)
    field = depth_field(labels, spacing=spacing)
    assert np.isfinite(field).all()
    bundle = rays(Camera(size_px=20), outermost(labels > 0, spacing=spacing))
    hits = first_hits(field, bundle, spacing=spacing)
    assert (hits.rays.size > 0) == bool(value)
    assert hits.on_cut.all()
    assert np.all(objects_at(labels, hits, spacing=spacing) == 1)


def test_samples_and_slopes_of_a_plane_are_exact() -> None:
    spacing = (30.0, 10.0, 20.0)
    z, y, x = (i * s * 1e-3 for i, s in zip(np.indices((6, 7, 8)), spacing, strict=True))
    plane = (3 * z - 2 * y + 6 * x).astype(np.float32)
    points = np.array([[0.05, 0.03, 0.07], [0.1, 0.041, 0.03]])
    assert sample(plane, points, spacing=spacing) == pytest.approx(points @ [3, -2, 6], rel=1e-4)
    normals = gradients(plane, points, spacing=spacing)
    assert normals == pytest.approx(np.tile(-np.array([3, -2, 6]) / 7, (2, 1)), abs=1e-4)
