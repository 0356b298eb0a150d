from __future__ import annotations

import numpy as np
import pytest

from fibseg.blocks.seams import cut_faces, directions, touching


@pytest.mark.parametrize(("connectivity", "n"), [(6, 3), (18, 9), (26, 13)])
def test_half_of_the_neighbours(connectivity, n):
    found = directions(connectivity)
    assert len(found) == n
    opposite = {tuple(-d for d in direction) for direction in found}
    assert not opposite & set(found)


def test_faces_are_the_outermost_planes():
    labels = np.arange(24).reshape(2, 3, 4)
    faces = cut_faces(labels)
    np.testing.assert_array_equal(faces[0, 1], labels[-1:])
    np.testing.assert_array_equal(faces[1, -1], labels[:, :1])
    assert faces[2, 1].shape == (2, 3, 1)


def test_touching_pairs_are_named_once():
    a = np.full((2, 3, 3), 7, dtype=np.uint32)
    b = np.full((2, 3, 3), 2**32 - 1, dtype=np.uint32)
    pairs = touching(cut_faces(a), cut_faces(b), (1, 0, 0), connectivity=26)
    np.testing.assert_array_equal(pairs, [[7, 2**32 - 1]])


@pytest.mark.parametrize(("connectivity", "touch"), [(6, False), (18, True), (26, True)])
def test_a_diagonal_step_across_a_face(connectivity, touch):
    a, b = np.zeros((1, 2, 2), np.uint32), np.zeros((1, 2, 2), np.uint32)
    a[0, 0, 0] = 1
    b[0, 0, 1] = 5
    pairs = touching(cut_faces(a), cut_faces(b), (1, 0, 0), connectivity=connectivity)
    assert pairs.tolist() == ([[1, 5]] if touch else [])
