from __future__ import annotations

import numpy as np

from fibseg.metrics import ProbabilityCounts, ThresholdScores
from fibseg.report import svg_text, threshold_figure


def data(n: int = 3, probability: int | None = None) -> dict[str, object]:
    rng = np.random.default_rng(0)
    planes = []
    for _ in range(n):
        truth = rng.random((30, 30)) < 0.3
        probs = np.clip(rng.normal(np.where(truth, 180, 70), 40), 0, 255).astype(np.uint8)
        if probability is not None:
            probs[:] = probability
        planes.append(ProbabilityCounts.of(probs, truth.astype(np.uint8) + 1, value=2))
    return ThresholdScores(tuple(planes), (0,) * n).as_dict()


def test_figure_shows_the_numbers_it_is_given() -> None:
    scores = data()
    figure = threshold_figure("mitochondria", scores)
    left, right = figure.axes
    drawn = {line.get_label(): line.get_ydata() for line in right.get_lines()}
    assert np.allclose(drawn["IoU"], scores["curve"]["iou"])  # type: ignore[index]
    observed = np.array(scores["reliability"]["observed"], float)  # type: ignore[index]
    assert any(
        len(line.get_ydata()) == len(observed)
        and np.allclose(line.get_ydata(), observed, equal_nan=True) for line in left.get_lines()
    )
    text = svg_text(figure)
    assert "mitochondria, 3 planes" in text
    assert text == svg_text(threshold_figure("mitochondria", data()))


def test_a_single_plane_and_empty_bins_are_drawn_too() -> None:
    assert "1 plane" in svg_text(threshold_figure("pores", data(1)))
    assert "<svg" in svg_text(threshold_figure("pores", data(2, probability=40)))
