from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fibseg.errors import DataError
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.pipeline.report_facts import headline, object_section, shown_labels, volume_facts
from fibseg.pipeline.report_kinds import Kind
from fibseg.pipeline.report_scores import Recorded, latest_evaluations, score_tables
from fibseg.volume import Volume

SHAPE = (10, 100, 200)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    volume = Volume.create(tmp_path / "v.ome.zarr", shape=SHAPE, dtype="uint8",
                           spacing=(50.0, 10.0, 10.0), polarity="dark")
    volume.raw()[...] = 1
    finish_raw(volume)
    return volume


def add(volume: Volume, name: str, n: int, *, table: bool = True) -> None:
    """Label image with `n` objects of 1, 2, 3 … voxels in its table."""
    product = volume.create_labels(name, kind="labels", dtype="uint8", inputs=name)
    product.array[...] = 0
    digest = finish_product(product).digest
    if table:
        sizes = np.arange(1, n + 1)
        volume.write_table(name, {
            "label": sizes, "n_voxels": sizes * 1000, "volume_um3": sizes * 0.005,
            "centroid_x_um": np.full(n, np.nan), "touches_border": sizes % 2 == 0,
        }, labels_digest=digest)


def values(section: object) -> dict[str, str]:
    return {f.label: f.value for f in section.facts}  # type: ignore[attr-defined]


def test_volume_in_numbers(volume: Volume) -> None:
    facts = {f.label: (f.value, f.note) for f in volume_facts(volume)}
    assert facts["voxels (z × y × x)"] == ("10 × 100 × 200", "200,000 voxels")
    assert facts["size (z × y × x)"] == ("0.5 × 1 × 2 µm", "1 µm³")
    assert facts["voxel"] == ("50 × 10 × 10 nm", "")
    assert facts["stain in the raw"] == ("dark", "")


def test_objects_in_numbers(volume: Volume) -> None:
    add(volume, "mito", 9)
    section = object_section(volume, Kind("mito", None), 4)
    assert values(section) == {
        "objects": "9", "total volume": "0.225 µm³", "median volume": "0.025 µm³",
        "largest": "0.045 µm³", "at the border": "4",
    }
    assert section.facts[1].note == "22.5% of the volume"
    assert section.columns == ("label", "volume (µm³)", "voxels", "x (µm)")
    assert [row[0] for row in section.rows] == ["9", "8", "7", "6"]
    assert section.rows[0] == ("9", "0.045", "9,000", "nan")
    assert section.histogram is not None
    assert section.note == ""


@pytest.mark.parametrize(("n", "rows", "note"), [(0, 0, "No object was found."), (1, 0, ""),
                                                 (2, 2, "")])
def test_few_objects_need_no_histogram(volume: Volume, n: int, rows: int, note: str) -> None:
    add(volume, "nucleus", n)
    section = object_section(volume, Kind("nucleus", (1, 2, 3)), 12)
    assert section.histogram is None
    assert len(section.rows) == rows
    assert section.note == note
    assert "median volume" not in values(section)


def test_labels_without_table_are_told_to_be_unmeasured(volume: Volume) -> None:
    add(volume, "er_sheets", 3, table=False)
    section = object_section(volume, Kind("er_sheets", None), 12)
    assert section.name == "er sheets"
    assert section.note == "Not measured: labels/er_sheets has no table."


def test_labels_on_the_page(volume: Volume) -> None:
    for name in ("mito", "truth_mito", "nucleus"):
        add(volume, name, 1)
    assert shown_labels(volume, None, []) == ["mito", "nucleus"]
    assert shown_labels(volume, ["truth_mito"], []) == ["truth_mito"]
    assert shown_labels(volume, ["nucleus", "mito", "nucleus"], []) == ["nucleus", "mito"]
    with pytest.raises(DataError, match=r"'mito', 'nucleus', 'truth_mito'"):
        shown_labels(volume, ["golgi"], [])


def evaluation(iou: float | None, truth: str = "labels/t") -> dict[str, object]:
    return {"prediction": "labels/mito", "truth": truth, "where": "whole volume",
            "tolerance_nm": 20.0, "planes": {},
            "scores": {"mito": {"iou": iou, "voi_split": 0.5, "volume_error": -0.02}}}


def test_numbers_in_short(volume: Volume) -> None:
    add(volume, "mito", 9)
    fresh, undefined = Recorded(evaluation(0.9)), Recorded(evaluation(None, "labels/u"))
    stale = Recorded(evaluation(0.8, "labels/v"), stale=True)
    facts = headline(volume, ["mito"], [fresh, undefined, stale], [])
    assert [(f.value, f.label) for f in facts] == [("9", "mito"), ("0.900", "IoU, mito")]
    assert facts[0].note == "0.225 µm³ in all, 22.5% of the volume"
    assert facts[1].note == "t (whole volume)"


def test_table_of_scores_has_bars_for_shares_only() -> None:
    (table,) = score_tables([], [Recorded(evaluation(0.905))], {})
    assert table.rows == (
        ("IoU", "0.905", 90.5), ("variation of information, split (bit)", "0.500", None),
        ("volume error, total", "−2.0%", None),
    )
    assert table.figure is None
    assert table.subtitle.startswith("labels/mito against labels/t, whole volume")
    (table,) = score_tables([], [Recorded(evaluation(0.9), stale=True)], {})
    assert "evaluate again" in table.subtitle


def test_the_work_that_is_left_is_told_where_it_is_known() -> None:
    edits = {"n_edits": 2880, "seconds_per_edit": 20.0, "hours": 16.0, "limit_hours": 16.0}
    (table,) = score_tables(
        [], [Recorded({**evaluation(0.9), "proof_editing": {"mito": edits}})], {}
    )
    assert "2,880 edits, 16 h at 20 s each, of 16 h" in table.subtitle
    (table,) = score_tables([], [Recorded(evaluation(0.9))], {})
    assert "Proof-editing" not in table.subtitle


def run(verb: str, status: str, metrics: dict[str, object] | None) -> dict[str, object]:
    return {"verb": verb, "status": status, "metrics": metrics, "inputs": {}}


def test_only_the_newest_finished_evaluation_of_a_pair_counts(volume: Volume) -> None:
    runs = [
        run("evaluate", "done", evaluation(0.1)),
        run("evaluate", "done", evaluation(0.5, "labels/other")),
        run("infer", "done", {"scores": 1}),
        run("evaluate", "failed", {}),
        run("evaluate", "done", evaluation(0.9)),
    ]
    found = [r.data["scores"]["mito"]["iou"] for r in latest_evaluations(volume, runs)]
    assert found == [0.5, 0.9]


def test_an_evaluation_is_stale_once_its_labels_are_gone_or_others(volume: Volume) -> None:
    add(volume, "mito", 2)
    digest = volume.labels_info("mito").digest
    for inputs, stale in (
        ({"raw": "x", "labels/mito": digest}, False),
        ({"labels/mito": "older"}, True),
        ({"labels/gone": "x"}, True),
    ):
        record = {**run("evaluate", "done", evaluation(0.9)), "inputs": inputs}
        assert [r.stale for r in latest_evaluations(volume, [record])] == [stale]
