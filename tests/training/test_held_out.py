from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fibseg.metrics import score_planes
from fibseg.training import TestVolume, score_held_out

ANNOTATION = np.ones((2, 20, 20), np.uint8)
ANNOTATION[:, 5:10, 5:10] = 2
ANNOTATION[1, :3] = 0


def volume(shift: int, name: str = "a") -> TestVolume:
    """A prediction that is off by some pixels."""

    def predict(network: object, z: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        for k in z:
            yield np.roll((ANNOTATION[k] == 2) * np.uint8(200), shift, 1)[None]

    return TestVolume(name, (0, 1), lambda z: ANNOTATION[z], predict, (20.0, 10.0, 10.0))


def test_a_perfect_network_scores_one() -> None:
    got = score_held_out(None, [volume(0)], classes={"m": 2}, split="planes")
    scores = got["classes"]["m"]
    assert all(scores[k] == 1.0 for k in ("iou", "dice", "precision", "recall", "boundary_f1"))
    assert scores["object_f1_50"] == 1.0
    assert scores["n_scored"] == 20 * 20 + 17 * 20
    assert got["tolerance_nm"] == 20.0
    assert "note" not in got


def test_scores_are_those_of_the_metrics_per_plane_and_together() -> None:
    got = score_held_out(
        None, [volume(2), volume(3, "b")], classes={"m": 2}, split="boxes", tolerance_nm=5.0
    )
    where = [(p["volume"], p["z"]) for p in got["planes"]]
    assert where == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    prediction = np.roll(ANNOTATION == 2, 2, 2)
    want = score_planes(
        prediction[:1], ANNOTATION[:1], value=2, tolerance_nm=5.0, spacing=(20.0, 10.0, 10.0)
    ).compute()
    assert got["planes"][0]["classes"]["m"]["boundary_f1"] == want["boundary_f1"]
    both = 4 * 25 - 2 * (2 + 3) * 5
    assert got["classes"]["m"]["precision"] == both / 100
    assert "too good" in got["note"]


def test_undefined_scores_are_none_and_all_is_json() -> None:
    got = score_held_out(None, [], classes={"m": 2}, split="none")
    assert "Nothing was held out" in got["note"]
    json.dumps(got, allow_nan=False)
    empty = np.ones((1, 8, 8), np.uint8)
    nothing = TestVolume(
        "a", (0,), lambda z: empty[z], lambda n, z: iter([np.zeros((1, 8, 8), np.uint8)]),
        (20.0, 10.0, 10.0),
    )
    got = score_held_out(None, [nothing], classes={"m": 2}, split="planes")
    assert got["classes"]["m"]["iou"] is None
    json.dumps(got, allow_nan=False)
