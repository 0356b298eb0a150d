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
from fibseg.metrics.left_out import NOTE


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


def test_a_cell_without_a_score_is_said_to_be_missing_in_its_mean() -> None:
    """Nothing is found in the second cell: it has no precision, and its IoU of 0 counts."""
    found = LeaveOneOut((
        LeftOutCell("a", "m/0", evaluation(10, 10)), LeftOutCell("b", "m/1", evaluation(0, 0)),
        LeftOutCell("c", "m/2", evaluation(5, 5)),
    ))
    assert found.n_cells("er") == {"iou": 3, "dice": 3, "precision": 2, "recall": 3}
    mean = found.as_dict()["mean"]["er"]
    assert {k: v["n_cells"] for k, v in mean.items()} == found.n_cells("er")
    assert mean["precision"]["value"] == pytest.approx(1.0)
    (line,) = [one for one in found.text().splitlines() if one.startswith("mean of cells")]
    assert line.count("of 2 cells") == 1


def test_the_interval_is_called_one_of_the_mean() -> None:
    """A prediction of one cell from .8, .9, .7 would be 0.30 and up; this begins at 0.55."""
    interval = mean_of_cells([0.8, 0.9, 0.7])
    one_more = 0.8 - (0.8 - interval.low) * math.sqrt(4)
    assert (interval.low, one_more) == pytest.approx((0.5516, 0.3032), abs=1e-3)
    assert "what to expect of another cell" not in NOTE
    assert "confidence interval of the mean over cells" in NOTE
    assert "too narrow" in NOTE


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_no_cell_has_no_mean(values: list[float]) -> None:
    assert mean_of_cells(values).text() == "–"


def test_one_cell_has_no_interval_and_unknown_ones_do_not_count() -> None:
    assert mean_of_cells([0.5]).text() == "0.500"
    assert mean_of_cells([0.5, math.nan, 0.7]) == mean_of_cells([0.5, 0.7])
