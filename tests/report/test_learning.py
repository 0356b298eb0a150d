from __future__ import annotations

import numpy as np
import pytest

from fibseg.report import comparison_figure, svg_text


def row(model: str, n_planes: int | None, iou: float | None) -> dict[str, object]:
    half = None if iou is None else 0.05
    interval = {"value": iou, "low": iou and iou - half, "high": iou and iou + half}
    return {"model": model, "n_planes": n_planes, "iou": interval}


@pytest.mark.parametrize("numbers", [(8, 2, 4), (None, 2, 4), (4, 4, 4)])
def test_points_lie_over_planes_where_these_differ_and_over_names_else(
    numbers: tuple[int | None, ...]
) -> None:
    rows = [row(f"m{i}", n, 0.5 + 0.1 * i) for i, n in enumerate(numbers)]
    axes = comparison_figure({"mitochondria": rows}).axes[0]
    line = axes.get_lines()[0]
    if numbers == (8, 2, 4):
        assert line.get_xdata().tolist() == [2, 4, 8]
        assert np.allclose(line.get_ydata(), [0.6, 0.7, 0.5])
        assert axes.get_xlabel() == "painted planes trained on"
    else:
        assert np.allclose(line.get_ydata(), [0.5, 0.6, 0.7])
        assert [t.get_text() for t in axes.get_xticklabels()] == ["m0", "m1", "m2"]


def test_scores_that_are_missing_leave_a_gap() -> None:
    rows = {"a": [row("x", 1, None), row("y", 2, 0.5)], "b": [row("x", 1, 0.2), row("y", 2, 0.3)]}
    assert "<svg" in svg_text(comparison_figure(rows))
