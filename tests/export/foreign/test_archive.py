"""Zips of strangers: what is not a plain small archive is refused, and nothing is ever written."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from foreign_files import czann_files, zipped

from fibseg.errors import DataError
from fibseg.export.foreign import archive as rules
from fibseg.export.foreign import read_foreign
from fibseg.export.foreign.archive import Archive


def packed(files=None, *, method=zipfile.ZIP_DEFLATED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in (files or {"a.txt": b"hello", "b.txt": b"you"}).items():
            archive.writestr(name, data)
    return bytearray(file.getvalue())


def directory_of(data: bytearray) -> int:
    """Where the table of contents begins."""
    return data.index(b"PK\x01\x02")


def change(data: bytearray, at: int, form: str, value: int) -> bytearray:
    struct.pack_into(form, data, at, value)
    return data


@pytest.fixture
def inside(tmp_path):
    """A folder to work in, around which nothing may appear."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    yield folder
    made = set(tmp_path.rglob("*")) - set(before)
    assert {p.parent for p in made} <= {folder}
    assert not any(p.is_symlink() or p.name == "marker" for p in made)


def refused(folder: Path, data: bytes, match: str) -> None:
    path = folder / "model.czann"
    path.write_bytes(data)
    with pytest.raises(DataError, match=match):
        read_foreign(path)


def test_entries_are_read_as_they_are(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.txt": b"x" * 5000, "in/b.txt": b"y"},
                  method=zipfile.ZIP_DEFLATED)
    archive = Archive(path)
    assert archive.names == ["a.txt", "in/b.txt"]
    assert archive.read("a.txt", most=5000) == b"x" * 5000
    with pytest.raises(DataError, match=r"holds \['a.txt', 'in/b.txt'\], but not 'c'"):
        archive.read("c", most=10)
    with pytest.raises(DataError, match="would unpack to 5000 bytes, at most 4999"):
        archive.read("a.txt", most=4999)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [
    "../marker", "../../marker", "in/../../marker", "/tmp/marker", "//host/marker", "C:/marker",
    "C:marker", "..\\marker", "\\\\host\\marker", ".", "..", "in//marker", "./marker", "mark\ner",
    "mark\x1b[31mer", "a" * 300, "marker:stream", "in/./marker",
])
def test_names_that_lead_elsewhere_are_refused(inside, name):
    refused(inside, packed({name: b"x", **czann_files()}), "leads out of its folder")


def test_a_name_with_a_hidden_end_is_refused(inside):
    data = packed({"marker#../x": b"x", **czann_files()})
    for at in (30, directory_of(data) + 46):
        assert data[at : at + 7] == b"marker#"
        data[at + 6] = 0
    refused(inside, data, "leads out of its folder")


@pytest.mark.parametrize("names", [
    ("model.json", "model.json"), ("model.json", "MODEL.json"), ("model.json", "model.json/"),
    ("caf\u00e9", "cafe\u0301"),
])
def test_an_entry_that_hides_another_is_refused(inside, names):
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, on the same name twice
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")
    refused(inside, file.getvalue(), "twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(inside, kind):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("marker")
        entry.external_attr = (kind | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    refused(inside, file.getvalue(), "a link or a device")


def test_encrypted_entries_are_refused(inside):
    data = packed()
    at = directory_of(data) + 8
    refused(inside, change(data, at, "<H", data[at] | 1), "is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, 9, 97, 99])
def test_rare_compression_is_refused(inside, method):
    data = packed()
    refused(inside, change(data, directory_of(data) + 10, "<H", method), f"method {method}")


def test_a_bomb_is_refused_by_its_ratio(inside):
    data = packed({"bomb": bytes(3 * 2**20)})
    assert len(data) < 5000
    refused(inside, data, "more than 200 times")


def test_many_entries_are_refused_before_any_is_looked_at(inside, monkeypatch):
    data = packed({f"{k}": b"" for k in range(1001)}, method=zipfile.ZIP_STORED)
    monkeypatch.setattr(rules.zipfile, "ZipFile", None)
    refused(inside, data, "lists 1001 entries")


def test_a_large_table_of_contents_is_refused(inside):
    data = packed({"a" * 60_000 + str(k): b"" for k in range(18)}, method=zipfile.ZIP_STORED)
    refused(inside, data, r"lists 18 entries in \d{7} bytes")


def test_entries_that_share_bytes_are_refused(inside):
    data = packed({"aa": b"x" * 100, "bb": b"x" * 100}, method=zipfile.ZIP_STORED)
    second = data.rindex(b"PK\x01\x02")
    refused(inside, change(data, second + 42, "<L", 10), "overlap")


def test_declared_sizes_in_sum_are_limited(inside, monkeypatch):
    monkeypatch.setattr(rules, "TOTAL_BYTES", 150)
    refused(inside, packed({"a": b"x" * 100, "b": b"y" * 51}), "would unpack to 151 bytes")


def test_an_entry_larger_than_it_says_is_given_up(tmp_path):
    data = packed({"a": os.urandom(5000)})
    change(data, directory_of(data) + 24, "<L", 100)
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged or not what the archive says"):
        Archive(path).read("a", most=1000)


def test_reading_stops_at_the_limit_whatever_is_declared():
    stream = io.BytesIO(bytes(3 * 2**20))
    with pytest.raises(DataError, match="more than 1048577 bytes"):
        rules._up_to(stream, 2**20 + 1, "it")
    assert stream.tell() == 2 * 2**20


def test_a_flipped_bit_is_told(tmp_path):
    data = packed({"a": b"hello" * 100}, method=zipfile.ZIP_STORED)
    data[40] ^= 1
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged.*CRC"):
        Archive(path).read("a", most=1000)


def test_another_name_inside_than_in_the_table_is_told(tmp_path):
    data = packed({"a": b"hello"})
    data[30:31] = b"b"
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged or not what"):
        Archive(path).read("a", most=1000)


@pytest.mark.parametrize("keep", [10, 40, -1, -22])
def test_cut_files_are_refused(inside, keep):
    refused(inside, packed()[:keep], r"cut short|not a whole")


@pytest.mark.parametrize(("change_it", "match"), [
    (lambda d: b"MZ" + d, "data before"),
    (lambda d: d + b"more", "cut short, or has something behind"),
    (lambda d: packed({"evil": b"1"}) + d, "data before"),
    (lambda d: change(d, len(d) - 2, "<H", 3), "has a comment"),
    (lambda d: change(d, len(d) - 18, "<H", 1), "one part of several"),
    (lambda d: change(d, len(d) - 12, "<H", 0xFFFF), "zip64"),
    (lambda d: change(d, len(d) - 6, "<L", 0xFFFFFFFF), "zip64"),
    (lambda d: change(d, len(d) - 10, "<L", 3), "data before or between"),
])
def test_archives_that_programs_read_differently_are_refused(inside, change_it, match):
    data = change_it(packed())
    path = inside / "model.zip"
    path.write_bytes(data)
    with pytest.raises(DataError, match=match):
        Archive(path)


def test_an_archive_in_an_archive_is_never_opened(inside):
    inner = bytes(packed({"../marker": b"x"}))
    files = {"model.json": inner, "model.model": inner}
    refused(inside, packed(files), "is not text|not JSON|has \\d+ bytes")
