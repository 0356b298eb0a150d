"""The recorded planes carry the faults of a FIB-SEM, and no more of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fibseg.phantom.microscope import photograph

FLAT = np.full((40, 96, 96), 160, np.float32)


@pytest.fixture(scope="module")
def flat() -> np.ndarray:
    return photograph(FLAT, np.random.default_rng(0)).astype(float)


def test_a_flat_specimen_keeps_its_grey(flat: np.ndarray) -> None:
    assert abs(flat.mean() - 160) < 10
    assert 4 < flat.std() < 15


def test_brightness_drifts_along_z_slowly(flat: np.ndarray) -> None:
    level = flat.mean(axis=(1, 2))
    assert 1.5 < level.std() < 12
    assert np.abs(np.diff(level)).mean() < level.max() - level.min()


def test_curtains_run_along_y(flat: np.ndarray) -> None:
    plane = flat - flat.mean(axis=(1, 2), keepdims=True)
    # The mean along y keeps stripes along y and averages noise away.
    along_y, along_x = plane.mean(axis=1), plane.mean(axis=2)
    stripes = along_y.std()
    noise = plane.std() / np.sqrt(plane.shape[1])
    assert stripes > 2 * noise
    across = along_x - ndimage.uniform_filter1d(along_x, 25, axis=1)
    assert stripes > 2 * across.std()


def test_curtains_change_from_plane_to_plane_but_last_a_little(flat: np.ndarray) -> None:
    stripes = flat.mean(axis=1)
    stripes = stripes - stripes.mean(axis=1, keepdims=True)

    def likeness(lag: int) -> float:
        return float(np.corrcoef(stripes[:-lag].ravel(), stripes[lag:].ravel())[0, 1])

    assert likeness(1) > 0.4
    assert likeness(1) > likeness(12) + 0.2


def test_noise_grows_with_the_signal() -> None:
    def noise(level: float) -> float:
        planes = photograph(np.full((6, 96, 96), level, np.float32), np.random.default_rng(1))
        return float(np.diff(planes.astype(float), axis=1).std())

    assert noise(200) > 1.2 * noise(80)


def test_edges_are_blurred_by_about_a_voxel() -> None:
    step = np.full((30, 64, 64), 100, np.float32)
    step[:, 32:] = 200
    profile = photograph(step, np.random.default_rng(2)).astype(float).mean(axis=(0, 2))
    rising = (profile - profile[:28].mean()) / (profile[36:].mean() - profile[:28].mean())
    width = np.interp(0.9, rising[28:37], np.arange(9)) - np.interp(
        0.1, rising[28:37], np.arange(9)
    )
    assert 0.8 < width < 3


def test_structure_survives() -> None:
    rng = np.random.default_rng(3)
    canvas = 150 + 40 * ndimage.gaussian_filter(rng.standard_normal((12, 64, 64)), 2) * 10
    image = photograph(canvas.astype(np.float32), np.random.default_rng(4))
    assert np.corrcoef(canvas.ravel(), image.ravel())[0, 1] > 0.9


def test_extreme_greys_are_clipped_and_not_wrapped() -> None:
    black = photograph(np.zeros((4, 32, 32), np.float32), np.random.default_rng(0))
    white = photograph(np.full((4, 32, 32), 255, np.float32), np.random.default_rng(0))
    assert black.max() < 60
    assert white.min() > 190


def test_the_same_stream_gives_the_same_bits() -> None:
    first, again = (photograph(FLAT[:4], np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 1, 1)])
def test_tiny_planes_can_be_recorded(shape: tuple[int, int, int]) -> None:
    assert photograph(np.full(shape, 100, np.float32), np.random.default_rng(0)).shape == shape
