from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from slow_steps import fake_scontrol

from fibseg.data import Augmentation
from fibseg.training import TrainerSettings
from fibseg.training.callbacks import TIMED, Budget, Checkpoints, _typical
from fibseg.training.segmenter import Segmenter


class Strategy:
    root_device = torch.device("cpu")

    def broadcast(self, value: Any) -> Any:
        return value

    def barrier(self, name: str) -> None:
        """Nobody to wait for."""


class FakeTrainer:
    """What the callbacks need of Lightning's trainer."""

    def __init__(self) -> None:
        self.global_step = 0
        self.is_global_zero = True
        self.strategy = Strategy()
        self.should_stop = False
        self.saved: list[int] = []
        self.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(max_steps=-1))

    def save_checkpoint(self, path: Path) -> None:
        self.saved.append(self.global_step)


def module(settings: TrainerSettings) -> Segmenter:
    return Segmenter(
        torch.nn.Conv2d(1, 2, 1), settings=settings, augmentation=Augmentation(), n_channels=2,
        patch=8, class_weights=None, seed=0,
    )


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("fibseg.training.callbacks.time.monotonic", clock.monotonic)
    return clock


def run_budget(
    clock: Clock, settings: TrainerSettings, *, step_s: float, setup_s: float = 0.0,
    reserve_s: float = 0.0, n: int = 500,
) -> tuple[int | None, int, FakeTrainer]:
    """Total, the step at which it was settled, and the trainer."""
    budget = Budget(settings, started=clock.now, reserve=lambda: reserve_s)
    clock.now += setup_s
    trainer, segmenter = FakeTrainer(), module(settings)
    budget.on_train_start(cast(Any, trainer), segmenter)
    for step in range(1, n + 1):
        clock.now += step_s
        trainer.global_step = step
        budget.on_train_batch_end(cast(Any, trainer), segmenter)
        if segmenter.total is not None:
            return segmenter.total, step, trainer
    return None, n, trainer


def test_time_becomes_steps_after_the_timed_ones(clock: Clock) -> None:
    settings = TrainerSettings(max_time=100)
    total, at, trainer = run_budget(clock, settings, step_s=0.1, setup_s=10, reserve_s=5)
    assert at == TIMED
    assert total == pytest.approx(850, abs=1)
    assert trainer.fit_loop.epoch_loop.max_steps == total


def test_the_fewer_of_time_and_steps(clock: Clock) -> None:
    few = TrainerSettings(max_time=100, max_steps=200)
    assert run_budget(clock, few, step_s=0.1)[0] == 200
    fewer = TrainerSettings(max_time=100, max_steps=20)
    assert run_budget(clock, fewer, step_s=0.1)[:2] == (20, 20)


def test_a_slow_machine_settles_earlier(clock: Clock) -> None:
    total, at, _ = run_budget(clock, TrainerSettings(max_time=60), step_s=2.5)
    assert at < TIMED
    assert total == pytest.approx(24, abs=1)


