"""``classify`` as a command: planned, killed and run again, beside another run."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from classified import classified_phantom, run

from fibseg.cli import main
from fibseg.errors import BusyError
from fibseg.pipeline import report
from fibseg.volume import Volume
from fibseg.volume.lock import Holder, lock_path

COUNTING = """
import sys, time
from fibseg.cli import main
from fibseg.inference.pixels import PixelClassifier
quick = PixelClassifier.box
def slow(*parts):
    time.sleep(0.1)
    print("a block is computed")
    return quick(*parts)
PixelClassifier.box = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with the cell classified from 200 voxels; what the command returned."""
    return classified_phantom(tmp_path_factory.mktemp("made"))[1:]


def _n_lines(path):
    return path.read_bytes().count(b"\n")


def test_killed_and_run_again_it_goes_on_to_the_same_bytes(made, tmp_path):
    wanted, _ = made
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(wanted.path, path)
    store = Volume.open(path)
    words = [
        "classify", f"volume={path}", "annotation=cell", "name=again", "blocks=serial",
        "block_shape=[64,128,128]", f"model={tmp_path / 'm'}",
    ]
    command = [sys.executable, "-c", COUNTING, *words]
    journal = path / "probabilities" / ".again.journal"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (journal.exists() and _n_lines(journal) >= 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert "again" not in store.probability_names()
    n_done = _n_lines(journal) - 1  # the first line says what it is a journal of
    assert 3 <= n_done < 8
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a block is computed") == 8 - n_done
    digests = {store.probabilities_info(n).digest for n in ("cell", "again")}
    assert len(digests) == 1
    assert store.labels_info("again").digest == store.labels_info("cell").digest
    ends = [r["status"] for r in store.runs() if r["config"].get("name") == "again"]
    assert ends[-1] == "done"


def test_two_runs_on_one_target_or_one_model_are_refused(made, tmp_path):
    store, _ = made
    model, product = tmp_path / "m", store.path / "probabilities" / "other"
    model.mkdir()
    for target in (model, product):
        holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
        lock_path(target).write_text(json.dumps(dataclasses.asdict(holder)))
        with pytest.raises(BusyError, match="elsewhere"):
            run(store, name="other", model=str(model))
        lock_path(target).unlink()
    assert "other" not in store.probability_names()


def test_the_command_plans_and_works(made, tmp_path, capsys):
    store, _ = made
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(store.path, path)
    words = ["classify", f"volume={path}", "annotation=cell", "name=c", "blocks=serial"]
    before = sorted(path.rglob("*"))
    assert main([*words, "dry_run=true"]) == 0
    plan = capsys.readouterr().out
    assert "plan of fibseg classify" in plan
    assert "painted voxels" in plan
    assert sorted(path.rglob("*")) == before
    assert not (tmp_path / "a.models").exists()
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "probabilities/c" in said
    assert "1 object" in said
    digest = Volume.open(path).labels_info("c").digest
    assert digest == store.labels_info("cell").digest


def test_infer_says_what_a_classifier_is_for(made, capsys):
    store, _ = made
    folder = store.path.parent / "a.models" / "cell"
    assert main(["infer", f"model={folder}", f"volume={store.path}"]) == 65
    assert "fibseg classify model=" in capsys.readouterr().err


def test_the_report_says_how_it_was_done(made, tmp_path):
    store, _ = made
    report.run(volume=str(store.path), out=str(tmp_path / "cell.html"))
    page = (tmp_path / "cell.html").read_text()
    assert "forests of 32 extremely randomised trees, trained on 200 painted voxels" in page
    assert "Gaussians of 20, 40, 80 and 160 nm on voxels of at most 40 nm" in page
    assert "near borders of 10, 20 and 40 nm on the next finer pyramid level" in page
    assert "U-Net" not in page
