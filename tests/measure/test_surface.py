from __future__ import annotations

import math

import numpy as np
import pytest
from analytic import SMOOTH
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes, spacings, touching_objects

from fibseg.geometry import Box
from fibseg.measure import neighbours, surface
from fibseg.measure.directions import Directions


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize(
    ("spacing", "tolerance"), [((1, 1, 1), 0.025), ((2.5, 1, 1), 0.025), ((5, 1, 1), 0.05)]
)
def test_smooth_shapes_have_their_surface(name, spacing, tolerance):
    r = max(8, 3 * spacing[0])
    shape = SMOOTH[name]
    truth = shape.surface * r * r * 1e-6
    masks = [shape.digitised(r, spacing, seed=seed) for seed in range(4)]
    found = [surface.measure(mask, spacing=spacing)["surface_area_um2"][0] for mask in masks]
    assert np.abs(np.array(found) / truth - 1).max() < tolerance
    assert np.mean(found) == pytest.approx(truth, rel=0.6 * tolerance)


def test_flat_faces_along_the_grid_read_three_percent_too_small():
    sheet = np.zeros((12, 8, 8), np.uint8)
    sheet[4:8] = 1
    found = surface.measure(sheet, spacing=(10.0, 10.0, 10.0))["surface_area_um2"][0]
    assert found == pytest.approx(2 * 64 * 1e-4, rel=0.035)
    box = np.zeros((36, 40, 44), np.uint8)
    box[4:-4, 4:-4, 4:-4] = 1
    found = surface.measure(box, spacing=(10.0, 10.0, 10.0))["surface_area_um2"][0]
    assert 0.93 < found / (2 * (28 * 32 + 28 * 36 + 32 * 36) * 1e-4) < 1


def test_touching_objects_both_have_the_wall_between_them():
    whole = SMOOTH["ball"].digitised(12, (1, 1, 1), seed=0)
    halves = whole.copy()
    halves[:, :, halves.shape[2] // 2 :] *= 2
    alone = [surface.measure(halves * (halves == i), spacing=(1, 1, 1)) for i in (1, 2)]
    together = surface.measure(halves, spacing=(1, 1, 1))
    assert together["label"].tolist() == [1, 2]
    for i in range(2):
        assert together["surface_area_um2"][i] == alone[i]["surface_area_um2"][0]
    assert together["surface_area_um2"].sum() > 1.3 * surface.measure(
        whole, spacing=(1, 1, 1)
    )["surface_area_um2"][0]


@settings(deadline=None, max_examples=40)
@given(st.one_of(label_volumes(), touching_objects()), spacings())
def test_every_object_counts_as_if_it_were_alone(labels, spacing):
    together = surface.measure(labels, spacing=spacing)
    for label, area in list(zip(*together.values(), strict=True))[:5]:
        alone = surface.measure((labels == label).astype(np.uint8), spacing=spacing)
        assert alone["surface_area_um2"].tolist() == [area]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 1, 1)])
def test_faces_of_the_volume_are_no_surface(axis, spacing):
    """A rod has, between two cuts across it, its mantle."""
    size = [49, 49, 49]
    size[axis] = 20
    across = [a for a in range(3) if a != axis]
    place = [(i - (n - 1) / 2) * s for i, n, s in zip(np.indices(size), size, spacing, strict=True)]
    rod = sum(place[a] ** 2 for a in across) <= 20**2
    found = surface.measure(rod.astype(np.uint8), spacing=spacing)["surface_area_um2"][0]
    mantle = 2 * math.pi * 20 * 20 * spacing[axis] * 1e-6
    assert found == pytest.approx(mantle, rel=0.04)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.5, 1, 1)])
def test_half_a_ball_has_its_mantle_whichever_face_cuts_it(axis, end, spacing):
    size = [2 * math.ceil(20 / s) + 5 for s in spacing]
    place = [(i - n // 2) * s for i, n, s in zip(np.indices(size), size, spacing, strict=True)]
    ball = (sum(p**2 for p in place) <= 20**2).astype(np.uint8)
    middle = size[axis] // 2
    half = np.take(ball, range(middle, size[axis]) if end else range(middle + 1), axis)
    found = surface.measure(half, spacing=spacing)["surface_area_um2"][0]
    # Half a voxel of the other half is there, too: a belt.
    mantle = 2 * math.pi * 20 * (20 + spacing[axis] / 2) * 1e-6
    assert found == pytest.approx(mantle, rel=0.02)


@settings(deadline=None, max_examples=40)
@given(
    st.one_of(label_volumes(), touching_objects()), spacings(),
    st.sets(st.sampled_from([0, 1, 2])),
)
def test_a_mirrored_volume_has_the_same_surfaces(labels, spacing, axes):
    found, mirrored = (
        surface.measure(each, spacing=spacing) for each in (labels, np.flip(labels, tuple(axes)))
    )
    assert mirrored["surface_area_um2"].tolist() == found["surface_area_um2"].tolist()


def test_a_ball_cut_by_three_faces_has_an_eighth_of_its_surface():
    octant = (sum((n + 0.5) ** 2 for n in np.indices((24, 24, 24))) <= 20**2).astype(np.uint8)
    found = surface.measure(octant, spacing=(1, 1, 1))["surface_area_um2"][0]
    assert found == pytest.approx(math.pi / 2 * 400 * 1e-6, rel=0.02)


def test_large_numbers_of_any_type_are_kept():
    labels = np.zeros((9, 9, 9), np.uint64)
    labels[2:4, 2:4, 2:4], labels[5:7, 5:7, 5:7] = 2**63 + 12345, 7
    found = surface.measure(labels, spacing=(1, 1, 1))
    assert found["label"].tolist() == [7, 2**63 + 12345]
    assert found["surface_area_um2"][0] == found["surface_area_um2"][1] > 0
    small = surface.measure((labels % 251).astype(np.uint8), spacing=(1, 1, 1))
    assert small["surface_area_um2"].tolist() == found["surface_area_um2"].tolist()


def test_the_tiles_of_a_block_do_not_matter(monkeypatch):
    labels = np.random.default_rng(1).integers(0, 4, (9, 10, 11)).astype(np.uint16)
    whole = surface.measure(labels, spacing=(30, 10, 10))
    for voxels in (1, 300):
        monkeypatch.setattr(neighbours, "TILE_VOXELS", voxels)
        monkeypatch.setattr(neighbours, "_TILE_ROWS", max(1, voxels // 100))
        again = surface.measure(labels, spacing=(30, 10, 10))
        assert again["surface_area_um2"].tolist() == whole["surface_area_um2"].tolist()


def test_what_has_no_surface_in_a_block_has_no_row_there():
    directions = Directions.of((1, 1, 1))
    part = surface.partial(
        np.full((5, 5, 5), 3, np.uint8), inside=Box((2, 2, 2), (3, 3, 3)), directions=directions
    )
    assert [len(column) for column in part.values()] == [0, 0]
    names = np.array([3], np.uint8)
    for sums in (None, part, surface.merge(part, part)):
        assert surface.finish(sums, labels=names, directions=directions).tolist() == [0]
