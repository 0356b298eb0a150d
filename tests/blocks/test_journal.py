from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibseg.blocks import Journal, layout_key
from fibseg.errors import DiskFullError


def written(path, key="k", done=(3, 1, 4)):
    with Journal(path, key) as journal:
        for index in done:
            journal.mark(index)
    return path


def test_done_blocks_survive(tmp_path):
    path = written(tmp_path / "sub" / "journal")
    with Journal(path, "k") as journal:
        assert journal.done == {1, 3, 4}
        journal.mark(5)
    assert Journal(path, "k").done == {1, 3, 4, 5}


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_is_cut_off_and_written_over(tmp_path, cut):
    path = written(tmp_path / "journal")
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, "k") as journal:
        assert journal.done == {1, 3}
        journal.mark(77)
    assert Journal(path, "k").done == {1, 3, 77}


def test_a_flipped_bit_never_counts(tmp_path):
    path = written(tmp_path / "journal")
    content = path.read_bytes()
    for position in range(len(content)):
        bad = bytearray(content)
        bad[position] ^= 1
        path.write_bytes(bytes(bad))
        with Journal(path, "k") as journal:
            assert journal.done <= {1, 3, 4}
            assert journal.done != {1, 3, 4}


def test_another_key_starts_afresh_and_says_so(tmp_path, caplog):
    path = written(tmp_path / "journal")
    with Journal(path, "other") as journal:
        assert journal.done == set()
    assert "other inputs or another block layout" in caplog.text
    assert Journal(path, "k").done == set()


def test_failed_blocks_are_not_done(tmp_path):
    path = tmp_path / "journal"
    with Journal(path, "k") as journal:
        journal.mark_failed(7)
    assert "failed 7" in path.read_text()
    assert Journal(path, "k").done == set()


def test_without_a_path_nothing_is_written(tmp_path):
    with Journal(None, "k") as journal:
        journal.mark(1)
    assert journal.done == {1}
    assert list(tmp_path.iterdir()) == []


def test_the_key_depends_on_every_part():
    keys = {layout_key(a=1, b=2), layout_key(a=1, b=3), layout_key(a=1), layout_key(b=1)}
    assert len(keys) == 4
    assert layout_key(a=(1, 2)) == layout_key(a=[1, 2])


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6)), st.binary(max_size=60))
def test_garbage_after_a_crash_never_adds_a_block(done, garbage):
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "journal", done=done)
        with path.open("ab") as file:
            file.write(garbage)
        with Journal(path, "k") as journal:
            assert journal.done == set(done)
            journal.mark(10**7)
        assert Journal(path, "k").done == {*done, 10**7}


def test_a_line_that_finds_no_room_is_an_error_and_does_not_count(tmp_path, monkeypatch):
    write = os.write
    with Journal(tmp_path / "journal", "k") as journal:
        journal.mark(0)
        monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:4]))
        with pytest.raises(DiskFullError, match=rf"{tmp_path}/journal: up to \d+ bytes"):
            journal.mark(1)
        monkeypatch.undo()
    with Journal(tmp_path / "journal", "k") as journal:
        assert journal.done == {0}
        journal.mark(1)
    with Journal(tmp_path / "journal", "k") as journal:
        assert journal.done == {0, 1}
