"""Patches on rotated planes: what lies there, evenly drawn, the same for the same step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fibseg.data import LabelledPart, Normalisation, ObliquePatches, Share, SparseData
from fibseg.errors import DataError
from fibseg.geometry import along, rotated, study_orientations

SHAPE = (40, 44, 48)
DATA = SparseData(patch=16, batch=6, foreground=0.5)
NORMAL = Normalisation(0.0, 200.0, invert=False)


def part(spacing=(10.0, 10.0, 10.0), **change):
    z, y, x = np.indices(SHAPE)
    annotation = np.ones(SHAPE, np.uint8)
    annotation[(abs(z - 20) < 6) & (abs(y - 22) < 6) & (abs(x - 24) < 6)] = 2
    annotation[:, :4] = 0
    image = (2 * z + y + x).astype(np.uint8)
    given = {"image": image, "annotation": annotation, **change}
    return LabelledPart("cell", normalisation=NORMAL, spacing=spacing, **given)


def patches(*parts, **change):
    settings = {"n_channels": 2, "data": DATA, "pixel_nm": 10.0, "seed": 1, **change}
    return ObliquePatches(parts or (part(),), **settings)


def test_a_batch_depends_on_seed_and_step_only():
    first, second = patches(), patches()
    first.batch(3)
    for a, b in zip(first.batch(7), second.batch(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.batch(7)[0], first.batch(8)[0])
    assert not np.array_equal(first.batch(7)[0], patches(seed=2).batch(7)[0])


def test_processes_share_out_the_batch_of_one():
    whole = patches().batch(7)[0]
    for rank in (0, 1):
        part = patches(share=Share(rank, 2)).batch(7)[0]
        np.testing.assert_array_equal(part, whole[rank::2])


def test_along_z_a_crop_is_a_part_of_the_plane():
    source, made = part(), patches()
    image, annotation, inside = made.crop(0, along("z"), np.array([200.0, 225.0, 245.0]))
    assert image.shape == (1, 2 * made.half, 2 * made.half)
    rows = np.arange(made.half * 2) - made.half + 23
    columns = rows + 2
    within = ((rows >= 0) & (rows < 44))[:, None] & ((columns >= 0) & (columns < 48))
    assert 0 < within.sum() < within.size
    np.testing.assert_array_equal(inside, within)
    plane = np.ix_(np.clip(rows, 0, 43), np.clip(columns, 0, 47))
    np.testing.assert_array_equal(annotation, source.annotation[20][plane] * within)
    seen = (image[0] / 5 + 0.5) * 200
    np.testing.assert_allclose(seen[within], source.image[20][plane][within], atol=1e-3)


@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (30.0, 10.0, 10.0)])
def test_a_turned_crop_shows_what_lies_there(spacing):
    source = part(spacing, image=np.indices(SHAPE)[0].astype(np.uint8))
    made = patches(source)
    centre = np.array([20.0, 22.0, 24.0]) * spacing
    image, annotation, inside = made.crop(0, rotated("x", 30), centre)
    # 30 degrees about x: along a row nothing changes, down the rows z falls by a half each.
    z = (image[0] / 5 + 0.5) * 200
    middle = slice(made.half - 5, made.half + 5)
    assert np.ptp(z[middle, middle], axis=1).max() < 1e-3
    down = np.diff(z[middle, made.half])
    np.testing.assert_allclose(down, -0.5 * 10 / spacing[0], atol=1e-3)
    assert set(np.unique(annotation[inside == 0])) <= {0}
    assert (annotation[middle, middle][:2, :2] == 2).all()


def test_neighbouring_planes_lie_one_pixel_apart_along_the_normal():
    source = part(image=np.indices(SHAPE)[1].astype(np.uint8))
    image, _, _ = patches(source, context=1).crop(0, along("y"), np.array([200.0, 220.0, 240.0]))
    middle = (image[:, 22, 22] / 5 + 0.5) * 200
    np.testing.assert_allclose(middle, [21, 22, 23], atol=1e-3)


def test_classes_are_drawn_as_often_as_asked():
    made = patches()
    random = np.random.default_rng(0)
    drawn = [np.array(made.rows.draw(random, foreground=0.75)[1]) for _ in range(1500)]
    values = [part().annotation[tuple(v.astype(int))] for v in drawn]
    assert set(values) == {1, 2}
    assert np.mean(np.array(values) == 2) == pytest.approx(0.75, abs=0.04)
    inside = np.array([v for v, value in zip(drawn, values, strict=True) if value == 2])
    assert inside.mean(axis=0) == pytest.approx([20, 22, 24], abs=0.4)


def test_any_orientation_is_drawn_unless_some_are_named():
    free = [patches().place(step, 0)[1] for step in range(300)]
    normals = np.array([o.axes[0] for o in free])
    assert np.mean(normals**2, axis=0) == pytest.approx([1 / 3] * 3, abs=0.08)
    named = {patches(orientations=study_orientations(), every=5).place(step, 0)[1].name
             for step in range(100)}
    assert named == {"z", "x 30", "x 60", "x 90", "y 30", "y 60", "y 90"}


def test_planes_of_the_study_lie_five_pixels_apart():
    made = patches(orientations=study_orientations(), every=5)
    for step in range(40):
        _, orientation, centre = made.place(step, 2)
        height = orientation.to_stack(centre)[0] / 50.0
        assert height == pytest.approx(round(height), abs=1e-9)


def test_a_patch_lies_near_a_labelled_voxel():
    made = patches()
    annotation = part().annotation
    for step in range(60):
        _, _, centre = made.place(step, 1)
        near = centre / 10.0
        assert (near > -4).all()
        assert (near < np.array(SHAPE) + 4).all()
        low = np.clip(np.round(near).astype(int) - 7, 0, None)
        assert annotation[tuple(slice(a, a + 15) for a in low)].any()


@pytest.mark.parametrize("balance", ["cell", "voxels"])
def test_parts_are_drawn_as_often_or_by_their_voxels(balance):
    small = part(annotation=np.where(np.indices(SHAPE)[0] < 4, part().annotation, 0))
    both = patches(part(), small, data=replace(DATA, balance=balance))
    random = np.random.default_rng(0)
    share = np.mean([both.rows.draw(random, foreground=0.0)[0] for _ in range(800)])
    voxels = [(p.annotation == 1).sum() for p in (part(), small)]
    expected = 0.5 if balance == "cell" else voxels[1] / sum(voxels)
    assert share == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize("annotation", [np.ones(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)])
def test_a_class_without_voxels_is_refused(annotation):
    with pytest.raises(DataError, match="No voxel of value"):
        patches(part(annotation=annotation))
