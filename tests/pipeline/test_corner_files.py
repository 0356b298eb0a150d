"""Corners in files, block by block, against those of the whole volume in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes, spacings

from fibseg.blocks import Processes
from fibseg.errors import DataError
from fibseg.measure import corners, regions
from fibseg.measure.nearest_objects import centre_neighbours, surface_neighbours
from fibseg.pipeline import row_files
from fibseg.pipeline.corner_files import find_corners, neighbour_table


def same(found, expected):
    assert found.label.tolist() == expected.label.tolist()
    assert found.first.tolist() == expected.first.tolist()
    assert found.places.dtype == expected.places.dtype
    np.testing.assert_array_equal(found.places, expected.places)


@settings(max_examples=15)
@given(label_volumes(), block_shapes(low=4))
def test_any_blocks_give_the_corners_of_the_whole(labels, block_shape):
    with tempfile.TemporaryDirectory() as folder:
        found = find_corners(labels, folder=Path(folder), block_shape=block_shape)
        same(found, corners.measure(labels))


@settings(max_examples=15)
@given(label_volumes(high=9), block_shapes(low=4), spacings(), st.integers(1, 4))
def test_neighbours_are_joined_by_label(labels, block_shape, spacing, k):
    table = regions.measure(labels, spacing=spacing)
    with tempfile.TemporaryDirectory() as folder:
        there = find_corners(labels, folder=Path(folder), block_shape=block_shape)
        found = neighbour_table(table, there, k=k, spacing=spacing)
    by_centre = centre_neighbours(table, k=k)
    by_surface = surface_neighbours(corners.measure(labels), k=k, spacing=spacing)
    assert set(found) | {"label"} == {*by_centre, *by_surface}
    for name, values in found.items():
        known = by_centre.get(name, by_surface.get(name))
        if len(known) == len(values):
            np.testing.assert_array_equal(values, known)
        else:  # one object fills the volume: it has no surface
            assert not len(known)
            assert (np.isnan(values) if name.endswith("_um") else values == 0).all()


def balls():
    grid = np.indices((18, 20, 22))
    labels = np.zeros((18, 20, 22), np.uint16)
    for label, centre in ((4, (6, 6, 6)), (9, (11, 13, 15)), (700, (16, 3, 18))):
        away = sum((n - c) ** 2 for n, c in zip(grid, centre, strict=True))
        labels[away < 22] = label
    return labels


def test_an_interrupted_run_goes_on_and_the_file_is_used_again(tmp_path, monkeypatch):
    labels, put = balls(), row_files._put_together
    calls = []
    monkeypatch.setattr(row_files, "_put_together", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        find_corners(labels, folder=tmp_path, block_shape=(9, 10, 11), inputs="a")
    monkeypatch.setattr(row_files, "_put_together", lambda *a: calls.append(put(*a)))
    monkeypatch.setattr(corners, "partial", None)  # no block is looked at again
    for _ in range(2):
        found = find_corners(labels, folder=tmp_path, block_shape=(9, 10, 11), inputs="a")
    assert len(calls) == 1
    monkeypatch.undo()
    same(found, corners.measure(labels))
    assert isinstance(found.places, np.memmap)


def test_other_inputs_are_other_corners(tmp_path):
    find_corners(balls(), folder=tmp_path, block_shape=(9, 10, 11), inputs="a")
    moved = np.roll(balls(), 1, axis=0)
    found = find_corners(moved, folder=tmp_path, block_shape=(9, 10, 11), inputs="b")
    same(found, corners.measure(moved))


def test_a_damaged_table_of_a_block_is_refused(tmp_path):
    find_corners(balls(), folder=tmp_path, block_shape=(9, 10, 11))
    (kept,) = tmp_path.glob("corners-*/found")
    damaged = next(path for path in (kept / "blocks").rglob("*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(DataError, match="damaged"):
        find_corners(balls(), folder=tmp_path, block_shape=(9, 10, 11))


def test_processes_find_the_same(tmp_path):
    found = find_corners(
        balls(), folder=tmp_path, block_shape=(9, 10, 11), runner=Processes(n_workers=2)
    )
    same(found, corners.measure(balls()))
