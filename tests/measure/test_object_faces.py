"""Surfaces of objects: the same in any blocks, closed, outwards, where the objects are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes

from fibseg.blocks import Grid
from fibseg.geometry import Box
from fibseg.measure.object_faces import (
    BINS,
    REACH,
    levels_finish,
    levels_merge,
    levels_partial,
    surface,
    triangles_partial,
)
from fibseg.report.triangles import enclosed_volumes, is_closed, surface_areas, unpinched

ONE = (1.0, 1.0, 1.0)


def boxes(shape, block_shape):
    """What each block writes and reads."""
    grid = Grid.over(shape, block_shape)
    for index in range(len(grid)):
        write = grid.box(index)
        yield write, write.grow((REACH,) * 3).clip(shape)


def found_in(labels, block_shape=None):
    """Levels and triangles of all objects, from blocks of that shape; from one if none is given."""
    parts = [
        (labels[read.slices], {
            "inside": write.relative_to(read), "start": write.start, "shape": labels.shape,
        })
        for write, read in boxes(labels.shape, block_shape or labels.shape)
    ]
    counts = None
    for voxels, told in parts:
        one = levels_partial(voxels, **told)
        counts = one if counts is None else levels_merge(counts, one)
    levels = levels_finish(counts)
    tables = [triangles_partial(voxels, levels, **told) for voxels, told in parts]
    return levels, {n: np.concatenate([t[n] for t in tables]) for n in tables[0]}


def surface_of(labels, label=1, *, block_shape=None, spacing=ONE):
    """Vertices and triangles of one object."""
    _, table = found_in(labels, block_shape)
    own = table["label"] == label
    return surface(table["corner"][own], table["part"][own], spacing=spacing)


def ball(radius, shape=(40, 40, 40), centre=(19.7, 19.5, 20.2), spacing=ONE):
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    squares = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, spacing, strict=True))
    return (squares <= radius**2).astype(np.uint8)


def volume_of(vertices, faces):
    return float(enclosed_volumes(vertices, faces, np.zeros(len(vertices), int))[0])


@settings(max_examples=20, deadline=None)
@given(label_volumes(), block_shapes())
def test_any_blocks_give_the_same_surfaces(labels, block_shape):
    levels, whole = found_in(labels)
    other_levels, parts = found_in(labels, block_shape)
    for name, values in levels.items():
        assert np.array_equal(values, other_levels[name]), name
    assert levels["label"].tolist() == [n for n in np.unique(labels) if n]
    for label, n in zip(levels["label"], levels["n_voxels"], strict=True):
        assert n == np.count_nonzero(labels == label)
        own, there = (table["label"] == label for table in (whole, parts))
        vertices, faces = surface(whole["corner"][own], whole["part"][own], spacing=ONE)
        others = surface(parts["corner"][there], parts["part"][there], spacing=ONE)
        assert np.array_equal(vertices, others[0])
        assert np.array_equal(faces, others[1])


@settings(max_examples=20, deadline=None)
@given(label_volumes())
def test_every_object_has_a_closed_surface_around_voxels_of_it(labels):
    levels, table = found_in(labels)
    for label in levels["label"]:
        own = table["label"] == label
        vertices, faces = surface(table["corner"][own], table["part"][own], spacing=ONE)
        if not is_closed(faces):
            faces, source = unpinched(faces)
            vertices = vertices[source]
        assert is_closed(faces)
        assert volume_of(vertices, faces) > 0
        where = np.argwhere(labels == label)
        assert (vertices > where.min(axis=0) - 3).all()
        assert (vertices < where.max(axis=0) + 3).all()


@pytest.mark.parametrize("spacing", [ONE, (2.5, 1.0, 1.0), (8.0, 8.0, 4.0)])
def test_a_ball_has_its_place_volume_and_area(spacing):
    radius = 13.0 * min(spacing)
    shape = tuple(math.ceil(3.2 * radius / s) for s in spacing)
    centre = tuple(n / 2 - 0.3 for n in shape)
    mask = ball(radius, shape, centre, spacing)
    vertices, faces = surface_of(mask, spacing=spacing)
    n_voxels = int(mask.sum())
    assert volume_of(vertices, faces) == pytest.approx(n_voxels * math.prod(spacing), rel=0.02)
    away = np.linalg.norm(vertices - np.array(centre) * spacing, axis=1)
    assert away.mean() == pytest.approx(radius, abs=0.3 * max(spacing))
    assert abs(away - radius).max() < 0.8 * max(spacing)
    area = surface_areas(vertices, faces, np.zeros(len(vertices), int))[0]
    assert area == pytest.approx(4 * np.pi * radius**2, rel=0.07)


def test_triangles_turn_outwards():
    vertices, faces = surface_of(ball(9.0))
    a, b, c = (vertices[faces[:, k]][:, ::-1] for k in range(3))
    from_centre = (a + b + c) / 3 - np.array([20.2, 19.5, 19.7])
    turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), from_centre)
    assert (turned >= 0).all()
    assert (turned > 0).mean() > 0.99


def test_what_is_thin_does_not_vanish():
    sheet = np.zeros((20, 30, 30), np.uint8)
    sheet[9:11, 4:26, 4:26] = 1
    tube = np.zeros((20, 20, 40), np.uint8)
    tube[9:12, 9:12, 3:37] = 1
    dot = np.zeros((9, 9, 9), np.uint8)
    dot[4, 4, 4] = 1
    for mask, least in ((sheet, 0.8), (tube, 0.8), (dot, 0.05)):
        vertices, faces = surface_of(mask)
        assert is_closed(faces)
        n_voxels = int(mask.sum())
        assert least * n_voxels < volume_of(vertices, faces) < 1.7 * n_voxels
    levels, _ = found_in(dot)
    assert levels["level"].tolist() == [3.5 / BINS]


def test_what_reaches_a_face_of_the_volume_is_closed_there():
    mask = np.ones((12, 13, 14), np.uint8)
    for block_shape in (None, (5, 5, 5)):
        vertices, faces = surface_of(mask, block_shape=block_shape)
        assert is_closed(faces)
        # Even faces are all at one level: whoever writes the file moves them to the volume.
        assert volume_of(vertices, faces) == pytest.approx(12 * 13 * 14, rel=0.2)
        middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        assert middle == pytest.approx([5.5, 6, 6.5], abs=0.01)


def test_objects_that_touch_do_not_see_each_other():
    labels = ball(11.0).astype(np.uint16) * 3
    labels[20:] *= 5
    levels, table = found_in(labels)
    assert levels["label"].tolist() == [3, 15]
    for label in (3, 15):
        alone = np.where(labels == label, labels, 0).astype(np.uint16)
        own = table["label"] == label
        among = surface(table["corner"][own], table["part"][own], spacing=ONE)
        vertices, faces = surface_of(alone, label)
        assert np.array_equal(among[0], vertices)
        assert np.array_equal(among[1], faces)


def test_nothing_has_no_surface():
    for shape in ((6, 7, 8), (0, 7, 8)):
        levels, table = found_in(np.zeros(shape, np.uint32), (4, 4, 4)) if all(shape) else (
            levels_finish(levels_partial(
                np.zeros(shape, np.uint32), inside=Box.whole(shape), start=(0, 0, 0), shape=shape
            )), {"corner": np.zeros((0, 3))},
        )
        assert not len(levels["label"])
        assert not len(table["corner"])


@given(st.integers(0, 99))
def test_the_level_is_that_of_as_many_voxels(seed):
    rng = np.random.default_rng(seed)
    histogram = rng.integers(0, 20, (3, BINS)) * (rng.random((3, BINS)) < 0.3)
    histogram[:, 0] = 0
    histogram[:, 50] += 1
    n_voxels = rng.integers(1, histogram.sum(axis=1) + 1)
    table = levels_finish(
        {"label": np.array([1, 2, 3]), "n_voxels": n_voxels, "histogram": histogram}
    )
    for row, n, level in zip(histogram, n_voxels, table["level"], strict=True):
        reached = np.array([row[k:].sum() for k in range(BINS)])
        best = np.abs(reached - n)[reached > 0].min()
        close = np.flatnonzero((np.abs(reached - n) == best) & (reached > 0))
        assert max(close.min(), 1) <= level * BINS <= close.max()
        assert row[math.floor(level * BINS):].sum() > 0
