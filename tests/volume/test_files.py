"""Small files: canonical hashes, and nothing lost when a write fails."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from fibseg.errors import DataError, DiskFullError, UsageError
from fibseg.volume import fingerprint
from fibseg.volume.files import (
    UNSEALED,
    checked_name,
    finite,
    read_json,
    remove_tree,
    room_for,
    seal_holds,
    sealed,
    write_bytes,
    write_json,
)


def test_fingerprint_ignores_order_and_kind_of_sequence():
    first = fingerprint({"a": (1, 2.5), "b": {"x": None, "y": True}})
    assert first == fingerprint({"b": {"y": True, "x": None}, "a": [1, np.float64(2.5)]})
    assert len(first) == 64
    assert int(first, 16) >= 0


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"b": 1}, {"a": [1]}, {"a": None}, {}])
def test_fingerprint_tells_apart(other):
    assert fingerprint({"a": 1}) != fingerprint(other)


def test_fingerprint_takes_paths_and_numpy_integers():
    assert fingerprint({"a": Path("x"), "n": np.int32(3)}) == fingerprint({"a": "x", "n": 3})


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_fingerprint_refuses_what_has_no_canonical_form(value):
    with pytest.raises(UsageError, match="fingerprint"):
        fingerprint({"a": value})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_with_path_and_bytes(tmp_path):
    """The device /dev/full gives what a full disk gives."""
    path = tmp_path / "missing" / "m"
    free = r"[\d,]+ bytes are free \(No space left on device\)"
    with (
        pytest.raises(DiskFullError, match=rf"{path}: up to 12,345 bytes .* {free}") as caught,
        room_for(path, 12345),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"0")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.exit_code) == (str(caught.value), 75)


def test_numpy_does_not_say_why_it_cannot_write(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(DiskFullError, match="8000 requested"), room_for(tmp_path, 2 * free):
        raise OSError("8000 requested and 0 written")
    with pytest.raises(OSError, match="8000 requested"), room_for(tmp_path, 8000):
        raise OSError("8000 requested and 0 written")


@pytest.mark.parametrize("error", [PermissionError(13, "no"), FileNotFoundError(2, "no")])
def test_other_trouble_stays_what_it_is(tmp_path, error):
    with pytest.raises(type(error)), room_for(tmp_path):
        raise error


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="No space"):
        write_bytes(path, b"new")
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("text", ["", '{"a": 1', "[1]", "\x00\x01", '{"a": NaN}}'])
def test_a_damaged_json_file_is_one_clear_error(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json"):
        read_json(tmp_path / "x.json")


def test_a_seal_sees_every_flipped_bit(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": [1, 2.5], "seal": UNSEALED, "b": "µ"})
    good = path.read_bytes()
    assert read_json(path)["seal"] != UNSEALED
    assert seal_holds(good)
    for position in range(8 * len(good)):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        assert not seal_holds(bytes(bad)), position


def test_only_what_has_one_seal_is_sealed():
    plain = b'{"a": 1}'
    assert sealed(plain) == plain
    assert not seal_holds(plain)
    one = sealed(b'{"seal": "' + UNSEALED.encode() + b'"}')
    assert seal_holds(one)
    assert not seal_holds(one + one)


def test_finite_makes_plain_json():
    made = finite({"a": np.float32("nan"), "b": (np.int64(2), Path("p")), 3: np.array([1.5])})
    assert made == {"a": None, "b": [2, "p"], "3": [1.5]}


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "..", "ä", "x\n"])
def test_names_that_cannot_be_files_are_refused(name):
    with pytest.raises(UsageError, match="cannot be the name"):
        checked_name(name, what="table")
    assert checked_name("mito_2.b-c", what="table") == "mito_2.b-c"


def test_leftovers_of_killed_processes_go_and_those_of_live_ones_stay(tmp_path):
    dead = tmp_path / ".x.json.99999999-a.partial"
    alive = tmp_path / f".x.json.{os.getpid()}-b.partial"
    folder = tmp_path / ".x.json.99999999-c.partial"
    dead.touch()
    alive.touch()
    folder.mkdir()
    write_json(tmp_path / "x.json", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [alive.name, "x.json"]


def test_remove_tree_of_nothing_is_nothing(tmp_path):
    remove_tree(tmp_path / "nothing")
    (tmp_path / "d" / "e").mkdir(parents=True)
    remove_tree(tmp_path / "d")
    assert not list(tmp_path.iterdir())
