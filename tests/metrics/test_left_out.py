from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from fibseg.metrics import (
    Evaluation,
    LeaveOneOut,
    LeftOutCell,
    ProbabilityCounts,
    ThresholdScores,
    mean_of_cells,
)


def evaluation(*n_right: int) -> Evaluation:
    """One plane for each number, with so many of ten pixels of the class found."""
    planes = []
    for n in n_right:
        annotation = np.full((2, 10), 1, np.uint8)
        annotation[0] = 2
        probability = np.zeros((2, 10), np.uint8)
        probability[0, :n] = 255
        planes.append(ProbabilityCounts.of(probability, annotation, value=2))
    scores = ThresholdScores(tuple(planes), (0,) * len(planes), n_draws=50)
    return Evaluation("v", "model m", "truth", "here", 40.0, {"er": {}}, thresholds={"er": scores})


def test_each_cell_counts_once_whatever_its_number_of_planes() -> None:
    found = LeaveOneOut((
        LeftOutCell("a", "m/0", evaluation(9, 9, 9, 9, 9, 9)),
        LeftOutCell("b", "m/1", evaluation(5)),
        LeftOutCell("c", "m/2", evaluation(7, 7)),
    ))
    mean = found.mean("er")["iou"]
    assert mean.value == pytest.approx(0.7)
    expected = stats.t.interval(0.95, 2, 0.7, 0.2 / math.sqrt(3))
    assert (mean.low, mean.high) == pytest.approx(np.clip(expected, 0, 1))
    rows = found.rows("er")
    assert [row["cell"] for row in rows] == ["a", "b", "c"]
    assert [row["n_planes"] for row in rows] == [6, 1, 2]
    assert rows[1]["iou"]["value"] == pytest.approx(0.5)


def test_the_table_ends_with_the_mean_and_the_same_as_json() -> None:
    found = LeaveOneOut((
        LeftOutCell("first", "m/0", evaluation(10, 10)), LeftOutCell("b", "m/1", evaluation(6, 6)),
    ))
    lines = found.text().splitlines()
    assert lines[0] == "leave-one-cell-out, 2 cells"
    table = lines[lines.index("er, threshold 0.5") + 1 :]
    assert [line.split()[0] for line in table[:4]] == ["cell", "first", "b", "mean"]
    assert "0.800 (0.000–1.000)" in table[3]
    data = json.loads(lines[-1])
    assert data == json.loads(json.dumps(found.as_dict()))
    assert data["unit"] == "cell"
    assert set(data["evaluations"]) == {"first", "b"}


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_no_cell_has_no_mean(values: list[float]) -> None:
    assert mean_of_cells(values).text() == "–"


def test_one_cell_has_no_interval_and_unknown_ones_do_not_count() -> None:
    assert mean_of_cells([0.5]).text() == "0.500"
    assert mean_of_cells([0.5, math.nan, 0.7]) == mean_of_cells([0.5, 0.7])
