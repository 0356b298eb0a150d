from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fibseg.metrics import Interval, ProbabilityCounts, ThresholdScores


def plane(
    rng: np.random.Generator, *, shift: float = 0.0, share: float = 0.3
) -> ProbabilityCounts:
    """A plane of 40 × 40 whose probabilities are too low by `shift`."""
    truth = rng.random((40, 40)) < share
    probs = np.clip(rng.normal(np.where(truth, 170, 80) - shift, 40), 0, 255)
    return ProbabilityCounts.of(probs.astype(np.uint8), truth.astype(np.uint8) + 1, value=2)


def scores(n: int, seed: int = 0, **settings: float) -> ThresholdScores:
    rng = np.random.default_rng(seed)
    return ThresholdScores(tuple(plane(rng, **settings) for _ in range(n)), (0,) * n)


def test_scores_are_those_of_all_planes_together() -> None:
    found = scores(6)
    want = sum(found.planes, ProbabilityCounts()).at(128).compute()
    for name, interval in found.at_half.items():
        assert interval.value == pytest.approx(want[name])
        assert interval.low < interval.value < interval.high


def test_interval_holds_the_true_score_about_as_often_as_it_says() -> None:
    true = scores(400, seed=99).at_half["iou"].value
    held = 0
    for seed in range(60):
        found = ThresholdScores(scores(12, seed).planes, (0,) * 12, n_draws=300).at_half["iou"]
        held += found.low <= true <= found.high
    assert 48 <= held <= 60  # 57 expected; few planes make a bootstrap a little narrow


def test_planes_of_one_volume_do_not_make_up_for_volumes() -> None:
    """Volumes differ: many planes of three of them tell little more than three numbers."""
    rng = np.random.default_rng(1)
    planes = tuple(plane(rng, shift=s) for s in (0, 25, 50) for _ in range(10))
    nested = ThresholdScores(planes, tuple(i // 10 for i in range(30)))
    flat = ThresholdScores(planes, (0,) * 30)
    width = {k: s.at_half["iou"].high - s.at_half["iou"].low for k, s in
             (("nested", nested), ("flat", flat))}
    assert width["nested"] > 1.5 * width["flat"]
    assert (nested.unit, nested.extent) == ("volumes, then their planes", "30 planes of 3 volumes")


def test_a_threshold_is_never_tested_on_what_chose_it() -> None:
    """One half needs a threshold that ruins the other: chosen elsewhere, it does ruin it."""
    rng = np.random.default_rng(2)
    low, high = plane(rng, shift=70), plane(rng, shift=-60)
    both = ThresholdScores((low, high), (0, 0))
    assert both.parts == (0, 1)
    own = [low.at(low.best_level()).compute()["iou"], high.at(high.best_level()).compute()["iou"]]
    crossed = low.at(high.best_level()) + high.at(low.best_level())
    assert both.at_best is not None
    assert both.at_best["iou"].value == pytest.approx(crossed.compute()["iou"])
    assert both.at_best["iou"].value < min(own) - 0.1


def test_best_threshold_helps_where_probabilities_are_too_low_everywhere() -> None:
    found = scores(8, shift=50)
    assert found.at_best is not None
    assert found.best_threshold < 0.4
    assert found.at_best["iou"].value > found.at_half["iou"].value + 0.1


def test_volumes_are_the_parts_where_there_are_several() -> None:
    rng = np.random.default_rng(0)
    found = ThresholdScores(tuple(plane(rng) for _ in range(4)), (0, 1, 1, 2))
    assert found.parts == (0, 1, 1, 2)
    assert found.others == "the other volumes"


def test_a_single_plane_has_scores_without_interval_or_chosen_threshold() -> None:
    found = scores(1)
    assert math.isnan(found.at_half["iou"].low)
    assert found.at_best is None
    assert found.extent == "1 plane"


def test_classes_that_are_nowhere_give_missing_values() -> None:
    nowhere = ProbabilityCounts.of(
        np.full((4, 4), 10, np.uint8), np.ones((4, 4), np.uint8), value=2
    )
    found = ThresholdScores((nowhere, nowhere), (0, 0))
    assert math.isnan(found.at_half["iou"].value)
    assert Interval(math.nan).text() == "–"
    json.dumps(found.as_dict(), allow_nan=False)


def test_equal_planes_give_equal_dictionaries_and_json_holds_them() -> None:
    assert scores(5).as_dict() == scores(5).as_dict()
    data = json.loads(json.dumps(scores(5).as_dict(), allow_nan=False))
    assert data["n_planes"] == 5
    assert len(data["curve"]["threshold"]) == len(data["curve"]["iou"]) == 51
    at = data["curve"]["threshold"].index(pytest.approx(130 / 255))
    assert data["curve"]["iou"][at] == scores(5).total.at(130).compute()["iou"]


def test_gain_is_surer_than_two_intervals_side_by_side() -> None:
    """Planes differ far more than the two models do."""
    rng = np.random.default_rng(4)
    truths = [rng.random((60, 60)) < share for share in rng.uniform(0.05, 0.6, 10)]

    def model(noise: float) -> ThresholdScores:
        own, planes = np.random.default_rng(9), []
        for truth in truths:
            probs = np.clip(own.normal(np.where(truth, 165, 85), noise), 0, 255)
            planes.append(
                ProbabilityCounts.of(probs.astype(np.uint8), truth.astype(np.uint8) + 1, value=2)
            )
        return ThresholdScores(tuple(planes), (0,) * len(planes))

    better, worse = model(40), model(44)
    gain, own = better.gain(worse), better.at_half["iou"]
    assert gain.value == pytest.approx(own.value - worse.at_half["iou"].value)
    assert gain.low > 0
    assert gain.high - gain.low < 0.5 * (own.high - own.low)
    assert better.gain(better).value == 0
    with pytest.raises(ValueError, match="other planes"):
        better.gain(scores(4))
