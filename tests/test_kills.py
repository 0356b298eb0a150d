"""A few kills of benchmarks/kills.py; `test_train_killed.py` kills a training."""

from __future__ import annotations

from pathlib import Path

import killing
import pytest
from kills import Trial, table


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = Trial(tmp_path_factory.mktemp("kills"), seed=0)
    trial.prepare(n_pieces=2)
    return trial


@pytest.mark.parametrize("name", ["infer", "objects", "workers"])
def test_nothing_is_lost(trial: Trial, name: str) -> None:
    score = trial.score(name, 1)
    assert score.kills == 1
    assert score.wrong == []
    assert "equal" in table({name: score})


def test_a_difference_is_found(trial: Trial, tmp_path: Path) -> None:
    calm = trial.work / "after-objects"
    other = killing.fresh_copy(calm, tmp_path / "other")
    assert killing.complaints(other, killing.products(calm)) == []
    (other / killing.MODEL / "weights.safetensors").write_bytes(b"")
    shard = other / killing.STORE / "labels" / "n" / "0" / "c" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    found = killing.complaints(other, killing.products(calm))
    assert "model/weights.safetensors differs" in found
    assert any("labels/n" in what for what in found)
