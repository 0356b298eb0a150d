"""A store on a file system that nothing can be written to: read as ever, or one clear error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from inference_fakes import random_image, random_model
from stores import OBJECTS, noise_store, untouched

from fibseg.export import save_model_folder
from fibseg.pipeline import objects
from fibseg.pipeline.pyramid import finish_product

SHAPE = (20, 48, 40)


def make_store(path: Path) -> Path:
    store = noise_store(path, shape=SHAPE, m=random_image(SHAPE, seed=1))
    objects.run(volume=str(path), name="m", postprocess=OBJECTS)
    truth = store.create_labels("truth", kind="labels", dtype="uint32", inputs="none")
    truth.array[:] = store.labels("m")[:]
    finish_product(truth)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store seen through a mount that nothing can be written through."""
    folder = tmp_path_factory.mktemp("read_only")
    made = make_store(folder / "made" / "cell.ome.zarr")
    seen = folder / "seen"
    seen.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a folder read-only")
    commands = ([mount, "--bind", made.parent, seen], [mount, "-o", "remount,bind,ro", seen])
    for command in commands:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            subprocess.run(["umount", str(seen)], capture_output=True, check=False)
            pytest.skip(f"cannot mount a folder read-only here: {done.stderr.strip()}")
    yield seen / made.name
    subprocess.run(["umount", str(seen)], check=True)


def fibseg(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command as a user gives it."""
    return subprocess.run(
        [sys.executable, "-m", "fibseg", *words], capture_output=True, text=True, check=False,
        cwd=cwd,
    )


def test_the_mount_is_read_only(store: Path) -> None:
    with pytest.raises(OSError, match="Read-only"):
        (store / "x").touch()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check"], "20"),
        (["verify", "blocks=serial"], "everything is as it was written"),
        (["report", "out=page.html"], "page.html"),
        (["evaluate", "labels=m", "truth=truth", "out=scores.json", "blocks=serial"], "1"),
    ],
)
def test_what_only_reads_gives_its_result(
    store: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    with untouched(store):
        done = fibseg(words[0], f"volume={store}", *words[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "Traceback" not in done.stderr
    assert ("can only be read" in done.stderr) == (words[0] == "evaluate")
    for word in words:
        if word.startswith("out="):
            assert (tmp_path / word.removeprefix("out=")).stat().st_size > 0


def test_scores_are_those_of_a_store_that_can_be_written(store: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "cell.ome.zarr")
    for path, name in ((store, "a"), (other, "b")):
        words = [f"volume={path}", "labels=m", "truth=truth", "blocks=serial", f"out={name}.json"]
        done = fibseg("evaluate", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(
        (tmp_path / "b.json").read_text()
    )


@pytest.mark.parametrize("verb", ["objects", "infer", "import", "report"])
def test_what_must_write_says_in_one_line_that_it_cannot(
    store: Path, tmp_path: Path, verb: str
) -> None:
    words = ["name=other", f"volume={store}"]
    if verb == "objects":
        words = ["name=m", "out=other", "blocks=serial", f"volume={store}"]
    elif verb == "infer":
        model = save_model_folder(tmp_path / "model", *random_model(features=(4, 4), n_classes=1))
        words += [f"model={model}", "blocks=serial"]
    elif verb == "import":
        np.save(tmp_path / "a.npy", random_image(SHAPE))
        words += [f"source={tmp_path / 'a.npy'}", "kind=labels"]
    else:
        words = words[1:]
    done = fibseg(verb, *words, cwd=tmp_path)
    assert done.returncode == 65, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"fibseg {verb}: ")
    assert "Read-only file system" in last
    assert str(store.parent) in last
