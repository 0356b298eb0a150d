from __future__ import annotations

import json
import math
from dataclasses import replace

from fibseg.metrics import SCORE_NAMES, Evaluation, Scores, score_text


def example() -> Evaluation:
    good = {**Scores().compute(), "iou": 0.9, "n_scored": 12345, "volume_error": 0.05}
    bad = {**Scores().compute(), "iou": 0.1}
    return Evaluation(
        volume="cell", prediction="model m", truth="labels/t", where="held-out planes",
        tolerance_nm=40.0, scores={"mitochondria": good, "nucleus": bad},
        planes={"mitochondria": {7: good, 17: bad}},
    )


def test_every_score_has_a_name_and_is_in_the_table() -> None:
    named = set(SCORE_NAMES)
    computed = set(Scores().compute())
    assert computed - named <= {"boundary_precision", "boundary_recall"}
    assert named <= computed
    text = example().text()
    assert all(name in text for name in SCORE_NAMES.values())


def test_columns_line_up() -> None:
    lines = example().text().splitlines()
    table = lines[3 : 4 + len(SCORE_NAMES)]
    assert len({len(line) for line in table}) == 1
    assert table[0].split() == ["mitochondria", "nucleus"]
    assert lines[-4].split()[:2] == ["7", "0.900"]


def test_the_last_line_is_json_for_scripts() -> None:
    assert json.loads(example().text().splitlines()[-1]) == example().as_dict()


def test_proof_editing_is_weighed_against_two_person_days() -> None:
    edits = {"n_merges": 3, "n_splits": 2, "n_additions": 4, "n_deletions": 1}
    known = replace(example(), scores={"m": {**Scores().compute(), **edits}}, planes={})
    assert "proof-editing of m: 10 edits of 20 s, 0.056 h; the limit of" in known.text()
    assert "2 person-days (16 h) is kept" in known.text()
    slow = replace(known, seconds_per_edit=7200.0)
    assert slow.as_dict()["proof_editing"]["m"] == {
        "n_edits": 10, "seconds_per_edit": 7200.0, "hours": 20.0, "limit_hours": 16.0,
    }
    assert "is exceeded" in slow.text()
    assert example().proof_editing == {}, "planes know nothing of whole objects"
    assert "proof-editing" not in example().text()


def test_plain_data_has_no_nan() -> None:
    data = example().as_dict()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text) == data
    assert data["scores"]["nucleus"]["dice"] is None
    assert data["planes"]["mitochondria"]["17"]["iou"] == 0.1


def test_numbers_are_written_as_people_read_them() -> None:
    assert score_text(12345, "n_scored") == "12,345"
    assert score_text(math.nan, "iou") == "–"
    assert score_text(0.05, "volume_error") == "+5.0%"
    assert score_text(0.123, "object_volume_error") == "12.3%"
