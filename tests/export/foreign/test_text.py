"""Descriptions by strangers: plain data of limited size, and nothing is built from them."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from fibseg.errors import DataError
from fibseg.export.foreign.text import read_json, read_yaml


def test_plain_data_is_read_by_the_rules_of_json_too():
    text = "a: 1\nb: [1e-6, 2.5, -3, .5]\nc: {on: no, y: 010, t: 1:30}\nd: null\ne: true\n"
    text += "f: 2024-01-02\ng: '1'\nh:\ni: ~\nj: 0x10\n"
    assert read_yaml(text.encode(), "it") == {
        "a": 1, "b": [1e-6, 2.5, -3, 0.5], "c": {"on": "no", "y": 10, "t": "1:30"}, "d": None,
        "e": True, "f": "2024-01-02", "g": "1", "h": None, "i": None, "j": "0x10",
    }


@pytest.mark.parametrize("value", [
    None, True, 1, -2.5, 1e-9, 12345678, "text", "", "yes", "null", [1, [2]], {"a": {"b": []}},
])
def test_what_yaml_writes_comes_back(value):
    assert read_yaml(yaml.safe_dump({"k": value}).encode(), "it") == {"k": value}
    assert read_yaml(json.dumps({"k": value}).encode(), "it") == {"k": value}


@pytest.mark.parametrize("tag", [
    "!!python/object/apply:pathlib.Path.touch", "!!python/object/new:pathlib.Path",
    "!!python/name:os.system", "!!python/module:os", "!!python/object:pathlib.Path",
    "!evil", "!!timestamp", "!!binary", "!!set", "!!omap",
])
def test_tags_build_nothing(tmp_path, monkeypatch, tag):
    monkeypatch.chdir(tmp_path)
    for text in (f"a: {tag} [marker]", f"a: {tag} marker", f"{tag} {{marker: null}}"):
        with pytest.raises(DataError, match=r"tag|plain data"):
            read_yaml(text.encode(), "it")
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_stands_for_billions_is_refused_at_once():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    started = time.monotonic()
    with pytest.raises(DataError, match="anchors or aliases"):
        read_yaml("\n".join(lines).encode(), "it")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("text", ["a: &x 1", "a: &x [1]\nb: *x", "a: &x {b: 1}\nc: {<<: *x}"])
def test_anchors_are_refused(text):
    with pytest.raises(DataError, match="anchors"):
        read_yaml(text.encode(), "it")


@pytest.mark.parametrize(("text", "match"), [
    (b"[" * 100_000, "deeper than 32"), (b"- " * 5000 + b"1", "deeper than 32"),
    (b"{a: " * 40 + b"1", "deeper than 32"),
    (b"- 1\n" * 60_000, "more than 50000"), (b"a" * (2**20 + 1), "at most 1048576"),
    (b"\xff\xfe", "not text"), (b"a: 1\na: 2", "stands twice"), (b"1: 2", "no text"),
    (b"[a]: 2", "no text|plain data"), (b"a: [1", "no YAML"), (b"a: 1\n--- \nb: 2", "no YAML"),
    (b"a: b: c", "no YAML"), (b"\x00", "no YAML"),
])
def test_large_deep_and_broken_yaml_is_refused(text, match):
    with pytest.raises(DataError, match=match):
        read_yaml(text, "it")


@pytest.mark.parametrize("text", [
    '{"_target_": "pathlib.Path"}', '{"a": "${oc.env:HOME}"}', '{"a": NaN}', '{"a": 1, "a": 2}',
    "{", "[" * 100_000, '{"a": [{"b": "_target_"}]}', '{"a": 1e999}',
])
def test_json_is_plain_data(text):
    with pytest.raises(DataError):
        read_json(text.encode(), "it")
    assert read_json(b'{"a": [1, 2.5, null]}', "it") == {"a": [1, 2.5, None]}
