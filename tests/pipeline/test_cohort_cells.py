"""The list of cells is data; what cannot be meant is refused with the place it stands at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cohorts import listed
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import noise_store

from fibseg.errors import DataError, UsageError
from fibseg.pipeline.cohort_cells import Cell, conditions, read_cells, too_few


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three empty stores."""
    folder = tmp_path_factory.mktemp("cells")
    for name in "abc":
        noise_store(folder / f"{name}.ome.zarr", shape=(4, 6, 8))
    return folder


def entry(name, **change):
    return {"name": name, "volume": f"{name}.ome.zarr", "condition": "x", **change}


def test_cells_are_read_in_order_and_found_beside_the_list(folder, monkeypatch, tmp_path):
    path = listed(folder, [entry("b", condition="drug"), entry("a"), entry("c", condition=" x ")])
    monkeypatch.chdir(tmp_path)
    cells = read_cells(path)
    assert [c.name for c in cells] == ["b", "a", "c"]
    assert cells[1] == Cell("a", str(folder / "a.ome.zarr"), "x")
    assert cells[0].n_voxels == 4 * 6 * 8
    assert conditions(cells) == ["drug", "x"]
    assert too_few(cells) == {"drug": 1}


def test_whole_paths_stay_what_they_are(folder, tmp_path):
    path = listed(tmp_path, [entry("a", volume=str(folder / "a.ome.zarr"))])
    assert read_cells(path)[0].volume == str(folder / "a.ome.zarr")


@pytest.mark.parametrize(("rows", "said"), [
    ([], "no list of any"),
    (["a"], "cell 1 of"),
    ([entry("a"), {"name": "b", "volume": "b.ome.zarr"}], "cell 2 of .* lacks 'condition'"),
    ([entry("a", colour="red")], "does not know 'colour'"),
    ([entry("a", condition=3)], "condition is 3, which YAML takes for int"),
    ([entry("a", condition=False)], "in quotes"),
    ([entry("a", condition="")], "condition is ''"),
    ([entry("a", condition="a\x00b")], "Give text"),
    ([entry("a") | {"name": "../a"}], "cannot be the name of a cell"),
    ([entry("a", volume=["a"])], "volume is .* list"),
    ([entry("a"), entry("A", volume="b.ome.zarr")], "2 cells have the name a"),
    ([entry("a"), entry("b", volume="./a.ome.zarr")], "2 cells have the volume"),
])
def test_what_cannot_be_meant_is_refused(folder, rows, said):
    with pytest.raises(UsageError, match=said):
        read_cells(listed(folder, rows))


@pytest.mark.parametrize(("text", "said"), [
    ("cells: [{name: a", "no YAML that can be read"),
    ("- a", "holds list"),
    ("cells: []\nmore: 1", r"the keys \['cells', 'more'\]"),
    ("", "NoneType"),
    ("cells: [{name: a, name: b, volume: c, condition: d}]", "'name' is there twice"),
    ("cells: !!python/object/apply:os.getcwd []", "no YAML that can be read"),
    ("\xff\xfe", "no YAML"),
    ("[" * 3000, "no YAML"),
])
def test_what_is_no_list_of_cells_is_refused(tmp_path, text, said):
    path = tmp_path / "cells.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said):
        read_cells(path)


@settings(max_examples=40)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["cells", "name", "volume", "condition", "x"]), inner, max_size=4
    ), max_leaves=12,
))
def test_anything_else_is_one_error(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises((UsageError, DataError), match=r"any\.yaml"):
        read_cells(path)


def test_no_file_and_a_folder_are_told(tmp_path):
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(UsageError, match="is no file"):
            read_cells(path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 10_000_001)
    with pytest.raises(UsageError, match="larger than"):
        read_cells(large)


def test_all_missing_stores_are_named_at_once(folder):
    (folder / "file.ome.zarr").write_text("x")
    rows = [entry("a"), entry("gone"), entry("f", volume="file.ome.zarr")]
    with pytest.raises(DataError, match=re.escape("2 of 3 stores: gone: ")) as info:
        read_cells(listed(folder, rows))
    assert "f: " in str(info.value)


def test_a_link_to_a_store_is_the_same_cell(folder, tmp_path):
    link = tmp_path / "link.ome.zarr"
    link.symlink_to(folder / "a.ome.zarr")
    rows = [entry("a"), entry("b", volume=str(link))]
    with pytest.raises(UsageError, match="2 cells have the volume"):
        read_cells(listed(folder, rows))
    assert Path(read_cells(listed(folder, rows[:1]))[0].volume).is_dir()
