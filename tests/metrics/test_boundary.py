from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fibseg.geometry import Box
from fibseg.metrics import BoundaryScore, boundary_voxels, reach_of_boundary_score


def blobs(seed: int, shape: tuple[int, int, int] = (14, 20, 22)) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    mask = ndimage.gaussian_filter(noise, 2) > 0.02
    for axis in range(3):  # off the faces, where other implementations draw an edge
        np.moveaxis(mask, axis, 0)[[0, -1]] = False
    return mask


def test_boundary_is_the_mask_without_its_erosion() -> None:
    mask = blobs(0)
    np.testing.assert_array_equal(boundary_voxels(mask), mask & ~ndimage.binary_erosion(mask))
    flat = ndimage.generate_binary_structure(2, 1)[None]
    np.testing.assert_array_equal(
        boundary_voxels(mask, in_plane=True), mask & ~ndimage.binary_erosion(mask, flat)
    )


def test_faces_and_unknown_ground_are_no_boundary() -> None:
    full = np.ones((3, 4, 5), bool)
    assert not boundary_voxels(full).any()
    mask = full.copy()
    mask[:, :, 3:] = False
    assert boundary_voxels(mask).sum() == 3 * 4
    assert not boundary_voxels(mask, scored=mask).any()


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("tolerance", [10.0, 25.0, 40.0])
@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (30.0, 8.0, 10.0)])
def test_agrees_with_monai_surface_dice(
    tolerance: float, spacing: tuple[float, float, float]
) -> None:
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_surface_dice

    a, b = blobs(1), blobs(2)
    score = BoundaryScore().update(a, b, tolerance_nm=tolerance, spacing=spacing)
    want = compute_surface_dice(
        torch.from_numpy(a)[None, None].float(),
        torch.from_numpy(b)[None, None].float(),
        class_thresholds=[tolerance],
        include_background=True,
        spacing=spacing,
    )
    got = (score.n_prediction_near + score.n_truth_near) / (score.n_prediction + score.n_truth)
    assert got == pytest.approx(float(want[0, 0]), abs=1e-6)


@pytest.mark.parametrize("in_plane", [False, True])
@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (37.0, 8.0, 11.0), (5.0, 20.0, 10.0)])
def test_small_and_large_tolerances_measure_alike(
    spacing: tuple[float, float, float], in_plane: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = blobs(3), blobs(4)
    tolerances = (0.0, 9.9, 10.0, 25.0, 300.0)

    def scores() -> list[BoundaryScore]:
        return [
            BoundaryScore().update(a, b, tolerance_nm=t, spacing=spacing, in_plane=in_plane)
            for t in tolerances
        ]

    monkeypatch.setattr("fibseg.metrics.boundary.MOST_LINES", 10**6)
    by_lines = scores()
    monkeypatch.setattr("fibseg.metrics.boundary.MOST_LINES", 0)
    assert by_lines == scores()


def test_shifted_plane_is_within_or_beyond_the_tolerance() -> None:
    a = np.zeros((4, 10, 30), bool)
    b = a.copy()
    a[:, :, :10] = True
    b[:, :, :13] = True  # 3 voxels of 10 nm
    for tolerance, want in ((30.0, 1.0), (29.0, 0.0)):
        score = BoundaryScore().update(a, b, tolerance_nm=tolerance, spacing=(40.0, 10.0, 10.0))
        assert score.compute()["boundary_f1"] == want
    a2, b2 = np.swapaxes(a, 0, 2), np.swapaxes(b, 0, 2)  # 3 voxels of 40 nm
    score = BoundaryScore().update(a2, b2, tolerance_nm=119.0, spacing=(40.0, 10.0, 10.0))
    assert score.compute()["boundary_f1"] == 0.0


@given(seed=st.integers(0, 99), cut=st.integers(1, 13), in_plane=st.booleans())
@settings(max_examples=15, deadline=None)
def test_blocks_with_their_reach_add_up_to_the_whole(seed: int, cut: int, in_plane: bool) -> None:
    a, b = blobs(seed), blobs(seed + 1)
    scored = blobs(seed + 2) | (np.arange(22) > 6)
    spacing, tolerance = (20.0, 10.0, 10.0), 25.0
    kind = {"tolerance_nm": tolerance, "spacing": spacing, "in_plane": in_plane}
    whole = BoundaryScore().update(a, b, scored=scored, **kind)
    halo = reach_of_boundary_score(tolerance, spacing=spacing)
    total = BoundaryScore()
    for z0, z1 in ((0, cut), (cut, 14)):
        write = Box((z0, 0, 0), (z1, 20, 22))
        read = write.grow(halo).clip(a.shape)
        s = read.slices
        total = total.update(a[s], b[s], scored=scored[s], inner=write.relative_to(read), **kind)
    assert total == whole


def test_boundaries_beside_unknown_ground_are_not_judged() -> None:
    truth = np.zeros((1, 20, 40), bool)
    truth[:, :, :20] = True
    shifted = np.zeros_like(truth)
    shifted[:, :, :21] = True
    scored = np.zeros_like(truth)
    scored[:, 5:15] = True
    score = BoundaryScore().update(
        shifted, truth, tolerance_nm=20.0, scored=scored, in_plane=True, spacing=(10.0,) * 3
    )
    assert score.n_truth == 6  # rows 7 to 12: two rows at either rim may have partners outside
    assert score.compute()["boundary_f1"] == 1.0


def test_no_boundary_at_all_and_on_one_side_only() -> None:
    empty, full = np.zeros((2, 8, 8), bool), np.zeros((2, 8, 8), bool)
    full[:, 2:5, 2:5] = True
    kind = {"tolerance_nm": 5.0, "spacing": (5.0, 5.0, 5.0)}
    assert math.isnan(BoundaryScore().update(empty, empty, **kind).compute()["boundary_f1"])
    assert BoundaryScore().update(empty, full, **kind).compute()["boundary_f1"] == 0.0
    one = np.ones((1, 1, 1), bool)
    assert BoundaryScore().update(one, one, **kind) == BoundaryScore()
    none = np.ones((0, 4, 4), bool)
    assert BoundaryScore().update(none, none, **kind) == BoundaryScore()
