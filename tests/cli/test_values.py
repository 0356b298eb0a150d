"""Values of a wrong type are one clear error; names that look like numbers stay names."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import fibseg.pipeline.ingest as import_verb
from fibseg.cli import main
from fibseg.cli.values import fitted, refuse_lacking
from fibseg.cli.verbs import VERBS
from fibseg.errors import UsageError
from fibseg.types import Spacing
from fibseg.volume import Volume


def verb(
    *, out: str | Path, name: str | None = None, n: int = 0, share: float = 0.5,
    on: bool = True, spacing: Spacing | None = None, planes: Sequence[int] = (),
    classes: Mapping[str, int] | Sequence[str] | None = None, mode: Literal["0.5", "0.4"] = "0.5",
    anything: Any = None,
) -> None:  # fmt: skip
    """A verb with every kind of keyword."""


GOOD = {
    "out": "x", "name": None, "n": 3, "share": 1, "on": False, "spacing": [20, 20.5, 20],
    "planes": [], "classes": {"a": 2}, "mode": "0.4", "anything": {"a": object()},
}  # fmt: skip


def test_values_of_the_right_type_pass_unchanged() -> None:
    assert fitted(verb, GOOD, typed={}) == GOOD
    assert fitted(verb, {"classes": ["a", "b"]}, typed={}) == {"classes": ["a", "b"]}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("n", "abc", "n=abc is not a whole number"),
        ("n", 1.5, "n=1.5 is not a whole number"),
        ("n", True, "is not a whole number"),
        ("share", "half", "share=half is not a number"),
        ("share", None, "is not a number"),
        ("on", "maybe", "on=maybe is not true or false"),
        ("on", 1, "is not true or false"),
        ("spacing", 20, "is not a list of numbers .* or null"),
        ("spacing", ["a", 2, 2], "is not a list of numbers"),
        ("planes", [1.5], "is not a list of whole numbers"),
        ("classes", {"a": "two"}, "mapping of name to a whole number.* or a list"),
        ("out", ["cell"], r"out=\['cell'\] is not text or a path"),
        ("mode", ["0.4"], r"is not 0\.5 or 0\.4"),
    ],
)
def test_another_type_is_refused_in_words(key: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fitted(verb, {key: value}, typed={})


@pytest.mark.parametrize(
    ("key", "read", "word"),
    [("out", 1000.0, "1e3"), ("out", 20261122, "20261122"), ("name", 7, "007"),
     ("name", True, "true"), ("mode", 0.4, "0.4")],
)  # fmt: skip
def test_a_name_that_looks_like_a_number_is_the_text_that_was_typed(
    key: str, read: object, word: str
) -> None:
    assert fitted(verb, {key: read}, typed={key: word}) == {key: word}
    assert isinstance(fitted(verb, {key: read}, typed={})[key], str)


def test_parts_are_checked_under_their_dotted_key() -> None:
    trainer = {"_target_": "fibseg.training.settings.TrainerSettings", "n_pictures": "abc"}
    with pytest.raises(UsageError, match=r"trainer\.n_pictures=abc is not a whole number"):
        fitted(verb, {"trainer": trainer}, typed={})
    closing = {"_target_": "fibseg.postprocess.closing", "_partial_": True, "radius_nm": "wide"}
    with pytest.raises(UsageError, match=r"postprocess\.closing\.radius_nm=wide is not a number"):
        fitted(verb, {"postprocess": {"none": None, "closing": closing}}, typed={})


def test_a_part_that_has_to_be_there_is_named() -> None:
    refuse_lacking(verb, {"out": "x"})
    with pytest.raises(UsageError, match="out cannot be left out"):
        refuse_lacking(verb, {"n": 1})


def test_what_is_not_part_of_fibseg_is_not_even_looked_up() -> None:
    foreign = {"part": {"_target_": "no.such.module.Thing", "x": 1}}
    assert fitted(verb, foreign, typed={}) == foreign


@pytest.mark.parametrize("name", [v for v in VERBS if v != "demo"])
def test_every_keyword_of_every_verb_has_a_type_that_can_be_checked(name: str) -> None:
    run = importlib.import_module(f"fibseg.pipeline.{VERBS[name].module}").run
    assert set(inspect.signature(run).parameters) <= set(typing.get_type_hints(run))


def test_the_command_takes_folders_with_the_name_of_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("100.npy", np.arange(600, dtype=np.uint8).reshape(6, 10, 10))
    words = ["source=100.npy", "spacing=[20,20,20]", "polarity=dark", "ome_version=0.4"]
    assert main(["import", *words, "volume=1e3"]) == 0
    assert Volume.open("1e3").ome_version == "0.4"


@pytest.mark.parametrize(
    "word", ["spacing=[a,b,c]", "spacing=20", "memory_gb=abc", "planes=[x]", "overwrite=2"]
)
def test_the_command_says_what_is_wrong_with_a_value(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "a.npy"
    np.save(source, np.arange(600, dtype=np.uint8).reshape(6, 10, 10))
    words = [f"source={source}", f"volume={tmp_path}/v", "polarity=dark", word]
    assert main(["import", *words]) == 2
    assert capsys.readouterr().err.startswith(f"fibseg import: {word} is not ")
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (OSError(28, "No space left", "a"), "No space left: a. Make room on that disk; the same "
         "command continues then.\n", 75),
        (PermissionError(13, "Permission denied", "a b.tif"), "Permission denied: a b.tif\n", 65),
        (OSError("unreadable"), "unreadable\n", 65),
        (TimeoutError(), "TimeoutError\n", 65),
    ],
)
def test_trouble_with_files_is_one_line(
    error: OSError, said: str, code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(**settings: object) -> None:
        raise error

    monkeypatch.setattr(import_verb, "run", run)
    assert main(["import", "source=x", "volume=y"]) == code
    assert capsys.readouterr().err == f"fibseg import: {said}"
