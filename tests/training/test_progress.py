from __future__ import annotations

from pathlib import Path

from fibseg.training import noted_scores
from fibseg.training.progress import FILE, note_scores


def test_scores_come_back_by_share_of_the_training(tmp_path: Path) -> None:
    assert noted_scores(tmp_path) == {}
    note_scores(tmp_path, {}, step=1, total=8)
    assert not (tmp_path / FILE).exists()
    note_scores(tmp_path, {"a": 0.2, "b": 0.4}, step=2, total=8)
    note_scores(tmp_path, {"a": 0.6, "b": float("nan")}, step=4, total=8)
    found = noted_scores(tmp_path)
    assert list(found) == [0.25, 0.5]
    assert abs(found[0.25] - 0.3) < 1e-12
    assert found[0.5] == 0.6


def test_a_torn_line_is_passed_over_and_a_repeated_step_counts_once(tmp_path: Path) -> None:
    note_scores(tmp_path, {"a": 0.2}, step=2, total=8)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"step": 4, "to')
    assert noted_scores(tmp_path) == {0.25: 0.2}
    note_scores(tmp_path, {"a": 0.3}, step=2, total=8)
    note_scores(tmp_path, {"a": float("nan")}, step=4, total=8)
    assert noted_scores(tmp_path) == {0.25: 0.3}
