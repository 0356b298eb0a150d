from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import DataError
from fibseg.pictures import length_text, scale_bar_nm, tile


def test_tiles_land_in_their_cells() -> None:
    a = np.full((4, 6), 10, np.uint8)
    b = np.full((4, 6, 3), (1, 2, 3), np.uint8)
    c = np.full((2, 3), 30, np.uint8)
    sheet = tile([a, b, c], columns=2, gap=2, color=(9, 9, 9))
    assert sheet.shape == (10, 14, 3)
    assert (sheet[:4, :6] == 10).all()
    assert (sheet[:4, 8:] == (1, 2, 3)).all()
    assert (sheet[6:8, :3] == 30).all()
    assert (sheet[4:6] == 9).all()
    assert tile([a, b, c]).shape == (4, 26, 3)
    assert tile([a], columns=5).shape == (4, 6, 3)
    with pytest.raises(DataError, match="no picture"):
        tile([])


@given(st.floats(1.0, 1e7))
def test_scale_bar_is_round_and_neither_long_nor_short(width: float) -> None:
    bar = scale_bar_nm(width)
    assert 0.09 * width <= bar <= 0.2501 * width
    mantissa = bar / 10 ** np.floor(np.log10(bar) + 1e-9)
    assert round(mantissa, 6) in (1, 2, 5)


def test_words_of_lengths() -> None:
    assert [length_text(v) for v in (50.0, 1000.0, 20000.0)] == ["50 nm", "1 µm", "20 µm"]
    assert scale_bar_nm(0.0) == 0.0
