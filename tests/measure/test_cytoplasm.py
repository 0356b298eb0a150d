from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from membranes import faces
from scipy.spatial import cKDTree
from strategies import masks, spacings

from fibseg.errors import UsageError
from fibseg.measure.cytoplasm import DISTANCES, Cell

SPACING = (40.0, 20.0, 30.0)


def ball(shape, spacing, centre_nm, radius_nm):
    steps = zip(np.indices(shape), spacing, centre_nm, strict=True)
    return np.sqrt(sum((n * s - c) ** 2 for n, s, c in steps)) < radius_nm


@pytest.fixture(scope="module")
def cell():
    shape, middle = (40, 80, 60), (780.0, 800.0, 870.0)
    return Cell(
        ball(shape, SPACING, middle, 700), ball(shape, SPACING, middle, 300), SPACING
    )


def test_distances_are_those_of_round_membranes(cell):
    """From the middle outwards, also within the nucleus; to a voxel, and less on average."""
    rng = np.random.default_rng(0)
    out = rng.normal(size=(200, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    radius = rng.uniform(0.05, 0.68, 200)
    centres = np.array([0.78, 0.8, 0.87]) + radius[:, None] * out
    found = cell.distances(centres[None])
    known = np.abs(radius - 0.3), 0.7 - radius
    for name, expected in zip(DISTANCES, (*known, np.minimum(*known)), strict=True):
        assert found[name].shape == (1, 200)
        error = found[name][0] - expected
        assert np.abs(error).max() < 0.03
        assert abs(error.mean()) < 0.01


def test_distances_of_voxel_centres_are_those_to_faces_within_half_a_voxel(cell):
    places = np.argwhere(cell.cytoplasm.free)[::97]
    found = cell.distances(places * np.array(SPACING) / 1000)
    for name, mask in zip(DISTANCES[:2], (cell.nucleus, cell.inside), strict=True):
        known = cKDTree(faces(mask, SPACING)).query(places * SPACING)[0] / 1000
        assert np.abs(found[name] - known).max() <= max(SPACING) / 2000


@given(masks((7, 8, 9)), masks((7, 8, 9)), spacings(), st.integers(0, 2**32 - 1))
def test_cutting_changes_nothing(inside, nucleus, spacing, seed):
    nucleus &= inside
    whole = Cell(inside, nucleus, spacing, (0.1, 0.2, 0.3))
    cut = whole.cropped()
    assert cut.inside.sum() == inside.sum()
    assert cut.nucleus.sum() == nucleus.sum()
    places = np.argwhere(inside)
    centres = np.array([0.1, 0.2, 0.3]) + places * np.array(spacing) / 1000
    for name, values in whole.distances(centres).items():
        np.testing.assert_allclose(cut.distances(centres)[name], values, rtol=1e-5, atol=1e-6)
    here = cut.cytoplasm.places(centres)
    kept = cut.inside[tuple(np.rint(here).astype(int).T)]
    assert kept.all()


def test_a_membrane_that_is_not_in_sight_is_nobodys_nearest():
    inside = np.ones((6, 6, 6), bool)
    nucleus = np.zeros_like(inside)
    nucleus[:2] = True
    found = Cell(inside, nucleus, (10.0, 10.0, 10.0)).distances(np.array([[0.04, 0.02, 0.02]]))
    assert found["distance_nucleus_um"].tolist() == pytest.approx([0.025])
    assert np.isnan(found["distance_cell_um"]).all()
    assert found["distance_nearest_um"].tolist() == found["distance_nucleus_um"].tolist()


def test_an_object_that_is_not_there_has_no_distance(cell):
    found = cell.distances(np.array([[np.nan, 0.8, 0.8], [0.78, 0.8, 0.5]]))
    for values in found.values():
        assert np.isnan(values).tolist() == [True, False]


def test_masks_of_two_grids_are_refused():
    with pytest.raises(UsageError, match=r"\(2, 2, 2\) and the nucleus \(2, 2, 3\)"):
        Cell(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), SPACING)
