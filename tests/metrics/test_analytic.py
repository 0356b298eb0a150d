"""Scores of shapes whose answer is known on paper, and what must hold for any shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes, spacings

from fibseg.metrics import BoundaryScore, Contingency, Overlap

SHAPE = (24, 30, 36)


def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    grid = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    return (grid**2).sum(axis=0) <= radius**2


def cuboid(start: tuple[int, int, int], size: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(s, s + size) for s in start)] = True
    return mask


@pytest.mark.parametrize("shift", [0, 1, 3, 8, 10])
def test_cubes_moved_along_one_edge(shift: int) -> None:
    a, b = cuboid((5, 5, 5), 8), cuboid((5, 5, 5 + shift), 8)
    common = max(0, 8 - shift) / 8
    got = Overlap().update(a, b).compute()
    assert got["dice"] == pytest.approx(common)
    assert got["iou"] == pytest.approx(common / (2 - common))
    assert got["volume_error"] == 0


@pytest.mark.parametrize("radius", [4.0, 6.0, 8.0])
def test_ball_inside_a_larger_ball(radius: float) -> None:
    small, large = ball((12, 15, 18), radius), ball((12, 15, 18), 10.0)
    got = Overlap().update(small, large).compute()
    assert got["precision"] == 1
    assert got["recall"] == pytest.approx((radius / 10) ** 3, rel=0.08)
    assert got["iou"] == got["recall"]
    assert got["volume_error"] == pytest.approx(got["recall"] - 1)


def test_surfaces_of_two_balls_agree_once_the_tolerance_reaches_across() -> None:
    small, large = ball((12, 15, 18), 6.0), ball((12, 15, 18), 10.0)
    f1 = [
        BoundaryScore().update(
            small, large, tolerance_nm=t, spacing=(10.0, 10.0, 10.0)
        ).compute()["boundary_f1"]
        for t in (25.0, 35.0, 42.0, 55.0)
    ]
    assert f1[0] == 0
    assert f1 == sorted(f1)
    assert f1[-1] == 1


def test_one_of_two_cubes_is_found_and_one_is_split_in_halves() -> None:
    truth = cuboid((2, 2, 2), 8).astype(np.uint32) + 2 * cuboid((2, 2, 20), 8)
    prediction = truth.copy()
    prediction[:6][truth[:6] == 2] = 3  # 4 of 8 planes
    got = Contingency().update(prediction, truth).score().compute()
    assert (got["object_precision_50"], got["object_recall_50"]) == (1 / 3, 1 / 2)
    assert got["panoptic_quality"] == pytest.approx(1 / 2.5)
    assert got["voi_split"] == pytest.approx(0.5)  # half of the voxels, 1 bit each
    assert got["voi_merge"] == 0
    assert got["object_volume_error"] == 0


def test_iou_of_exactly_one_half_is_no_match() -> None:
    truth = np.zeros((1, 1, 4), np.uint32)
    truth[..., :2] = 1
    prediction = np.zeros_like(truth)
    prediction[..., :4] = 1
    assert Contingency().update(prediction, truth).score().n_matched_50 == 0
    prediction[..., 3] = 0
    assert Contingency().update(prediction, truth).score().n_matched_50 == 1


def same(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(
        math.isclose(a[k], b[k], rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a[k]) and
                                                                  math.isnan(b[k]))
        for k in a
    )


@given(truth=label_volumes(), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_names_of_objects_do_not_matter(truth: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = np.where(rng.random(truth.shape) < 0.8, truth, 0).astype(np.uint32)
    ids = np.unique(truth[truth > 0])
    new = rng.permutation(np.arange(1, 5 * ids.size + 1))[: ids.size].astype(np.uint32)
    renamed = np.zeros_like(truth)
    for old, name in zip(ids, new, strict=True):
        renamed[prediction == old] = name
    score = Contingency().update(prediction, truth).score().compute()
    assert same(score, Contingency().update(renamed, truth).score().compute())


@given(labels=label_volumes(), spacing=spacings())
@settings(max_examples=25, deadline=None)
def test_truth_agrees_with_itself(
    labels: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    mask = labels > 0
    boundary = BoundaryScore().update(mask, mask, tolerance_nm=0.0, spacing=spacing).compute()
    objects = Contingency().update(labels, labels).score().compute()
    overlap = Overlap().update(mask, mask).compute()
    for name, value in {**boundary, **objects, **overlap}.items():
        wrong = name.startswith("voi") or name.endswith("error")
        assert math.isnan(value) or math.isclose(value, 0.0 if wrong else 1.0, abs_tol=1e-12), name


@given(a=label_volumes(), seed=st.integers(0, 1000), spacing=spacings())
@settings(max_examples=25, deadline=None)
def test_prediction_and_truth_trade_places(
    a: np.ndarray, seed: int, spacing: tuple[float, float, float]
) -> None:
    b = np.random.default_rng(seed).permutation(a.ravel()).reshape(a.shape)
    one, two = (Overlap().update(p, t).compute() for p, t in ((a, b), (b, a)))
    assert same({"x": one["precision"], "y": one["iou"]}, {"x": two["recall"], "y": two["iou"]})
    kind = {"tolerance_nm": 12.0, "spacing": spacing}
    one, two = (
        BoundaryScore().update(p > 0, t > 0, **kind).compute() for p, t in ((a, b), (b, a))
    )
    assert same({"x": one["boundary_precision"], "y": one["boundary_f1"]},
                {"x": two["boundary_recall"], "y": two["boundary_f1"]})
    left, right = (Contingency().update(p, t).score() for p, t in ((a, b), (b, a)))
    assert (left.n_prediction, left.n_truth) == (right.n_truth, right.n_prediction)
    assert left.n_matched_50 == right.n_matched_50
    assert math.isclose(left.iou_of_matched, right.iou_of_matched)


@given(labels=label_volumes(), spacing=spacings())
@settings(max_examples=20, deadline=None)
def test_more_tolerance_never_lowers_the_score(
    labels: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    a, b = labels > 0, np.roll(labels, 1, axis=2) > 0
    near = [
        BoundaryScore().update(a, b, tolerance_nm=t, spacing=spacing).n_prediction_near
        for t in (0.0, 8.0, 20.0, 60.0)
    ]
    assert near == sorted(near)
