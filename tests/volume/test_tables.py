"""Tables: read back exactly, equal bytes for equal contents, clear errors."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.volume.files import seal_holds

TABLE = {
    "label": np.array([1, 2, 5], dtype=np.uint32),
    "volume_um3": np.array([0.5, np.nan, 2.0]),
    "touches_border": np.array([True, False, True]),
    "class": np.array(["a", "b", "ü"]),
}


def test_columns_come_back_as_they_were(volume):
    path = volume.write_table("m", TABLE, labels_digest="abc")
    assert path == volume.path / "tables" / "m.parquet"
    back = volume.table("m")
    assert list(back) == list(TABLE)
    for name, column in TABLE.items():
        assert back[name].tolist() == pytest.approx(column.tolist(), nan_ok=True)
    assert back["label"].dtype == np.uint32
    assert back["touches_border"].dtype == bool
    assert volume.table_names() == ["m"]
    info = volume.table_info("m")
    assert info == {"labels_digest": "abc", "n_rows": 3, "columns": list(TABLE)}
    assert pq.read_table(path).num_rows == 3


def test_equal_tables_are_equal_bytes(volume):
    first = volume.write_table("a", TABLE, labels_digest="d").read_bytes()
    assert volume.write_table("b", TABLE, labels_digest="d").read_bytes() == first


def test_what_else_was_measured_comes_back_and_counts(volume):
    told = {"sources": {"raw": "abc"}, "share": 0.1, "none": float("nan")}
    path = volume.write_table("m", TABLE, labels_digest="d", measured=told)
    assert volume.table_info("m")["measured"] == {**told, "none": None}
    assert seal_holds(path.read_bytes())
    with pytest.raises(ExistsError):
        volume.write_table("m", TABLE, labels_digest="d", overwrite=False)


def test_a_table_without_rows(volume):
    volume.write_table("none", {"label": np.zeros(0, np.uint32)}, labels_digest="d")
    assert volume.table("none")["label"].shape == (0,)
    volume.write_table("nothing", {}, labels_digest="d")
    assert volume.table("nothing") == {}


def test_overwrite(volume):
    volume.write_table("m", TABLE, labels_digest="d", overwrite=False)
    volume.write_table("m", TABLE, labels_digest="d", overwrite=False)  # equal: nothing to lose
    with pytest.raises(ExistsError, match="overwrite=true"):
        volume.write_table("m", TABLE, labels_digest="e", overwrite=False)
    volume.write_table("m", TABLE, labels_digest="e")
    assert volume.table_info("m")["labels_digest"] == "e"


def test_clear_errors(volume):
    with pytest.raises(UsageError, match="differ in length"):
        volume.write_table("m", {"a": np.arange(2), "b": np.arange(3)}, labels_digest="d")
    with pytest.raises(UsageError, match="cannot be the name"):
        volume.write_table("../m", TABLE, labels_digest="d")
    volume.write_table("good", TABLE, labels_digest="d")
    with pytest.raises(DataError, match=r"no table 'm'\. There is: good"):
        volume.table("m")
    path = volume.path / "tables" / "good.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    for read in (volume.table, volume.table_info):
        with pytest.raises(DataError, match="not a table of fibseg"):
            read("good")
