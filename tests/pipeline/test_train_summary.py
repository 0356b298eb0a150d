"""What ``fibseg train`` prints at the end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fibseg.export import ModelSpec
from fibseg.pipeline.train_summary import SHOWN, Summary, summarise

SCORES = dict.fromkeys(SHOWN, 0.91234) | {"object_f1_50": None, "n_scored": 12}


def summary(*classes: str, stores: tuple[str, ...] = ("cell.ome.zarr",), **metrics: Any) -> Summary:
    found = {"split": "planes", "planes": [{}, {}], "classes": dict.fromkeys(classes, SCORES)}
    spec = SimpleNamespace(
        classes=classes, metrics={**found, **metrics}, training={"n_steps": 1234}
    )
    return summarise(Path("models/em"), cast(ModelSpec, spec), stores, resumed=False)


def test_the_scores_are_a_table_with_a_line_per_class() -> None:
    lines = summary("mitochondria", "er").text().splitlines()
    assert lines[:2] == ["model: models/em", "steps: 1234"]
    assert "held out: 2 planes, never trained on" in lines
    head, first, second = (line.split() for line in lines[4:7])
    assert head[:2] == ["IoU", "Dice"]
    assert first == ["mitochondria", *["0.912"] * 5, "–"]
    assert second[0] == "er"
    assert len({len(line) for line in lines[4:7]}) == 1
    assert max(map(len, lines)) < 100


@pytest.mark.parametrize(
    ("classes", "name"), [(("mitochondria",), "mitochondria"), (("mitochondria", "er"), "em")]
)
def test_the_next_command_can_be_typed(classes: tuple[str, ...], name: str) -> None:
    text = summary(*classes, stores=("my cell.ome.zarr", "b.ome.zarr")).text()
    assert text.endswith(
        f"next:\nfibseg infer model=models/em 'volume=my cell.ome.zarr' name={name}"
    )


def test_what_the_scores_are_worth_is_said() -> None:
    text = summary("er", split="boxes", note="rather too good", planes=[{}]).text()
    assert "1 plane (parts of it)" in text
    assert "rather too good" in text


def test_without_a_test_there_is_no_table() -> None:
    text = summary("er", split="none", classes={}, planes=[], note="Nothing was held out").text()
    assert "IoU" not in text
    assert "Nothing was held out" in text
