"""Zip files: the same bytes for the same contents, whenever they are written."""

from __future__ import annotations

import io
import time
import zipfile

from fibseg.export.archive import EPOCH, stored_file, stored_zip


def test_files_come_back_in_order_without_a_time():
    files = {"b.json": b"{}", "a.bin": bytes(range(256))}
    data = stored_zip(files)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["b.json", "a.bin"]
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert archive.read(entry) == files[entry.filename]
            assert entry.date_time == EPOCH
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.external_attr >> 16 == 0o100644


def test_bytes_do_not_depend_on_the_clock(monkeypatch):
    before = stored_zip({"a": b"x"})
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert stored_zip({"a": b"x"}) == before


def test_one_file_is_read_back_and_nothing_else(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(stored_zip({"a": b"xyz"}))
    assert stored_file(path, "a", most=3) == b"xyz"
    assert stored_file(path, "a", most=2) is None
    assert stored_file(path, "b", most=9) is None
    assert stored_file(tmp_path / "none", "a", most=9) is None
    path.write_bytes(b"no zip")
    assert stored_file(path, "a", most=9) is None
    path.write_bytes(stored_zip({"a": b"xyz"})[:-30])
    assert stored_file(path, "a", most=9) is None
