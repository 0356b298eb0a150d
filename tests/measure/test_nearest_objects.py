from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes, spacings

from fibseg.blocks import Grid
from fibseg.errors import UsageError
from fibseg.measure import corners, nearest_objects, regions
from fibseg.measure.nearest_objects import centre_neighbours, surface_neighbours


def in_blocks(labels, block_shape):
    tables = []
    for block in Grid.over(labels.shape, block_shape).blocks(
        lambda write: write.grow((1, 1, 1)).clip(labels.shape)
    ):
        tables.append(corners.partial(
            labels[block.read.slices], inside=block.write.relative_to(block.read),
            start=block.write.start, shape=labels.shape,
        ))
    return corners.finish(corners.merged(tables[::-1]))


def boxes_apart(labels, spacing):
    """Distance of every two objects in µm, of all pairs of their voxels as boxes."""
    names = np.unique(labels[labels != 0])
    voxels = [np.argwhere(labels == name) for name in names]
    away = np.full((len(names),) * 2, np.inf)
    for i, first in enumerate(voxels):
        for j, second in enumerate(voxels):
            if i != j:
                steps = np.abs(first[:, None] - second)
                gaps = np.maximum(steps - 1, 0) * np.array(spacing) * 1e-3
                away[i, j] = np.sqrt((gaps**2).sum(axis=-1)).min()
    return names, away


