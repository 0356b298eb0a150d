from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_cell import make_cell

from fibseg.data import Normalisation, normalise
from fibseg.errors import DataError


@given(st.integers(0, 200), st.integers(1, 50000), st.booleans())
def test_percentiles_become_the_ends_and_the_rest_is_clipped(
    low: int, width: int, invert: bool
) -> None:
    spec = Normalisation(low, low + width, invert)
    got = normalise(np.array([low, low + width, low - 10 * width, low + 10 * width]), spec)
    want = np.array([-2.5, 2.5, -3.0, 3.0]) * (-1 if invert else 1)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert got.dtype == np.float32


def test_dark_stain_of_a_volume_becomes_bright(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    spec = Normalisation.of(volume)
    assert spec.invert
    assert (spec.low, spec.high) == (volume.percentiles["p0.5"], volume.percentiles["p99.5"])
    image = normalise(np.asarray(volume.raw()[:]), spec)
    assert abs(float(image.mean())) < 2.5
    assert 0.3 < float(image.std()) < 3


def test_an_even_volume_is_refused() -> None:
    class Even:
        name, polarity = "even", "dark"
        percentiles = {"p0.5": 7.0, "p99.5": 7.0}  # noqa: RUF012

    with pytest.raises(DataError, match="7 nearly everywhere"):
        Normalisation.of(Even())  # type: ignore[arg-type]


def test_empty_and_single_voxel_images() -> None:
    spec = Normalisation(0, 10, invert=False)
    assert normalise(np.empty((0, 3, 3), np.uint8), spec).shape == (0, 3, 3)
    assert normalise(np.array([[[5]]], np.uint16), spec).item() == 0.0
