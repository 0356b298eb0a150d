"""The walk of the README, word by word, as a user types it: the longest test of all."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fibseg.volume import Volume

_spec = importlib.util.spec_from_file_location("readme", Path(__file__).parent / "test_readme.py")
assert _spec is not None
assert _spec.loader is not None
readme = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(readme)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Folder after the whole walk, and what each command printed."""
    folder = tmp_path_factory.mktemp("walk")
    printed: dict[str, str] = {}
    for command in readme.walk_commands():
        words = [sys.executable, "-m", *shlex.split(command)]
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed[command] = done.stdout
    return folder, printed


def said(printed: dict[str, str], beginning: str) -> str:
    return next(text for command, text in printed.items() if command.startswith(beginning))


def test_the_phantom_prints_its_spacing(walked: tuple[Path, dict[str, str]]) -> None:
    folder, printed = walked
    assert "20" in said(printed, "fibseg phantom")
    assert len(list((folder / "sample" / "stack").glob("*.tif"))) == 176
    for name in ("painted_mitochondria", "painted_nucleus", "truth_mitochondria", "truth_nucleus"):
        assert (folder / "sample" / f"{name}.tif").is_file()


def test_the_store_holds_what_was_promised(walked: tuple[Path, dict[str, str]]) -> None:
    cell = Volume.open(walked[0] / "cell.ome.zarr")
    assert cell.spacing == (20.0, 20.0, 20.0)
    assert {"annotation_mitochondria", "mitochondria"} <= set(cell.label_names())
    assert cell.probability_names() == ["cell", "mitochondria"]
    table = cell.table("mitochondria")
    assert {"label", "n_voxels", "volume_um3", "centroid_z_um", "touches_border"} <= set(table)
    assert table["n_voxels"].sum() == (cell.labels("mitochondria")[:] > 0).sum()


def test_the_mitochondria_are_found(walked: tuple[Path, dict[str, str]]) -> None:
    cell = Volume.open(walked[0] / "cell.ome.zarr")
    found = cell.labels("mitochondria")[:] > 0
    truth = cell.labels("truth_mitochondria")[:] > 0
    assert (found & truth).sum() / (found | truth).sum() >= 0.90


def test_the_model_records_what_it_was_trained_and_tested_on(
    walked: tuple[Path, dict[str, str]],
) -> None:
    model = json.loads((walked[0] / "models" / "mitochondria" / "model.json").read_text())
    assert model["classes"] == ["mitochondria"]
    assert model["training"]["split"]
    assert model["metrics"]


def test_the_report_needs_no_network(walked: tuple[Path, dict[str, str]]) -> None:
    page = (walked[0] / "cell.report.html").read_text()
    assert "mitochondria" in page
    for needle in ('src="http', "src='http", 'href="http', "@import", "url(http"):
        assert needle not in page
