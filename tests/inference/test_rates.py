"""The file that remembers how fast backends were only saves time: nothing in it can do harm."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from fibseg.inference import rates
from fibseg.inference.rates import cache_file, keep_rates, kept_rates, machine

FACTS = {"processor": "a", "cores": 2, "window": [2, 1, 64, 64]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FIBSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "backends.json"


def test_what_was_measured_is_found_again_for_the_same_facts_only(cache):
    assert kept_rates(FACTS) == {}
    keep_rates(FACTS, {"torch float32": 1.5, "openvino float32": 2.25})
    assert kept_rates(dict(reversed(FACTS.items()))) == {
        "torch float32": 1.5, "openvino float32": 2.25
    }
    for other in ({"processor": "b"}, {"cores": 4}, {"window": [2, 1, 64, 96]}, {"torch": "2.14"}):
        assert kept_rates({**FACTS, **other}) == {}
    assert "processor" in cache.read_text(), "people can read what it is about"


@pytest.mark.parametrize("content", [
    b"", b"{", b"\x00\xff\x80", b"[1, 2]", b"null", b"[" * 100_000,
    json.dumps({"k": 3, "l": {"megapixels_per_second": [1]}}).encode(),
])
def test_a_damaged_file_counts_as_none_and_is_written_anew(cache, content):
    cache.parent.mkdir()
    cache.write_bytes(content)
    assert kept_rates(FACTS) == {}
    keep_rates(FACTS, {"torch float32": 1.0})
    assert kept_rates(FACTS) == {"torch float32": 1.0}


@pytest.mark.parametrize("rate", ["fast", None, float("nan"), True, [1.0]])
def test_rates_that_are_no_numbers_do_not_count(cache, rate):
    keep_rates(FACTS, {"torch float32": 1.0})
    found = json.loads(cache.read_bytes())
    next(iter(found.values()))["megapixels_per_second"]["torch float32"] = rate
    cache.write_text(json.dumps(found))
    assert kept_rates(FACTS) == {}


def test_the_oldest_go_when_there_are_many(monkeypatch):
    monkeypatch.setattr(rates, "MOST", 3)
    for n in range(5):
        keep_rates({"cores": n}, {"torch float32": 1.0 + n})
    assert [bool(kept_rates({"cores": n})) for n in range(5)] == [False, False, True, True, True]


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FIBSEG_CACHE", str(tmp_path / "file" / "below"))
    keep_rates(FACTS, {"torch float32": 1.0})
    assert kept_rates(FACTS) == {}


def test_writers_beside_each_other_leave_a_whole_file(cache):
    jobs = [
        threading.Thread(target=keep_rates, args=({"cores": n}, {"torch float32": 1.0}))
        for n in range(8)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert json.loads(cache.read_bytes())
    assert [p.name for p in cache.parent.iterdir()] == ["backends.json"]


def test_the_file_lies_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("FIBSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "fibseg" / "backends.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_file() == Path.home() / ".cache" / "fibseg" / "backends.json"


def test_the_machine_is_its_processor_its_cores_and_the_releases():
    found = machine()
    assert {"processor", "cores", "torch", "onnxruntime"} <= set(found)
    assert found["processor"]
    assert found == machine()
