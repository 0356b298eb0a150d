"""A profile of a cell in which something has no object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profiled_cells import FEW, cell_store, ran
from stores import noise_store

from fibseg.cli.main import main
from fibseg.pipeline.profile_empty import is_empty
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

EMPTY_NUCLEUS = "clean.nucleus.components.min_volume_um3=100"


@pytest.fixture
def store(tmp_path: Path) -> Volume:
    return cell_store(tmp_path)


def test_an_empty_membrane_is_left_out_as_a_missing_one(
    store: Volume, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    def made(*words: str) -> dict[str, Any]:
        steps = ["steps=[objects,measure]", *words]
        assert main(["profile", f"volume={store.path}", *FEW, *steps]) == 0
        return store.table_info("mitochondria")["measured"]

    with caplog.at_level("INFO"):
        measured = made(EMPTY_NUCLEUS)
    assert "no objects in labels/nucleus, all voxels are 0: distances to it" in caplog.text
    assert measured["to"] == ["cell"]
    assert "share_of_cell" in measured["profile"]["mitochondria"]
    assert "nucleus" not in measured["profile"]
    assert "cytoplasm" not in measured["profile"]
    text = capsys.readouterr().out
    assert "labels/nucleus  0 objects" in text
    assert "tables/mitochondria  7 objects" in text
    before = ran(store)
    made(EMPTY_NUCLEUS)
    assert ran(store) == before, "nothing is made again"
    assert made()["to"] == ["cell", "nucleus"]
    assert made(EMPTY_NUCLEUS)["to"] == ["cell"], "what it was measured to earlier is empty now"
    assert made(EMPTY_NUCLEUS)["to"] == ["cell"]


def test_a_cell_without_organelles_has_a_report(
    store: Volume, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    words = ["clean.mitochondria.components.min_volume_um3=100", EMPTY_NUCLEUS]
    with caplog.at_level("INFO"):
        assert main(["profile", f"volume={store.path}", *FEW, *words]) == 0
    assert "no objects in labels/mitochondria, all voxels are 0: it is not measured" in caplog.text
    text = capsys.readouterr().out
    assert "labels/mitochondria  0 objects" in text
    assert "No object was found." in store.path.with_name("cell.report.html").read_text()


def test_labels_without_a_table_are_looked_at(tmp_path: Path) -> None:
    store = noise_store(tmp_path / "a.ome.zarr", shape=(70, 16, 90))
    labels = store.create_labels("one", kind="labels", dtype="uint32", inputs="x")
    voxels = np.zeros((70, 16, 90), np.uint32)
    voxels[-1, -1, -1] = 1
    labels.array[:] = voxels
    finish_product(labels)
    labels = store.create_labels("none", kind="labels", dtype="uint32", inputs="x")
    labels.array[:] = 0
    finish_product(labels)
    assert not is_empty(store, "one")
    assert is_empty(store, "none")


def test_a_damaged_table_is_not_asked(store: Volume) -> None:
    labels = store.create_labels("one", kind="labels", dtype="uint32", inputs="x")
    labels.array[:] = 1
    digest = finish_product(labels).digest
    store.write_table("one", {"label": np.array([], np.int64)}, labels_digest=digest)
    assert is_empty(store, "one"), "a table that is up to date is believed"
    (store.path / "tables" / "one.parquet").write_bytes(b"damaged")
    assert not is_empty(store, "one")
