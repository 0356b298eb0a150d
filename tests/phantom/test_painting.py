"""Sparse painting copies the truth, and leaves most of the volume unlabelled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import UsageError
from fibseg.phantom import Cell, make_cell, sparse_annotation


@pytest.fixture(scope="module")
def cell() -> Cell:
    return make_cell((48, 128, 128), seed=7, pores=False)


def test_painted_voxels_are_true_and_planes_are_every_tenth(cell: Cell) -> None:
    truth = cell.labels["mitochondria"] > 0
    painted = sparse_annotation(truth, seed=1)
    assert painted.dtype == np.uint8
    assert np.array_equal(np.flatnonzero(painted.any(axis=(1, 2))), [5, 15, 25, 35, 45])
    assert truth[painted == 2].all()
    assert not truth[painted == 1].any()
    assert set(np.unique(painted)) == {0, 1, 2}


@pytest.mark.parametrize("name", ["mitochondria", "nucleus"])
def test_a_fifth_to_a_third_of_each_plane_is_painted(cell: Cell, name: str) -> None:
    painted = sparse_annotation(cell.labels[name], seed=2)
    shares = (painted[5::10] > 0).mean(axis=(1, 2))
    assert shares.min() > 0.20
    assert shares.max() < 0.35


def test_background_is_painted_around_objects_and_elsewhere(cell: Cell) -> None:
    painted = sparse_annotation(cell.labels["mitochondria"], seed=1)
    background = painted == 1
    assert (background & ~cell.labels["cell"]).sum() > 200
    assert (background & cell.labels["cytoplasm"]).sum() > 1000


def test_several_classes_count_from_two_in_their_order(cell: Cell) -> None:
    classes = {k: cell.labels[k] for k in ("mitochondria", "nucleus", "er")}
    painted = sparse_annotation(classes, seed=0)
    for number, name in enumerate(classes, start=2):
        assert (painted == number).any()
        assert (cell.labels[name][painted == number] > 0).all()


def test_lookalikes_are_painted_more_often(cell: Cell) -> None:
    alike = cell.labels["nucleolus"]
    truth = cell.labels["mitochondria"]
    shares = [
        np.mean([(sparse_annotation(truth, lookalikes=a, seed=s)[5::10][alike[5::10]] == 1).mean()
                 for s in range(4)])
        for a in (None, alike)
    ]  # fmt: skip
    assert shares[1] > 1.5 * shares[0]


def test_a_seed_fixes_the_painting(cell: Cell) -> None:
    truth = cell.labels["nucleus"]
    first, again, other = (sparse_annotation(truth, seed=s) for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(6))
def test_no_slip_of_the_brush_is_left(cell: Cell, seed: int) -> None:
    classes = {k: cell.labels[k] for k in ("mitochondria", "nucleus")}
    painted = sparse_annotation(classes, seed=seed)
    for number, truth in enumerate(classes.values(), start=2):
        for z in range(5, 48, 10):
            pieces, n = ndimage.label(painted[z] == number, np.ones((3, 3)))
            for i in range(1, n + 1):
                small = (pieces == i).sum() < 4
                # Few pixels are painted only where the object itself has no more.
                around = ndimage.binary_dilation(pieces == i, np.ones((3, 3))) & (pieces != i)
                assert not (small and (truth[z][around] > 0).any())


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.9, 1.0])
def test_any_fraction_is_met(cell: Cell, fraction: float) -> None:
    painted = sparse_annotation(cell.labels["mitochondria"], fraction=fraction, every=20)
    assert (painted[10] > 0).mean() == pytest.approx(fraction, abs=0.05 + 0.1 * fraction)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 30), (12, 2, 2)])
def test_tiny_and_empty_truth_can_be_painted(shape: tuple[int, int, int]) -> None:
    for value in (False, True):
        painted = sparse_annotation(np.full(shape, value), fraction=0.5)
        assert painted.any()
        assert painted.max() == 1 + value


def test_what_cannot_be_painted_is_refused() -> None:
    mask = np.zeros((4, 8, 8), bool)
    with pytest.raises(UsageError, match="every=0"):
        sparse_annotation(mask, every=0)
    with pytest.raises(UsageError, match=r"fraction=1\.5"):
        sparse_annotation(mask, fraction=1.5)
    with pytest.raises(UsageError, match="shapes"):
        sparse_annotation({"a": mask, "b": mask[:2]})