def check_against(found, kind, names, away, k):
    for place in range(k):
        label = found[f"{kind}_neighbour_{place + 1}"]
        um = found[f"{kind}_neighbour_{place + 1}_um"]
        if place >= len(names) - 1:
            assert np.isnan(um).all()
            assert (label == 0).all()
            continue
        np.testing.assert_allclose(um, np.sort(away, axis=1)[:, place], rtol=1e-9, atol=1e-12)
        rows = np.searchsorted(names, label)
        np.testing.assert_allclose(away[np.arange(len(names)), rows], um, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(label_volumes(high=9), spacings(), st.integers(1, 4), block_shapes(), st.booleans())
def test_surfaces_are_as_far_apart_as_all_pairs_of_voxels_say(labels, spacing, k, block, sparse):
    labels = np.where(labels > 12_000, 0, labels)
    if sparse:
        labels[np.random.default_rng(k).random(labels.shape) > 0.15] = 0
    found = in_blocks(labels, block)
    names, away = boxes_apart(labels, spacing)
    if len(names) == 1 and (labels != 0).all():
        assert len(found) == 0  # no surface
        return
    np.testing.assert_array_equal(found.label, names)
    check_against(surface_neighbours(found, k=k, spacing=spacing), "surface", names, away, k)


@settings(deadline=None, max_examples=60)
@given(label_volumes(), block_shapes())
def test_corners_do_not_depend_on_blocks(labels, block):
    whole, parts = corners.measure(labels), in_blocks(labels, block)
    for name in ("label", "first", "places"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert whole.places.dtype == np.int32
    assert whole.label.dtype == labels.dtype


def balls(n, seed=0, side=60):
    """Numbered balls of all sizes; what a later one covers is its own."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side,) * 3, np.uint16)
    grid = np.ogrid[:side, :side, :side]
    for number in rng.permutation(n) + 1:
        centre, radius = rng.uniform(0, side, 3), rng.uniform(1.2, 6)
        inside = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2
        labels[inside] = 10 * number
    return labels


@pytest.mark.parametrize("all_pairs", [0, 2**15])
def test_many_objects_of_all_sizes(all_pairs, monkeypatch):
    # trees for all, or for the largest
    monkeypatch.setattr(nearest_objects, "_ALL_PAIRS", all_pairs)
    labels = balls(50)
    labels[:, 30, :] = 7  # one object through all of the volume
    spacing = (30.0, 10.0, 8.0)
    found = corners.measure(labels)
    points = [found.of(row) * np.array(spacing) * 1e-3 for row in range(len(found))]
    away = np.full((len(found),) * 2, np.inf)
    for i, first in enumerate(points):
        for j in range(i):
            steps = np.square(first[:, None] - points[j]).sum(axis=-1)
            away[i, j] = away[j, i] = np.sqrt(steps.min())
    check_against(
        surface_neighbours(found, k=5, spacing=spacing), "surface", found.label, away, 5
    )


@settings(deadline=None, max_examples=60)
@given(label_volumes(), spacings(), st.integers(1, 5))
def test_centres_are_as_far_apart_as_all_pairs_say(labels, spacing, k):
    table = regions.measure(labels, spacing=spacing)
    centres = np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1)
    away = np.linalg.norm(centres[:, None] - centres, axis=-1)
    np.fill_diagonal(away, np.inf)
    check_against(centre_neighbours(table, k=k), "centre", table["label"], away, k)


def test_an_object_inside_another_shares_its_centre_but_not_itself():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:8, 1:8, 1:8] = 2
    labels[2:7, 2:7, 2:7] = 0
    labels[4, 4, 4] = 5
    centre = centre_neighbours(regions.measure(labels, spacing=(10, 10, 10)), k=1)
    assert centre["centre_neighbour_1"].tolist() == [5, 2]
    assert centre["centre_neighbour_1_um"].tolist() == [0, 0]
    surface = surface_neighbours(corners.measure(labels), k=1, spacing=(10, 10, 10))
    assert surface["surface_neighbour_1_um"] == pytest.approx([0.02, 0.02])


@pytest.mark.parametrize(
    ("step", "um"), [((0, 0, 1), 0), ((1, 1, 1), 0), ((0, 0, 3), 0.016), ((2, 2, 0), 0.05)]
)
def test_two_voxels(step, um):
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1, 1, 1] = 1
    labels[tuple(np.add(1, step))] = 9
    found = surface_neighbours(corners.measure(labels), k=2, spacing=(40, 30, 8))
    assert found["surface_neighbour_1_um"] == pytest.approx([um, um])
    assert found["surface_neighbour_1"].tolist() == [9, 1]
    assert np.isnan(found["surface_neighbour_2_um"]).all()


def test_of_equally_near_ones_the_smaller_number_comes_first():
    labels = np.zeros((1, 1, 9), np.uint8)
    labels[0, 0, [0, 4, 8]] = 8, 5, 3
    found = surface_neighbours(corners.measure(labels), k=2, spacing=(1, 1, 1))
    assert found["surface_neighbour_1"].tolist() == [5, 3, 5]
    assert found["surface_neighbour_2"].tolist() == [8, 8, 3]


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 3, 3), (1, 1, 1)])
def test_no_object_has_no_neighbours(shape):
    labels = np.zeros(shape, np.uint32)
    for table in (
        surface_neighbours(corners.measure(labels), k=3, spacing=(1, 1, 1)),
        centre_neighbours(regions.measure(labels, spacing=(1, 1, 1)), k=3),
    ):
        assert len(table) == 7
        assert all(len(column) == 0 for column in table.values())


def test_one_object_has_none_either():
    labels = np.zeros((3, 3, 3), np.uint32)
    labels[1, 1, 1] = 4
    for kind, table in (
        ("surface", surface_neighbours(corners.measure(labels), k=1, spacing=(1, 1, 1))),
        ("centre", centre_neighbours(regions.measure(labels, spacing=(1, 1, 1)), k=1)),
    ):
        assert table["label"].tolist() == [4]
        assert np.isnan(table[f"{kind}_neighbour_1_um"]).all()
        assert table[f"{kind}_neighbour_1"].tolist() == [0]


def test_corners_may_lie_in_a_file(tmp_path):
    labels = balls(12, side=30)
    whole = corners.measure(labels)
    np.save(tmp_path / "places.npy", whole.places)
    stored = corners.Corners(
        whole.label, whole.first, np.load(tmp_path / "places.npy", mmap_mode="r")
    )
    for name, column in surface_neighbours(whole, k=2, spacing=(10, 10, 10)).items():
        same = surface_neighbours(stored, k=2, spacing=(10, 10, 10))[name]
        np.testing.assert_array_equal(same, column)


def test_no_neighbours_at_all_are_refused():
    with pytest.raises(UsageError, match=r"k=0 are no neighbours"):
        surface_neighbours(corners.measure(balls(2)), k=0, spacing=(1, 1, 1))
    with pytest.raises(UsageError, match=r"k=-1 are no neighbours"):
        centre_neighbours({}, k=-1)
