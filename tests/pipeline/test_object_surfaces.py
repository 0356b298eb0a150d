"""Surfaces of a label image in blocks, with files, workers and interruptions."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.blocks import Processes
from fibseg.errors import PartlyDoneError
from fibseg.measure import object_faces
from fibseg.pipeline import row_files
from fibseg.pipeline.object_surfaces import TRIANGLE, object_surfaces
from fibseg.pipeline.row_files import rows_of_objects, write_rows

SPACING = (20.0, 10.0, 10.0)
BLOCKS = (12, 13, 14)


def balls():
    grid = np.indices((24, 26, 28))
    labels = np.zeros((24, 26, 28), np.uint16)
    for label, centre in ((4, (6, 7, 8)), (9, (13, 15, 17)), (700, (21, 4, 23))):
        away = sum((n - c) ** 2 for n, c in zip(grid, centre, strict=True))
        labels[away < 22] = label
    return labels


def same(found, expected):
    assert found.label.tolist() == expected.label.tolist() == [4, 9, 700]
    assert found.n_voxels.tolist() == expected.n_voxels.tolist()
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])


def surfaces(folder, labels=None, block_shape=BLOCKS, **told):
    return object_surfaces(
        balls() if labels is None else labels, folder=folder, block_shape=block_shape,
        spacing=SPACING, **told,
    )


def test_surfaces_are_those_of_the_whole_volume(tmp_path):
    whole = surfaces(tmp_path / "a", block_shape=(24, 26, 28))
    found = surfaces(tmp_path / "b")
    same(found, whole)
    assert len(found) == 3
    assert isinstance(found.triangles, np.memmap)
    assert found.largest == max(len(faces) for _, faces in found)
    vertices = next(iter(found))[0]
    assert vertices.mean(axis=0) == pytest.approx(np.array([6, 7, 8]) * SPACING, abs=1.0)


def test_processes_find_the_same(tmp_path):
    same(surfaces(tmp_path / "a", runner=Processes(n_workers=2)), surfaces(tmp_path / "b"))


@pytest.mark.parametrize("step", ["levels_partial", "triangles_partial"])
def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, step):
    quick, calls = getattr(object_faces, step), []

    def stopping(*a, **k):
        calls.append(1)
        if len(calls) == 4:
            raise OSError("the disk is gone")
        return quick(*a, **k)

    monkeypatch.setattr(object_faces, step, stopping)
    with pytest.raises(PartlyDoneError, match="1 of 8 blocks"):
        surfaces(tmp_path, inputs="a")
    found = surfaces(tmp_path, inputs="a")
    assert len(calls) == 8 + 1  # blocks that were finished are not looked at again
    same(found, surfaces(tmp_path / "other"))


def test_the_file_of_all_triangles_is_used_again(tmp_path, monkeypatch):
    first = surfaces(tmp_path, inputs="a")
    monkeypatch.setattr(object_faces, "levels_partial", None)
    monkeypatch.setattr(object_faces, "triangles_partial", None)
    monkeypatch.setattr(row_files, "_put_together", None)
    same(surfaces(tmp_path, inputs="a"), first)


def test_other_inputs_are_other_surfaces(tmp_path):
    surfaces(tmp_path, inputs="a")
    moved = np.roll(balls(), 1, axis=0)
    same(surfaces(tmp_path, moved, inputs="b"), surfaces(tmp_path / "new", moved))


def test_no_object_has_no_surface(tmp_path):
    found = surfaces(tmp_path, np.zeros((24, 26, 28), np.uint8))
    assert len(found) == found.largest == 0
    assert list(found) == []


def rows_in(folder, blocks):
    """Write blocks of (labels, values); returns what all of them tell."""
    told = [
        write_rows(folder, k, np.array(label), np.array(values))
        for k, (label, values) in enumerate(blocks)
    ]
    return {name: np.concatenate([t[name] for t in told]) for name in told[0]}


def test_rows_of_one_object_lie_together(tmp_path):
    found = rows_in(tmp_path, [([2, 2, 5], [9, 8, 7]), ([], []), ([1, 2], [6, 1])])
    label, first, rows = rows_of_objects(tmp_path, found)
    assert label.tolist() == [1, 2, 5]
    assert first.tolist() == [0, 1, 4, 5]
    assert rows.tolist() == [6, 9, 8, 1, 7]


def test_rows_of_several_blocks_are_put_in_order(tmp_path):
    found = rows_in(tmp_path, [([2, 2, 5], [9, 8, 7]), ([2], [1])])
    assert rows_of_objects(tmp_path, found, in_order=np.sort)[2].tolist() == [1, 8, 9, 7]


def test_a_triangle_takes_36_bytes():
    assert TRIANGLE.itemsize == 36
