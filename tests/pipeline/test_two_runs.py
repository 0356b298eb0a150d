"""Two runs on one target: the second is refused before any work, a killed one stands in no way."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from inference_fakes import random_image, random_model
from stores import OBJECTS, noise_store

from fibseg.errors import BusyError
from fibseg.export import save_model_folder
from fibseg.pipeline import infer, ingest, objects
from fibseg.pipeline.train_folder import alone_in
from fibseg.volume import Volume, locked
from fibseg.volume.lock import Holder, lock_path

SHAPE = (20, 48, 40)
SLOW = """
import sys, time
from fibseg.cli import main
from fibseg.pipeline import objects
quick = objects.find_objects
def slow(*parts, **keywords):
    time.sleep(60)
    return quick(*parts, **keywords)
objects.find_objects = slow
main(sys.argv[1:])
"""


def make_store(path: Path) -> Volume:
    return noise_store(path, shape=SHAPE, m=random_image(SHAPE, seed=1))


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "cell.ome.zarr")


def held(target: Path) -> None:
    """Lock `target` for a run of another machine."""
    holder = dataclasses.replace(Holder.this_process(), host="elsewhere")
    target.parent.mkdir(parents=True, exist_ok=True)
    lock_path(target).write_text(json.dumps(dataclasses.asdict(holder)))


def test_two_real_runs_of_objects(store):
    words = ["objects", f"volume={store.path}", "name=m", "blocks=serial"]
    command = [sys.executable, "-m", "fibseg", *words]
    first = subprocess.Popen([sys.executable, "-c", SLOW, *words], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not store.runs() and time.monotonic() < deadline:
            time.sleep(0.02)
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert second.returncode == 65
    assert second.stderr.count("\n") == 1, "one clear line"
    for word in (f"process {first.pid} on {os.uname().nodename}, started 20", "labels/m"):
        assert word in second.stderr
    assert len(store.runs()) == 1, "no work was begun"

    lock = lock_path(store.path / "labels" / "m")
    assert lock.exists()
    third = subprocess.run(command, capture_output=True, text=True, check=False)
    assert third.returncode == 0, third.stderr
    assert "taken over" in third.stderr
    assert not lock.exists()
    assert store.label_names() == ["m"]


@pytest.mark.parametrize("product", ["probabilities/seen", "labels/seen"])
def test_infer_is_refused_before_any_work(store, tmp_path, product):
    model = save_model_folder(tmp_path / "model", *random_model(features=(4, 4), n_classes=1))
    held(store.path / product)
    settings = {"model": str(model), "volume": str(store.path), "name": "seen"}
    with pytest.raises(BusyError, match=rf"{product} is being written .* on elsewhere"):
        infer.run(**settings, postprocess=OBJECTS)
    assert store.runs() == []
    assert store.probability_names() == ["m"]


def test_objects_are_refused_under_the_name_that_is_made(store):
    held(store.path / "labels" / "other")
    with pytest.raises(BusyError, match="labels/other"):
        objects.run(volume=str(store.path), name="m", out="other", postprocess=OBJECTS)
    objects.run(volume=str(store.path), name="m", postprocess=OBJECTS)
    assert store.label_names() == ["m"]


def test_an_import_is_refused_before_reading(store, tmp_path):
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, random_image(SHAPE))
    held(tmp_path / "new.ome.zarr")
    image = {"source": stack, "volume": tmp_path / "new.ome.zarr", "spacing": (20, 20, 20)}
    with pytest.raises(BusyError, match=r"new\.ome\.zarr is being written"):
        ingest.run(**image, polarity="dark")
    assert not (tmp_path / "new.ome.zarr").exists()

    held(store.path / "labels" / "annotation_m")
    with pytest.raises(BusyError, match="annotation_m"):
        ingest.run(source=stack, volume=store.path, kind="annotation", name="m")
    ingest.run(source=stack, volume=store.path, kind="labels", name="m")
    assert store.label_names() == ["m"]


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_only_the_first_process_of_a_training_takes_the_lock(tmp_path, monkeypatch, rank):
    folder = tmp_path / "model"
    monkeypatch.setenv(rank, "0")
    with alone_in(folder):
        assert lock_path(folder).exists()
        monkeypatch.setenv(rank, "1")
        with alone_in(folder):
            pass
        assert lock_path(folder).exists()
    monkeypatch.setenv(rank, "0")
    held(folder)
    with pytest.raises(BusyError), alone_in(folder):
        pass
    assert not folder.exists()


def test_a_lock_beside_a_product_is_no_part_of_it(store, tmp_path):
    other = make_store(tmp_path / "other.ome.zarr")
    with locked(store.path / "labels" / "m"), locked(store.path):
        objects.run(volume=str(store.path), name="m", postprocess=OBJECTS)
    objects.run(volume=str(other.path), name="m", postprocess=OBJECTS)
    assert store.labels_info("m").digest == other.labels_info("m").digest


# --- a volume is not replaced under a run that works in it ------------------------------------

WORK = """
import sys
from fibseg.pipeline.train_folder import alone_in
from fibseg.volume import Volume
from pathlib import Path
where, volume = sys.argv[1], Path(sys.argv[2])
if where == "train":
    context = alone_in(volume.parent / "model", volumes=[volume])
else:
    context = Volume.open(volume).locked(where)
with context:
    print("at work", flush=True)
    sys.stdin.readline()
"""


def at_work(where: str, volume: Path) -> subprocess.Popen[str]:
    """A process that works in `volume` until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, where, str(volume)], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


@pytest.mark.parametrize("where", ["probabilities/seen", "labels/m", "distances/m", "train"])
def test_an_import_does_not_replace_a_volume_under_a_run(store, tmp_path, where):
    stack = tmp_path / "stack.npy"
    np.save(stack, random_image(SHAPE, seed=9))
    image = {"source": stack, "volume": store.path, "spacing": (20, 20, 20), "polarity": "dark"}
    before = store.raw_digest
    process = at_work(where, store.path)
    try:
        with pytest.raises(BusyError, match=rf"process {process.pid} on .* is working in it"):
            ingest.run(**image, overwrite=True)
        assert Volume.open(store.path).raw_digest == before
    finally:
        process.communicate("go\n")
    assert ingest.run(**image, overwrite=True)["status"] == "imported"
    assert Volume.open(store.path).raw_digest != before
    assert not list(store.path.glob(".*.lock"))


def test_a_killed_run_does_not_keep_a_volume_from_being_replaced(store, tmp_path):
    stack = tmp_path / "stack.npy"
    np.save(stack, random_image(SHAPE, seed=9))
    process = at_work("train", store.path)
    process.kill()
    process.communicate()
    assert list(store.path.glob(".reading-train-*.lock"))
    with alone_in(tmp_path / "model", volumes=[store.path]):
        pass  # the same training again takes over what the killed one left
    assert not list(store.path.glob(".reading-*"))
    image = {"source": stack, "volume": store.path, "spacing": (20, 20, 20), "polarity": "dark"}
    assert ingest.run(**image, overwrite=True)["status"] == "imported"


def test_no_run_begins_in_a_volume_that_is_being_replaced(store, tmp_path):
    held(store.path)
    objects_of = {"volume": str(store.path), "name": "m", "postprocess": OBJECTS}
    with pytest.raises(BusyError, match="is being written by"):
        objects.run(**objects_of)
    with pytest.raises(BusyError, match="is being written by"), alone_in(
        tmp_path / "model", volumes=[store.path]
    ):
        pass
    lock_path(store.path).unlink()
    assert store.label_names() == []
    assert not list(store.path.rglob(".*.lock"))
    objects.run(**objects_of)
