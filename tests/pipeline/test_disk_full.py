"""A disk that fills up at any moment: one clear error, and more room ends in the same bytes."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from inference_fakes import random_image, random_model
from small_disk import resize, run_on_small_disk
from stores import noise_store

from fibseg import postprocess
from fibseg.blocks import Processes, Serial
from fibseg.errors import DiskFullError
from fibseg.export import save_model_folder
from fibseg.pipeline import infer, ingest, objects, verify
from fibseg.volume import Volume

SHAPE = (200, 40, 40)
PAGE, ROOM = 4096, 65536
"""What the disk grows by: a page of the system, for the small files, or up to so many bytes."""
CHAIN = {
    "threshold": partial(postprocess.threshold, level=0.5),
    "remove_small": partial(postprocess.remove_small, min_voxels=2),
    "fill_holes": partial(postprocess.fill_holes),
    "components": partial(postprocess.components),
}
ERROR = re.compile(
    r"([\w: ]+: stopped after \d of \d blocks\. )?There is no room for (/\S+): "
    r"(some kilobytes|up to [\d,]+ bytes) were to be written, [\d,]+ bytes are free "
    r"\(.+\)\. Make room on that disk; the same command continues then\."
)


def make_store(path: Path) -> Volume:
    """Noise, and probabilities of 5000 small objects, whose table is larger than all else."""
    points = np.zeros(SHAPE, np.uint8)
    points[::4, ::4, ::4] = points[1::4, ::4, ::4] = 255
    return noise_store(path, shape=SHAPE, p=points)


def do(verb: str, store: Path, source: Path, runner: Serial | Processes) -> None:
    """The command that runs out of room."""
    if verb == "infer":
        infer.run(model=str(source), volume=str(store), name="m", backend="torch",
                  precision="float32", blocks=runner)
    elif verb in ("objects", "measure"):
        objects.run(volume=str(store), name="p", postprocess=CHAIN, blocks=runner)
    else:
        ingest.run(source=source, volume=store, spacing=(20, 20, 20), polarity="dark")


def do_on(disk: Path, verb: str, source: Path, workers: int, out: Path) -> list[str]:
    """Do it again and again with a little more room each time; what was said every time."""
    said = []
    runner = Processes(n_workers=workers) if workers else Serial()
    if verb != "import":
        shutil.copytree(out, disk / "store.ome.zarr")
    random = np.random.default_rng(0)
    size = shutil.disk_usage(disk).used
    while True:
        size += PAGE if len(said) < 10 else int(random.integers(PAGE, ROOM))
        resize(disk, size)
        try:
            do(verb, disk / "store.ome.zarr", source, runner)
            break
        except DiskFullError as error:
            said.append(str(error))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(disk / "store.ome.zarr", out)
    return said


CODE = """
import json, sys
from pathlib import Path
from test_disk_full import do_on
disk, verb, source, workers, out = sys.argv[1:]
print(json.dumps(do_on(Path(disk), verb, Path(source), int(workers), Path(out))))
"""


def products(store: Path) -> dict[str, bytes]:
    """Files of everything but the records of runs."""
    return {
        str(p.relative_to(store)): p.read_bytes()
        for p in store.rglob("*") if p.is_file() and p.relative_to(store).parts[0] != "runs"
    }


@pytest.mark.parametrize(
    ("verb", "workers", "hit"),
    [
        ("infer", 0, {"run.json", "0"}),
        ("infer", 2, {"run.json", "0"}),
        ("objects", 2, {"run.json", "0"}),
        ("measure", 0, {"run.json", "p.parquet"}),
        ("import", 0, {"run.json", "0"}),
    ],
)
def test_more_room_ends_in_the_same_bytes(tmp_path, verb, workers, hit):
    source = tmp_path / "source"
    if verb == "infer":
        save_model_folder(source, *random_model(features=(4, 4), n_classes=1))
    elif verb == "import":
        source = tmp_path / "stack.tif"
        tifffile.imwrite(source, random_image(SHAPE))
    calm, full = tmp_path / "calm.ome.zarr", tmp_path / "full.ome.zarr"
    if verb != "import":
        make_store(full)
        shutil.copytree(full, calm)
    do(verb, calm, source, Serial())
    if verb == "measure":
        shutil.rmtree(full)
        shutil.copytree(calm, full)
        (full / "tables" / "p.parquet").unlink()
    done = run_on_small_disk(
        CODE, verb, source, str(workers), full, disk=tmp_path / "disk",
        n_bytes=4096 if verb == "import" else 2_000_000,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) >= 5
    errors = [ERROR.fullmatch(text) for text in said]
    assert all(errors), said
    where = {Path(error[2]).name for error in errors}
    assert hit <= where, where
    assert all(error[2].startswith(str(tmp_path / "disk")) for error in errors)
    assert products(full) == products(calm)
    report = verify.run(volume=full)
    assert report.notes == []


COMMANDS = """
import json, shutil, subprocess, sys
from pathlib import Path
from small_disk import resize
disk, out = map(Path, sys.argv[1:])
shutil.copytree(out, disk / "store.ome.zarr")
command = [sys.executable, "-m", "fibseg", "objects", f"volume={disk / 'store.ome.zarr'}",
           "name=p", "blocks=processes", "blocks.n_workers=2"]
used = shutil.disk_usage(disk).used
for n_bytes in (60_000, 10_000_000):
    resize(disk, used + n_bytes)
    done = subprocess.run(command, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stderr]))
"""


def test_the_command_ends_in_one_line_and_goes_on(tmp_path):
    make_store(tmp_path / "store.ome.zarr")
    done = run_on_small_disk(
        COMMANDS, tmp_path / "store.ome.zarr", disk=tmp_path / "disk", n_bytes=2_000_000
    )
    assert done.returncode == 0, done.stderr
    (code, said), (again, rest) = map(json.loads, done.stdout.splitlines())
    assert (code, again) == (75, 0), said + rest
    assert "Traceback" not in said + rest
    assert said.count("There is no room for") == 1
    assert said.splitlines()[-1].startswith("fibseg objects: ")
