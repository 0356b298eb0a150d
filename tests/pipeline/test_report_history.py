from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fibseg.errors import InterruptedRunError
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.pipeline.report_history import _duration, run_rows, text_for_methods
from fibseg.pipeline.report_scores import Recorded
from fibseg.volume import Volume


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    volume = Volume.create(tmp_path / "v.ome.zarr", shape=(2, 8, 8), dtype="uint8",
                           spacing=(20.0, 10.0, 10.0), polarity="dark")
    volume.raw()[...] = 1
    finish_raw(volume)
    return volume


def test_runs_are_told_newest_first_with_how_they_ended(volume: Volume) -> None:
    with volume.start_run("infer", config={"a": 1, "b": None}, overrides=["model=my models/m"],
                          inputs={}) as done:
        done.finish(products={})
    with pytest.raises(InterruptedRunError), volume.start_run(
        "objects", config={}, overrides=[], inputs={}
    ):
        raise InterruptedRunError("stopped")
    rows = {row.verb: row for row in run_rows(volume.runs())}
    assert rows["infer"].status == "done"
    assert rows["infer"].command == "fibseg infer 'model=my models/m'"
    assert json.loads(rows["infer"].settings) == {"a": 1}
    assert rows["infer"].started.endswith(" UTC")
    assert "numpy" in rows["infer"].versions
    assert rows["objects"].status == "interrupted"
    assert rows["objects"].settings == "no settings"
    assert rows["objects"].command == "fibseg objects"


def test_order_is_reversed() -> None:
    records: list[dict[str, Any]] = [
        {"verb": v, "started": "2026-01-01T00:00:00+00:00", "finished": None, "status": "running"}
        for v in ("import", "infer", "report")
    ]
    assert [r.verb for r in run_rows(records)] == ["report", "infer", "import"]
    assert run_rows(records)[0].duration == ""


@pytest.mark.parametrize(
    ("finished", "want"),
    [
        ("2026-01-01T10:00:00+00:00", "0 s"),
        ("2026-01-01T10:00:59.400000+00:00", "59 s"),
        ("2026-01-01T10:02:00+00:00", "2 min 0 s"),
        ("2026-01-01T13:05:10+00:00", "3 h 5 min"),
        (None, ""),
    ],
)
def test_duration_in_words(finished: str | None, want: str) -> None:
    assert _duration("2026-01-01T10:00:00+00:00", finished) == want


def record(verb: str, **config: Any) -> dict[str, Any]:
    return {"verb": verb, "config": config, "products": {}, "status": "done"}


def test_methods_take_the_last_clean_up_and_the_model_of_the_last_infer(volume: Volume) -> None:
    runs = [
        record("infer", name="mito", model="models/old", postprocess={"closing": {}}),
        record("infer", name="mito", model="models/new", postprocess={"closing": {}}),
        record("objects", name="mito", postprocess={"opening": {"radius_nm": 30}}),
        record("infer", name="other", model="models/other"),
    ]
    text = " ".join(text_for_methods(volume, ["mito"], [], runs))
    assert "The class mito was segmented with a 2D U-Net." in text
    assert "opening (radius nm 30)" in text
    assert "closing" not in text


def test_methods_of_several_classes_find_their_infer_by_product(volume: Volume) -> None:
    run = record("infer", name="cell", model="m", postprocess={"fill_holes": {}})
    run["products"] = {"labels/cell_mito": "digest"}
    text = " ".join(text_for_methods(volume, ["cell_mito"], [], [run]))
    assert "fill holes" in text
    assert "The class cell mito" in text


def test_methods_tell_the_seeds_of_the_run_that_made_the_table(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr("fibseg.pipeline.report_history.measured_of", lambda *_: {"to": []})
    monkeypatch.setattr(
        "fibseg.pipeline.report_history.measurement_text",
        lambda *_, settings, **_more: str(told.append(settings)),
    )
    labels = volume.create_labels("er", kind="labels", dtype="uint8", inputs="x")
    labels.array[:] = 1
    digest = finish_product(labels).digest
    table = {"label": np.array([1]), "volume_um3": np.ones(1), "touches_border": np.ones(1, bool)}
    volume.write_table("er", table, labels_digest=digest)
    runs = []
    for seed, name in ((3, "er"), (4, "er"), (5, "golgi")):
        run = record("measure", correlations={"seed": seed})
        runs.append({**run, "products": {f"tables/{name}": "digest"}})
    text_for_methods(volume, ["er"], [], runs)
    text_for_methods(volume, ["er"], [], [record("measure") | {"products": None}])
    assert told == [{"correlations": {"seed": 4}}, None]


def test_methods_leave_out_scores_of_labels_that_changed(volume: Volume) -> None:
    data = {"truth": "labels/t", "where": "whole volume", "scores": {"mito": {"iou": 0.5}}}
    fresh = text_for_methods(volume, [], [Recorded(data)], [])
    assert fresh[-1] == "Mito agreed with labels/t, whole volume (IoU 0.500)."
    assert len(text_for_methods(volume, [], [Recorded(data, stale=True)], [])) == 1
