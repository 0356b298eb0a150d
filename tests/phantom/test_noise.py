"""Random fields have the strength and the scale that is asked for, on any machine load."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fibseg.phantom.grid import Grid
from fibseg.phantom.noise import grain, smooth_noise

GRID = Grid((60, 80, 100), (20.0, 20.0, 20.0))


def reach_nm(field: np.ndarray, spacing: float) -> float:
    """Lag along x where the correlation falls to one half."""
    centred = field - field.mean()
    lags = range(1, field.shape[2] // 2)
    curve = [float((centred[..., :-k] * centred[..., k:]).mean() / centred.var()) for k in lags]
    return spacing * next((k for k, c in zip(lags, curve, strict=True) if c < 0.5), len(curve))


@pytest.mark.parametrize("wavelength", [60.0, 100.0, 250.0])
def test_smooth_noise_has_unit_deviation(wavelength: float) -> None:
    field = smooth_noise(GRID, wavelength_nm=wavelength, rng=np.random.default_rng(0))
    assert field.dtype == np.float32
    assert field.shape == GRID.shape
    assert field.std() == pytest.approx(1, abs=0.12)
    assert abs(field.mean()) < 0.2


def test_the_wavelength_sets_the_scale_in_nm_whatever_the_spacing() -> None:
    for wavelength in (200.0, 400.0):
        for spacing in (10.0, 20.0, 40.0):
            grid = Grid(tuple(round(1600 / spacing) for _ in range(3)), (spacing,) * 3)
            field = smooth_noise(grid, wavelength_nm=wavelength, rng=np.random.default_rng(1))
            assert reach_nm(field, spacing) == pytest.approx(0.5 * wavelength, rel=0.45)


def test_smooth_noise_is_smooth() -> None:
    field = smooth_noise(GRID, wavelength_nm=400, rng=np.random.default_rng(0))
    steps = [np.abs(np.diff(field, axis=a)).max() for a in range(3)]
    assert max(steps) < 0.5
    bends = [np.abs(np.diff(field, n=3, axis=a)).max() for a in range(3)]
    assert max(bends) < 0.05


def test_smooth_noise_does_not_depend_on_the_number_of_threads() -> None:
    fields = []
    for n in (1, 2, 4):
        with threadpool_limits(n):
            fields.append(smooth_noise(GRID, wavelength_nm=150, rng=np.random.default_rng(5)))
    assert np.array_equal(fields[0], fields[1])
    assert np.array_equal(fields[0], fields[2])


def test_grain_has_unit_deviation_and_its_size() -> None:
    fine = grain(GRID, size_nm=15, rng=np.random.default_rng(0))
    coarse = grain(GRID, size_nm=60, rng=np.random.default_rng(0))
    for field in (fine, coarse):
        assert field.std() == pytest.approx(1, abs=1e-3)
        assert abs(field.mean()) < 0.1
    assert reach_nm(coarse, 20) > 2 * reach_nm(fine, 20)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 1), (2, 3, 4)])
def test_noise_of_tiny_volumes_is_finite(shape: tuple[int, int, int]) -> None:
    grid = Grid(shape, (20.0, 20.0, 20.0))
    rng = np.random.default_rng(0)
    assert np.isfinite(smooth_noise(grid, wavelength_nm=300, rng=rng)).all()
    assert np.isfinite(grain(grid, size_nm=15, rng=rng)).all()
