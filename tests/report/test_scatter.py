from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from fibseg.measure.statistics import correlations
from fibseg.pictures import CLASS_COLORS
from fibseg.report import relations, scatter_figure, svg_text
from fibseg.report.figures import css
from fibseg.report.scatter import coefficient_lines, fitted_line, null_line
from fibseg.types import Table

TITLES = {
    "surface_to_volume_per_um": "surface to volume (1/µm)",
    "distance_nucleus_um": "distance to the nucleus (µm)",
    "distance_cell_um": "distance to the plasma membrane (µm)",
    "distance_nearest_um": "distance to the nearer (µm)",
}
DISTANCES = list(TITLES)[1:]


def a_table(n: int = 40, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    table = {name: rng.gamma(2, 0.5, n) for name in DISTANCES}
    measure = 8 - table["distance_nearest_um"] + rng.normal(size=n)
    measure[:3] = np.nan
    return {"label": np.arange(1, n + 1), "surface_to_volume_per_um": measure, **table}


def as_json(table: Table) -> dict[str, list[Any]]:
    """Columns as the metadata of a table hold them."""
    lists = {name: values.tolist() for name, values in table.items()}
    return json.loads(json.dumps({
        k: [None if isinstance(v, float) and np.isnan(v) else v for v in values]
        for k, values in lists.items()
    }))  # fmt: skip


def measured(table: Table) -> dict[str, Any]:
    found = correlations(table, "surface_to_volume_per_um", DISTANCES, n_bootstrap=200)
    rng = np.random.default_rng(1)
    simulated = {name: {"pearson_r": rng.normal(-0.1, 0.1, 99).tolist()} for name in DISTANCES}
    null = {
        "with_column": DISTANCES, "n_objects": [37] * 3, "pearson_r": [-0.31, 0.12, None],
        "pearson_null_low": [-0.3, -0.3, None], "pearson_null_high": [0.1, 0.1, None],
        "pearson_null_p": [0.04, 0.62, None], "spearman_rho": [-0.2, 0.1, None],
        "spearman_null_p": [0.3, None, None],
    }
    return {"correlations": as_json(found), "null": {"table": null, "simulated": simulated}}


def texts(svg: str) -> str:
    return " | ".join("".join(t.itertext()) for t in ET.fromstring(svg).iter() if "text" in t.tag)


def test_the_line_is_that_of_least_squares_and_its_band_that_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 3, 30)
    at = np.array([0.5, 2.0])
    slope, intercept = np.polyfit(x, y := 1 - 0.7 * x + rng.normal(0, 0.3, 30), 1)
    line, half = fitted_line(x, y, at)
    assert line == pytest.approx(intercept + slope * at)
    # Of many such experiments about 95 % of bands hold the true line.
    held = 0
    for _ in range(400):
        drawn = 1 - 0.7 * x + rng.normal(0, 0.3, 30)
        line, half = fitted_line(x, drawn, at[:1])
        held += abs(line[0] - (1 - 0.7 * at[0])) <= half[0]
    assert 0.92 <= held / 400 <= 0.98


def test_the_figure_says_what_the_metadata_say() -> None:
    table = a_table()
    facts = measured(table)
    found = relations(table, facts, titles=TITLES)
    svg = svg_text(scatter_figure(found))
    said = texts(svg)
    row = facts["correlations"]
    for i, name in enumerate(DISTANCES):
        assert TITLES[name] in said
        r, low, high = (f"{row[k][i]:.2f}".replace("-", "−") for k in
                        ("pearson_r", "pearson_low", "pearson_high"))  # fmt: skip
        assert f"r = {r} [{low}, {high}], p " in said
    assert "n = 37" in said
    assert "r: p = 0.04, ρ: p = 0.3 (spatial null)" in said
    assert "r: p = 0.62 (spatial null)" in said
    assert "no spatial null can be stated" in said
    assert said.count("surface to volume (1/µm)") == 3


def test_every_object_with_both_values_is_a_point_of_its_class() -> None:
    table = a_table()
    classes = np.array(["perinuclear", "peripheral", "", "intermediate"])[np.arange(40) % 4]
    figure = scatter_figure(relations(table, {}, titles=TITLES), classes=classes)
    for axes in figure.axes[:3]:
        points = [len(c.get_offsets()) for c in axes.collections if len(c.get_offsets())]
        assert sum(n for n in points if n > 1) >= 37
    svg = svg_text(figure)
    assert all(css(color) in svg for color in CLASS_COLORS.values())
    assert all(name in texts(svg) for name in CLASS_COLORS)


def test_what_is_missing_is_said_and_not_worked_out() -> None:
    table = a_table()
    for facts in ({}, {"correlations": None, "null": None}, {"null": {"table": None}}):
        found = relations(table, facts, titles=TITLES)
        assert coefficient_lines(found[0]) == ("correlation not measured (n = 37)",)
        assert null_line(found[0]) == "spatial null not measured"
        said = texts(svg_text(scatter_figure(found)))
        assert "r = " not in said
        assert "p = " not in said
        assert said.count("spatial null not measured") == 3


def test_a_correlation_of_other_objects_is_not_shown() -> None:
    table = a_table()
    facts = measured(table)
    fewer = {name: values[:20] for name, values in table.items()}
    said = texts(svg_text(scatter_figure(relations(fewer, facts, titles=TITLES))))
    assert "the correlation is that of 37 objects, not of these 17" in said
    assert "r = " not in said.replace("measured", "")
    other = {**facts, "correlations": {**facts["correlations"], "column": ["sphericity"] * 3}}
    assert relations(table, other, titles=TITLES)[0].stated is None


def test_objects_that_no_correlation_is_of_are_no_points() -> None:
    table = a_table()
    without = [10, 20, 30, 39]
    fewer = {name: values[~np.isin(table["label"], without)] for name, values in table.items()}
    facts = {**measured(fewer), "correlated_without": without}
    found = relations(table, facts, titles=TITLES)
    for relation in found:
        assert relation.known.sum() == 33
        assert not relation.known[np.array(without) - 1].any()
        assert coefficient_lines(relation)[1].endswith("n = 33")
    x, y = (values[found[0].known] for values in (found[0].x, found[0].y))
    figure = scatter_figure(found)
    line = figure.axes[0].lines[0]
    at = np.asarray(line.get_xdata(), float)
    assert np.asarray(line.get_ydata(), float) == pytest.approx(fitted_line(x, y, at)[0])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_few_objects(n: int) -> None:
    table = {name: np.arange(float(n)) for name in TITLES}
    facts = {"correlations": as_json(correlations(
        {**table}, "surface_to_volume_per_um", DISTANCES, n_bootstrap=100
    ))}  # fmt: skip
    figure = scatter_figure(relations(table, facts, titles=TITLES))
    said = texts(svg_text(figure))
    if n < 4:
        assert f"no correlation can be stated (n = {n})" in said
        assert not figure.axes[0].lines
    else:
        assert "r = 1.00" in said
        assert len(figure.axes[0].lines) == 1
    assert ("no object has both values" in said) == (n == 0)


def test_columns_that_are_not_there_are_left_out() -> None:
    table = a_table()
    del table["distance_cell_um"]
    assert len(relations(table, measured(a_table()), titles=TITLES)) == 2
    del table["surface_to_volume_per_um"]
    assert relations(table, {}, titles=TITLES) == []
    assert "no column to compare was measured" in texts(svg_text(scatter_figure([])))
