from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import UsageError
from fibseg.training import TrainerSettings, parse_duration
from fibseg.training.schedule import average_decay, one_cycle, steps_in_time


@given(st.integers(1, 2000), st.floats(0, 0.9))
def test_one_cycle_rises_once_then_falls(total: int, warm_up: float) -> None:
    rates = [one_cycle(k, total, warm_up=warm_up) for k in range(total)]
    top = rates.index(max(rates))
    assert all(0 < r <= 1 for r in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert abs(top - warm_up * total) <= 1.5


def test_the_rate_is_low_while_the_number_of_steps_is_unknown() -> None:
    assert one_cycle(0, None, warm_up=0.1) == pytest.approx(1 / 500)
    assert one_cycle(49, None, warm_up=0.1) == pytest.approx(0.1)


def test_the_average_forgets_the_start() -> None:
    decays = [average_decay(k, 0.99) for k in range(2000)]
    assert decays == sorted(decays)
    assert decays[-1] == 0.99
    weight_of_start = math.prod(decays[:300])
    assert weight_of_start < 1e-3


@given(st.floats(0.001, 5), st.floats(0, 100), st.floats(0, 50), st.floats(60, 1000))
def test_steps_fit_into_the_time(step: float, gone: float, reserve: float, most: float) -> None:
    total = steps_in_time(timed=50, step_s=step, elapsed_s=gone, reserve_s=reserve, max_s=most)
    assert total >= 50
    if total > 50:
        assert gone + (total - 50) * step + reserve <= most + 1e-6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:05:00", 300), ("01:00:00:01", 86401), ("2:00:00", 7200), ("1:30", 90), (45, 45),
     ("0.5", 0.5)],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4:5", "0", "-5", "1:-1", "nan", "inf"])
def test_wrong_durations_name_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="DD:HH:MM:SS"):
        parse_duration(text)


@pytest.mark.parametrize(
    "keywords",
    [
        {"precision": "16"}, {"max_time": None}, {"learning_rate": 0}, {"warm_up": 1.0},
        {"ema": 1.0}, {"max_steps": 0}, {"devices": 0}, {"threads": 0}, {"clip": 0},
        {"checkpoint_every_steps": 0}, {"class_balance": 2}, {"confidence": 1.0},
        {"accelerator": "tpu"}, {"strategy": "fsdp"}, {"n_pictures": -1}, {"tolerance_nm": 0.0},
    ],
)
def test_wrong_settings_are_refused(keywords: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="trainer"):
        TrainerSettings(**keywords)  # type: ignore[arg-type]


def test_precision_given_as_a_number() -> None:
    assert TrainerSettings(precision=32).precision == "32"  # type: ignore[arg-type]
