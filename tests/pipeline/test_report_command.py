"""evaluate and report as typed: words, exit codes, what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fibseg.cli import main
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store whose name has spaces and brackets."""
    monkeypatch.chdir(tmp_path)
    volume = Volume.create(Path("my cell (2).ome.zarr"), shape=(4, 30, 30), dtype="uint8",
                           spacing=(20.0, 10.0, 10.0), polarity="dark")
    volume.raw()[...] = np.random.default_rng(0).integers(0, 255, (4, 30, 30), np.uint8)
    finish_raw(volume)
    for name, start in (("mito", 5), ("truth", 6)):
        product = volume.create_labels(name, kind="labels", dtype="uint8", inputs=name)
        labels = np.zeros((4, 30, 30), np.uint8)
        labels[:, start : start + 10, 5:15] = 3
        product.array[...] = labels
        finish_product(product)
    return tmp_path


VOLUME = "volume=my cell (2).ome.zarr"


def test_walk_of_evaluate_and_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [VOLUME, "labels=mito", "truth=truth", "blocks=serial", "out=a/scores.json"]
    assert main(["evaluate", *words]) == 0
    printed = capsys.readouterr().out
    assert "labels/mito against labels/truth, my cell (2), whole volume" in printed
    assert "0.818" in printed  # 9 of 11 rows
    scores = json.loads((folder / "a" / "scores.json").read_text())["scores"]["mito"]
    assert scores["iou"] == pytest.approx(9 / 11)
    assert main(["report", VOLUME]) == 0
    assert "my cell (2).report.html" in capsys.readouterr().out
    page = (folder / "my cell (2).report.html").read_text(encoding="utf-8")
    assert "fibseg evaluate &#39;volume=my cell (2).ome.zarr&#39; labels=mito" in page


def test_one_damaged_record_is_no_reason_for_no_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for truth in ("truth", "mito"):
        words = [VOLUME, "labels=mito", f"truth={truth}", "blocks=serial"]
        assert main(["evaluate", *words]) == 0
    cut = min(folder.glob("*/runs/*/run.json"), key=lambda path: path.stat().st_mtime_ns)
    cut.write_text(cut.read_text()[:200])
    capsys.readouterr()
    assert main(["report", VOLUME]) == 0
    error = capsys.readouterr().err
    assert error.count(f"left out: {cut.relative_to(folder)} is no record of a run") == 1
    page = (folder / "my cell (2).report.html").read_text(encoding="utf-8")
    assert "truth=mito" in page
    assert "truth=truth" not in page


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["evaluate", VOLUME, "labels=mito", "truth=golgi"], 65, "has no such labels"),
        (["evaluate", VOLUME, "model=none"], 65, "no model folder"),
        (["evaluate", VOLUME], 2, "either model="),
        (["evaluate", VOLUME, "lables=mito", "truth=truth"], 2, "labels"),
        (["report", "volume=none.ome.zarr"], 65, "no volume at"),
        (["report", VOLUME, "planes=[4]"], 65, "planes 0 to 3"),
        (["report", VOLUME, "out=."], 2, "is a folder. Name a file in it: out=report.html"),
        (["report"], 2, "volume"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
