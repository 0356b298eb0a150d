from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fibseg.report import plane_scores, volume_histogram

BAR = "#5b8db8"


def bars(svg: str) -> int:
    return svg.count(f"fill: {BAR}")


@pytest.mark.parametrize("n", [1, 2, 30, 2000])
@pytest.mark.parametrize("spread", [0.05, 2.0])
def test_histogram_is_well_formed_and_shows_every_object(n: int, spread: float) -> None:
    values = np.exp(np.random.default_rng(n).normal(0, spread, n))
    svg = volume_histogram(values, color=BAR)
    ET.fromstring(svg)
    assert 6 <= bars(svg) <= 40
    assert f"median {np.median(values):.3g}" in svg


def test_axis_is_logarithmic_only_where_volumes_span_decades() -> None:
    narrow = volume_histogram(np.linspace(1, 2, 50), color=BAR)
    wide = volume_histogram(np.geomspace(0.01, 10, 50), color=BAR)
    assert "0.1" in wide
    assert "0.01" in wide
    assert "1.0" in narrow
    assert "0.01" not in narrow


def test_empty_and_undefined_volumes_leave_an_empty_figure() -> None:
    for values in (np.zeros(0), np.array([np.nan, 0.0])):
        svg = volume_histogram(values, color=BAR)
        ET.fromstring(svg)
        assert bars(svg) == 0


def test_same_data_give_the_same_bytes_and_no_date() -> None:
    values = np.arange(1.0, 20.0)
    one, two = (volume_histogram(values, color=BAR) for _ in range(2))
    assert one == two
    assert "<dc:date>" not in one


def test_plane_scores_have_a_gap_where_undefined() -> None:
    svg = plane_scores([3, 13, 23], {"IoU": [0.5, None, 0.7], "boundary F1": [0.1, 0.2, 0.3]})
    ET.fromstring(svg)
    assert "boundary F1" in svg
