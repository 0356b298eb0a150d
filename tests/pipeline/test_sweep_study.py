"""The search itself: who works at what, what is tried, what survives a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fibseg.data import SparseData
from fibseg.models import NetworkSpec
from fibseg.pipeline.sweep_space import Dimension, read_space
from fibseg.pipeline.sweep_study import FIRST_DRAWN, JOURNAL, LOOKS_FIRST, Study
from fibseg.training import TrainerSettings

DIMENSIONS = (
    Dimension("trainer.learning_rate", 0.003, low=0.001, high=0.1, log=True),
    Dimension("data.batch", 8, low=2, high=8, whole=True),
    Dimension("network.norm", "batch", choices=("batch", "group")),
)
WORKER = """
import sys, time
from pathlib import Path
from fibseg.pipeline.sweep_space import Dimension
from fibseg.pipeline.sweep_study import Study
dimensions = [Dimension("data.batch", 8, low=2, high=8, whole=True)]
sweep = Study(Path(sys.argv[1]), dimensions, seed=0, prune=False)
print(sweep.claim(3).number, flush=True)
time.sleep(100)
"""


def study(folder: Path, *, seed: int = 0, prune: bool = False) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder, DIMENSIONS, seed=seed, prune=prune)


def value(params: dict[str, object]) -> float:
    """A score that a small batch makes better."""
    return 1.0 - float(str(params["data.batch"])) / 10


def test_the_first_trial_has_the_settings_as_they_are(tmp_path: Path) -> None:
    first = study(tmp_path).claim(5)
    assert first is not None
    assert first.number == 0
    assert first.params == {d.key: d.default for d in DIMENSIONS}


def test_a_default_outside_of_the_space_is_left_alone(tmp_path: Path) -> None:
    parts = {"network": NetworkSpec(), "data": SparseData(), "trainer": TrainerSettings()}
    dimensions = read_space({
        "data": {"batch": {"low": 2, "high": 4}}, "trainer": {"dice": {"low": 0, "high": 2}},
    }, parts)
    sweep = Study(tmp_path, dimensions, seed=0, prune=False)
    first, second = sweep.claim(5), sweep.claim(5)
    assert first is not None
    assert second is not None
    assert first.params == {"trainer.dice": 1.0}
    assert set(second.params) == {"data.batch", "trainer.dice"}


def test_what_is_tried_depends_on_the_seed_and_not_on_the_process(tmp_path: Path) -> None:
    def tried(folder: Path, seed: int, *, anew: bool) -> list[dict[str, object]]:
        sweep = study(folder, seed=seed)
        for _ in range(10):
            if anew:
                sweep = study(folder, seed=seed)
            found = sweep.claim(10)
            assert found is not None
            sweep.done(found.number, value(found.params))
        assert sweep.claim(10) is None
        return [t.params for t in sweep.tried()]

    once = tried(tmp_path / "a", 0, anew=False)
    assert once == tried(tmp_path / "b", 0, anew=True)
    assert once != tried(tmp_path / "c", 1, anew=False)
    assert len({json.dumps(p) for p in once}) == 10


def test_a_trial_is_worked_at_by_one_process_and_taken_over_when_it_dies(tmp_path: Path) -> None:
    sweep = study(tmp_path)
    mine = sweep.claim(3)
    assert mine is not None
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == 1
        third = sweep.claim(3)
        assert third is not None
        assert third.number == 2
        assert sweep.claim(3) is None
        other.send_signal(signal.SIGKILL)
    before = sweep.tried()[1].params
    again = sweep.claim(3)
    assert again is not None
    assert again.number == 1
    assert before.items() <= again.params.items(), "what it had drawn stays"
    assert set(again.params) == {d.key for d in DIMENSIONS}, "and what it had not yet is drawn"
    assert sweep.claim(3) is None


def test_a_trial_that_was_let_go_is_taken_up_again_with_its_looks(tmp_path: Path) -> None:
    sweep = study(tmp_path)
    found = sweep.claim(1)
    assert found is not None
    sweep.look(0, 2, 0.25)
    sweep.let_go(0)
    again = study(tmp_path).claim(1)
    assert again is not None
    assert (again.number, again.looks, again.state) == (0, {2: 0.25}, "running")


def test_bad_trials_are_ended_early_but_never_the_first(tmp_path: Path) -> None:
    sweep = study(tmp_path, prune=True)
    first = sweep.claim(20)
    assert first is not None
    for _ in range(FIRST_DRAWN):
        found = sweep.claim(20)
        assert found is not None
        assert not sweep.look(found.number, LOOKS_FIRST, 0.5)
        sweep.done(found.number, 0.6)
    assert not sweep.look(0, LOOKS_FIRST, 0.1)
    good, bad = sweep.claim(20), sweep.claim(20)
    assert good is not None
    assert bad is not None
    assert not sweep.look(good.number, LOOKS_FIRST, 0.7)
    assert not sweep.look(bad.number, 1, 0.1)
    assert sweep.look(bad.number, LOOKS_FIRST, 0.1)
    sweep.ended_early(bad.number)
    assert sweep.tried()[bad.number].state == "ended early"
    assert sweep.tried()[bad.number].score is None


def test_failed_trials_count_and_say_why(tmp_path: Path) -> None:
    sweep = study(tmp_path)
    assert sweep.claim(1) is not None
    sweep.failed(0, "no room")
    assert sweep.claim(1) is None
    (only,) = study(tmp_path).tried()
    assert (only.state, only.reason, only.score) == ("failed", "no room", None)
    assert sweep.claim(2) is not None, "more trials were asked for"


def test_a_torn_line_of_the_journal_is_taken_away(tmp_path: Path) -> None:
    sweep = study(tmp_path)
    assert sweep.claim(2) is not None
    sweep.done(0, 0.5)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    again = study(tmp_path)
    found = again.claim(2)
    assert found is not None
    again.done(found.number, 0.6)
    assert [t.score for t in study(tmp_path).tried()] == [0.5, 0.6]


def test_what_matters_is_found_once_there_is_something_to_learn_from(tmp_path: Path) -> None:
    sweep = study(tmp_path)
    begin = time.monotonic()
    for _ in range(20):
        found = sweep.claim(20)
        assert found is not None
        assert sweep.importance() == {} or found.number >= 4
        sweep.done(found.number, value(found.params))
    found_by = sweep.importance()
    assert next(iter(found_by)) == "data.batch"
    assert abs(sum(found_by.values()) - 1) < 1e-9
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_trials_that_all_score_the_same_tell_nothing(tmp_path: Path, score: float) -> None:
    sweep = study(tmp_path)
    for _ in range(5):
        found = sweep.claim(5)
        assert found is not None
        sweep.done(found.number, score)
    assert sweep.importance() == {}
