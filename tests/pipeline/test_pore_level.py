"""A threshold chosen where the truth is known: balls of different brightness."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest

from fibseg import postprocess
from fibseg.errors import RoomError, UsageError
from fibseg.geometry import Box
from fibseg.pipeline import pore_level
from fibseg.pipeline.fused import in_sequence
from fibseg.pipeline.pore_level import chosen_level, with_level

SHAPE, SPACING = (40, 40, 120), (20.0, 20.0, 20.0)
STEPS = {
    "threshold": partial(postprocess.threshold, level=0.9),
    "components": partial(postprocess.components, connectivity=6, min_voxels=4),
}
LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
BOX = Box((0, 0, 0), (40, 40, 60))


def ball(probs, centre, value):
    z, y, x = np.indices(SHAPE)
    inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= 9
    probs[inside] = round(255 * value)


def scene(true=((20, 10, 10, 0.65), (20, 30, 30, 0.55), (10, 20, 50, 0.75)),
          false=((30, 10, 40, 0.25),)):
    probs = np.zeros(SHAPE, np.uint8)
    for z, y, x, value in (*true, *false):
        ball(probs, (z, y, x), value)
    centres = np.array([t[:3] for t in true], float) * 0.02
    return probs, dict(zip(("z_um", "y_um", "x_um"), centres.T, strict=True))


def choose(probs, places, *, annotation=None, **change):
    known = np.ones(SHAPE, np.uint8) if annotation is None else annotation
    given = {"levels": LEVELS, "box": BOX, "spacing": SPACING, **change}
    steps = given.pop("steps", STEPS)
    return chosen_level(probs, known, places, steps, **given)


def test_the_level_between_false_and_true_is_chosen():
    chosen = choose(*scene())
    assert chosen.level == 0.4
    assert chosen.scores[0.4].f1 == 1
    assert chosen.scores[0.1].precision == 0.75
    assert chosen.scores[0.6].recall == pytest.approx(2 / 3)
    record = chosen.record()
    assert record["level"] == 0.4
    assert record["n_true"] == 3
    assert [row["level"] for row in record["curve"]] == LEVELS


def test_what_lies_outside_of_the_part_does_not_count():
    probs, places = scene()
    ball(probs, (20, 20, 100), 1.0)
    ball(probs, (20, 20, 61), 1.0)
    assert choose(probs, places).scores[0.4].f1 == 1


def test_what_lies_where_nothing_is_known_does_not_count():
    probs, places = scene()
    ball(probs, (30, 30, 10), 1.0)
    assert choose(probs, places).scores[0.4].precision == 0.75
    unknown = np.ones(SHAPE, np.uint8)
    unknown[27:34, 27:34, 7:14] = 0
    assert choose(probs, places, annotation=unknown).scores[0.4].precision == 1


def test_a_pore_at_the_border_of_the_part_is_whole():
    true = ((20, 20, 59, 0.6), (20, 20, 20, 0.6))
    assert choose(*scene(true=true)).scores[0.5].recall == 1


def test_without_anything_found_the_middle_level_is_taken():
    probs, places = scene(true=((20, 20, 20, 0.0),), false=())
    chosen = choose(probs, places)
    assert chosen.level == 0.4
    assert chosen.record()["curve"][0]["precision"] is None


@pytest.mark.parametrize("change", [{"levels": []}, {"steps": {**STEPS, "threshold": None}}])
def test_without_a_threshold_none_can_be_chosen(change):
    with pytest.raises(UsageError, match="threshold"):
        choose(*scene(), **change)


EVENING = {
    "smooth": partial(postprocess.smooth, sigma_nm=20.0),
    "preserve_bright_particles": partial(postprocess.preserve_bright_particles, diameter_nm=240.0),
}
SPLIT = {"split_large": partial(
    postprocess.split_large, max_volume_um3=0.0008, depth_nm=5.0, probs="probabilities",
    strict_level=0.4,
)}


@pytest.mark.parametrize("before", [EVENING, {}, {
    "fill": partial(postprocess.smooth, sigma_nm=10.0), "mask_by": partial(
        postprocess.mask_by, other="labels/cell"
    ),
}], ids=["local", "none", "of another array"])
def test_steps_before_the_threshold_are_done_once_and_change_nothing(monkeypatch, before):
    probs, places = scene()
    rng = np.random.default_rng(0)
    probs = np.maximum(probs, rng.integers(0, 40, SHAPE).astype(np.uint8))
    ball(probs, (20, 10, 14), 0.7)  # two that touch: what is split sees the probabilities
    cell = np.ones(SHAPE, np.uint8)
    cell[:, :, 45:] = 0
    given = {"steps": {**before, **STEPS, **SPLIT}, "arrays": {"labels/cell": cell}}
    chosen = choose(probs, places, **given)
    monkeypatch.setattr(pore_level, "_made_even", lambda probs, operators, spacing: (
        probs, operators))
    plain = choose(probs, places, **given)
    assert chosen == plain
    assert len({score.f1 for score in chosen.scores.values()}) > 2


def test_steps_before_the_threshold_are_done_once(monkeypatch):
    shapes = []

    def seen(array, *others, **settings):
        shapes.append(array.shape)
        return in_sequence(array, *others, **settings)

    monkeypatch.setattr(pore_level, "in_sequence", seen)
    choose(*scene(), steps={**EVENING, **STEPS})
    assert len(shapes) == 1


def test_the_margin_is_counted_where_memory_is_scarce(monkeypatch):
    n = 40 * 40 * (60 + 15)
    monkeypatch.setattr(pore_level, "free_memory", lambda: pore_level.BYTES_PER_VOXEL * n)
    assert choose(*scene()).level == 0.4
    monkeypatch.setattr(pore_level, "free_memory", lambda: pore_level.BYTES_PER_VOXEL * n - 1)
    with pytest.raises(RoomError, match=r"0\.12 million voxels .* 0\.0096 GB .*levels=null"):
        choose(*scene())


def test_it_takes_no_more_memory_than_is_told():
    probs, places = scene()
    choose(probs, places, steps={**EVENING, **STEPS, **SPLIT})  # imports
    tracemalloc.start()
    try:
        choose(probs, places, steps={**EVENING, **STEPS, **SPLIT})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    share = peak / (40 * 40 * 75 * pore_level.BYTES_PER_VOXEL)
    assert 0.3 < share < 1


def test_a_step_gets_another_level_and_keeps_its_place():
    steps = with_level(STEPS, 0.3)
    assert list(steps) == list(STEPS)
    assert steps["threshold"].keywords == {"level": 0.3}
    assert STEPS["threshold"].keywords == {"level": 0.9}
