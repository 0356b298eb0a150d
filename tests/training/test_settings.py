"""What can be typed under `trainer.`, and what cannot be meant."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import UsageError
from fibseg.training.settings import TrainerSettings, parse_duration


@given(st.integers(0, 9), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_days_hours_minutes_and_seconds_add_up(d: int, h: int, m: int, s: int) -> None:
    seconds = ((d * 24 + h) * 60 + m) * 60 + s
    assert parse_duration(f"{d:02}:{h:02}:{m:02}:{s:02}") == seconds
    assert parse_duration(seconds) == parse_duration(str(seconds)) == seconds
    assert TrainerSettings(max_time=f"{d}:{h}:{m}:{s}").seconds == seconds


@pytest.mark.parametrize(
    "text",
    ["", "ten", "1:2:3:4:5", "0", "00:00:00:00", "-5", "1:-30", "nan", "inf", "5 min", "1::2"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"trainer\.max_time=.*DD:HH:MM:SS"):
        parse_duration(text)
    with pytest.raises(UsageError, match=r"trainer\.max_time"):
        TrainerSettings(max_time=text)


def test_without_a_time_only_steps_count() -> None:
    assert TrainerSettings(max_time=None, max_steps=3).seconds == math.inf
    with pytest.raises(UsageError, match=r"max_time .* or trainer\.max_steps"):
        TrainerSettings(max_time=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("precision", "16"), ("accelerator", "tpu"), ("strategy", "fsdp"),
        ("learning_rate", 0.0), ("weight_decay", -0.1), ("warm_up", 1.0), ("ema", 1.0),
        ("dice", -1.0), ("class_balance", 1.1), ("consistency", -0.1), ("confidence", 1.0),
        ("clip", 0.0), ("max_steps", 0), ("devices", 0), ("threads", 0), ("log_every", 0),
        ("checkpoint_every_s", 0.0), ("checkpoint_every_steps", 0), ("n_pictures", -1),
        ("tolerance_nm", 0.0),
    ],
)
def test_each_wrong_value_is_refused_by_its_key(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"trainer\.{name}={value!r} "):
        TrainerSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "clip", "dice", "tolerance_nm"])
def test_not_a_number_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"trainer\.{name}=nan"):
        TrainerSettings(**{name: math.nan})  # type: ignore[arg-type]


def test_no_boundary_is_infinitely_far() -> None:
    with pytest.raises(UsageError, match=r"trainer\.tolerance_nm=inf"):
        TrainerSettings(tolerance_nm=math.inf)


def test_a_precision_typed_as_a_number_is_its_name() -> None:
    assert TrainerSettings(precision=32).precision == "32"  # type: ignore[arg-type]


@pytest.mark.parametrize("trainer", ["cpu", "gpu", "ddp"])
def test_each_choice_of_the_config_gives_every_setting(trainer: str) -> None:
    from fibseg.cli.compose import compose_verb, resolved

    words = [f"trainer={trainer}", "volume=a", "annotation=b", "out=c"]
    given = resolved(compose_verb("train", words))["trainer"]
    assert given.pop("_target_") == "fibseg.training.TrainerSettings"
    assert list(given) == [f.name for f in fields(TrainerSettings)]
    own = TrainerSettings(**given)
    assert (own.accelerator, own.devices) == {
        "cpu": ("cpu", 1), "gpu": ("gpu", 1), "ddp": ("gpu", 2)
    }[trainer]
