"""Figures and words about how objects lie on an envelope."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fibseg.report import pairs_figure, section_names, sections_figure, svg_text
from fibseg.report.methods_distribution import distribution_text
from fibseg.report.spreading import comparison_lines

EDGES = np.arange(11) * 0.1
CURVES = {
    "radius_from_um": EDGES[:-1].tolist(), "radius_to_um": EDGES[1:].tolist(),
    "pair_correlation": [0.0, 0.0, 1.7, *[1.0] * 7],
    "pair_correlation_low": [None, *[0.6] * 9], "pair_correlation_high": [None, *[1.4] * 9],
    "ripley_k_um2": (np.pi * EDGES[1:] ** 2).tolist(), "ripley_l_um": EDGES[1:].tolist(),
    "ripley_l_low_um": (EDGES[1:] - 0.05).tolist(),
    "ripley_l_high_um": (EDGES[1:] + 0.05).tolist(),
}
COMPARED = {
    "blocks_p": 0.004, "welch_p": 1e-9, "hedges_g": -0.51, "hedges_low": -0.9, "hedges_high": -0.1,
}
FACTS = {
    "on": "nucleus", "working_spacing_nm": [40.0, 40.0, 40.0], "envelope_um2": 22.3,
    "n_on_envelope": 170, "n_objects": 175, "cut_by": [], "density_um": 0.5, "self_weight": 0.8,
    "sections": {"plane": {"neck": 0.72}, "why_none": None},
    "pair_correlation": {"n_simulations": 199},
}


def texts(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def test_pairs_have_their_curve_band_and_p():
    found = {"curves": CURVES, "p_value": 0.005, "p_pair_correlation": None}
    figure = pairs_figure(found)
    left, right = figure.axes
    assert left.lines[-1].get_ydata().tolist() == CURVES["pair_correlation"]
    assert right.lines[-1].get_ydata() == pytest.approx(np.zeros(10))
    assert len(left.collections) == len(right.collections) == 1
    said = texts(svg_text(figure))
    assert "no test against random placement" in said or "no test" in said
    assert any("0.005 against random placement" in text for text in said)


def test_sections_have_their_own_bars_and_what_is_stated():
    section = np.array([1.0] * 30 + [2.0] * 20 + [np.nan] * 3)
    values = np.arange(53.0)
    columns = {"mean_distance_8_um": ("mean distance (µm)", values),
               "density_per_um2": ("density (1/µm²)", np.full(53, np.nan))}
    figure = sections_figure(columns, section, {"mean_distance_8_um": COMPARED})
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sum(heights) == pytest.approx(2)
    said = texts(svg_text(figure))
    assert "section 1 (30)" in said
    assert "section 2 (20)" in said
    assert any(text.startswith("g = −0.51 [−0.90, −0.10]") for text in said)
    assert "no value is known" in said


def test_nothing_to_show_is_said():
    figure = sections_figure({}, np.zeros(0), {})
    assert "no column to compare was measured" in texts(svg_text(figure))
    one = {"a_um": ("a (µm)", np.ones(4))}
    figure = sections_figure(one, np.array([1.0, 1, 1, np.nan]), {})
    assert "not compared" in texts(svg_text(figure))


def test_what_was_not_compared_is_not_stated():
    assert comparison_lines({**COMPARED, "blocks_p": None}) == ("not compared",)
    assert section_names(np.zeros(0)).tolist() == []


def test_methods_tell_what_was_done():
    text = distribution_text("pores", FACTS)
    assert "170 of 175 pores stand on it" in text
    assert "0.72 of the smaller" in text
    assert "199 random placements" in text
    assert "cuts it" not in text


def test_methods_tell_nothing_that_was_not_done():
    assert distribution_text("pores", {}) == ""
    other = FACTS | {
        "pair_correlation": None, "cut_by": ["first z"],
        "sections": {"plane": None, "why_none": "the nucleus has no furrow"},
    }
    text = distribution_text("pores", other)
    assert "Ripley" not in text
    assert "not divided in sections: the nucleus has no furrow." in text
    assert "The image volume cuts it (first z)." in text
    given = FACTS | {"sections": {"plane": {"neck": None}, "why_none": None}}
    assert "by a given plane" in distribution_text("pores", given)