def test_no_time_left_stops_at_once_and_says_so(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    total, at, _ = run_budget(clock, TrainerSettings(max_time=10), step_s=0.1, setup_s=60)
    assert total == at
    assert "expect a poor model" in caplog.text


def test_a_slow_test_gets_a_third_at_most(clock: Clock) -> None:
    total, _, _ = run_budget(clock, TrainerSettings(max_time=100), step_s=0.1, reserve_s=1e4)
    assert total == pytest.approx(700, abs=1)


def test_steps_alone_need_no_clock(clock: Clock) -> None:
    settings = TrainerSettings(max_time=None, max_steps=7)
    assert module(settings).total == 7


def test_the_first_process_decides_for_all(clock: Clock) -> None:
    """A process whose own clock says otherwise neither asks for the test nor goes its own way."""
    heard = iter([False, True, 321])
    trainer, segmenter = FakeTrainer(), module(TrainerSettings(max_time=10))
    trainer.is_global_zero = False
    trainer.strategy.broadcast = lambda value: next(heard)  # type: ignore[method-assign]
    budget = Budget(segmenter.settings, started=clock.now, reserve=lambda: pytest.fail("asked"))
    clock.now += 1000
    for step in (1, 2):
        assert segmenter.total is None
        trainer.global_step = step
        budget.on_train_batch_end(cast(Any, trainer), segmenter)
    assert segmenter.total == trainer.fit_loop.epoch_loop.max_steps == 321


def checkpoints(settings: TrainerSettings, total: int | None, n: int) -> list[int]:
    trainer, segmenter = FakeTrainer(), module(settings)
    segmenter.total = total
    callback = Checkpoints(settings, Path("x"))
    callback.on_train_start(cast(Any, trainer), segmenter)
    try:
        for step in range(1, n + 1):
            trainer.global_step = step
            callback.on_train_batch_end(cast(Any, trainer), segmenter)
    finally:
        callback.on_train_end(cast(Any, trainer), segmenter)
    return trainer.saved


def test_checkpoints_come_when_the_total_is_known_and_at_the_end() -> None:
    assert checkpoints(TrainerSettings(checkpoint_every_s=1e9), 20, 20) == [1, 20]
    assert checkpoints(TrainerSettings(checkpoint_every_s=1e9), None, 20) == []


def test_checkpoints_at_multiples() -> None:
    settings = TrainerSettings(checkpoint_every_s=1e9, checkpoint_every_steps=6)
    assert checkpoints(settings, 20, 20) == [1, 6, 12, 18, 20]


def test_checkpoints_by_the_clock() -> None:
    settings = TrainerSettings(checkpoint_every_s=1e-9)
    assert checkpoints(settings, None, 3) == [1, 2, 3]


def test_a_signal_saves_and_stops_and_a_second_one_acts_as_ever() -> None:
    settings = TrainerSettings(checkpoint_every_s=1e9)
    trainer, segmenter = FakeTrainer(), module(settings)
    callback = Checkpoints(settings, Path("x"))
    before = signal.getsignal(signal.SIGINT)
    callback.on_train_start(cast(Any, trainer), segmenter)
    assert signal.getsignal(signal.SIGINT) is not before
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.001)
    assert signal.getsignal(signal.SIGINT) is before
    trainer.global_step = 3
    callback.on_train_batch_end(cast(Any, trainer), segmenter)
    assert trainer.saved == [3]
    assert trainer.should_stop


@pytest.mark.parametrize(("n_steps", "n_asked"), [(0, 0), (3, 1)])
def test_only_a_job_that_came_further_is_queued_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int, n_asked: int
) -> None:
    job, asked = fake_scontrol(tmp_path / "bin")
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    before = {n: signal.signal(n, signal.SIG_DFL) for n in (signal.SIGUSR1, signal.SIGTERM)}
    trainer, segmenter = FakeTrainer(), module(TrainerSettings(checkpoint_every_s=1e9))
    try:
        callback = Checkpoints(segmenter.settings, Path("x"))
        trainer.global_step = 5
        callback.on_train_start(cast(Any, trainer), segmenter)
        signal.raise_signal(signal.SIGUSR1)
        trainer.global_step += n_steps
        callback.on_train_batch_end(cast(Any, trainer), segmenter)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert trainer.saved == [5 + n_steps]
    assert trainer.should_stop
    assert asked.exists() == bool(n_asked)


def test_a_typical_step_lies_between_median_and_mean() -> None:
    assert _typical([1.0, 1.0, 4.0]) == 1.5
    assert _typical([]) > 0


def test_the_average_is_never_trained(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        segmenter = module(TrainerSettings()).train()
    assert segmenter.network.training
    assert not segmenter.average.training
    assert all(not p.requires_grad for p in segmenter.average.parameters())
    assert all(
        a.data_ptr() != b.data_ptr()
        for a, b in zip(segmenter.average.parameters(), segmenter.network.parameters(), strict=True)
    )
