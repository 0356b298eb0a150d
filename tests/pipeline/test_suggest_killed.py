"""A suggestion that is really killed ends, typed again, in the same folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from suggested_cells import arguments, contents, model_of, painted_store

from fibseg.pipeline import suggest
from fibseg.pipeline.started import noted_regions, region_digest, started_regions
from fibseg.volume import Volume

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
NAME = "mitochondria"

STOP = """
import importlib, json, os, signal, sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from suggested_cells import arguments
from fibseg.inference import predict_views
from fibseg.pipeline import suggest
from fibseg.volume import Volume

def stopped(where, function, after, out):
    module = importlib.import_module(f"fibseg.pipeline.{where}")
    inner, calls = getattr(module, function), []

    def stop(*args, **kwargs):
        calls.append(1)
        if len(calls) > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **kwargs)

    setattr(module, function, stop)
    suggest.run(**arguments(Volume.open(sys.argv[1]), Path(sys.argv[2]), out))

for moment in json.loads(sys.argv[3]):
    child = os.fork()  # everything is loaded once, and nothing has run yet
    if child == 0:
        stopped(*moment[:3], Path(moment[3]))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MOMENTS = {
    "while planes are looked at": ("suggest_scores", "region_looks", 5),
    "before the decision is written": ("suggest_folder", "write_json", 0),
    "before it is recorded what is filled in": ("suggest_folder", "_record", 0),
    "before the first mask": ("suggest_folder", "_write_planes", 0),
    "between masks": ("paint_folder", "plane_bytes", 6),
    "before the picture": ("suggest_folder", "_figure", 0),
}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, bytes]]:
    """Model, store and the folder of a run that nobody disturbs."""
    work = tmp_path_factory.mktemp("calm")
    store = painted_store(work / "a.ome.zarr")
    model = model_of(work / "m", store)
    suggest.run(**arguments(store, model, work / "next"))
    return store.path, model, contents(work / "next")


def wait_for(found: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    begin = time.monotonic()
    while not found():
        assert process.poll() is None, "it was done before it could be killed"
        assert time.monotonic() - begin < 300, "it never began"
        time.sleep(0.001)


@pytest.fixture(scope="module")
def killed(
    calm: tuple[Path, Path, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The folder of a process that was killed, for each moment."""
    store, model, _ = calm
    work, here = tmp_path_factory.mktemp("killed"), Path(__file__).parent
    outs = {moment: work / f"next{number}" for number, moment in enumerate(MOMENTS)}
    orders = [[*MOMENTS[moment], str(out)] for moment, out in outs.items()]
    done = subprocess.run(
        [sys.executable, "-c", STOP, str(store), str(model), json.dumps(orders), str(here.parent),
         str(here.parent.parent)], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(MOMENTS), done.stderr
    return outs


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment(
    calm: tuple[Path, Path, dict[str, bytes]], killed: dict[str, Path], moment: str
) -> None:
    store, model, want = calm
    out = killed[moment]
    # Whatever is filled in, the store knows it, and so does the folder: unchanged, it is refused.
    known = {(s.z, s.digest) for s in started_regions(Volume.open(store))}
    known &= {(s.z, s.digest) for s in noted_regions(out, Volume.open(store))}
    for path in (out / NAME).glob("*.tif"):
        for z, box in _regions(want):
            if path.name == f"plane_{z:04d}.tif":
                y0, x0, y1, x1 = box
                assert (z, region_digest(tifffile.imread(path)[y0:y1, x0:x1])) in known
    suggest.run(**arguments(Volume.open(store), model, out))
    assert contents(out) == want


def _regions(want: dict[str, bytes]) -> list[tuple[int, tuple[int, int, int, int]]]:
    lines = want["suggestions.csv"].decode().splitlines()[1:]
    cells = [line.split(",") for line in lines]
    return [(int(c[0]), (int(c[3]), int(c[4]), int(c[5]), int(c[6]))) for c in cells]


def test_the_command_is_killed_and_typed_again(
    calm: tuple[Path, Path, dict[str, bytes]], tmp_path: Path
) -> None:
    store, model, want = calm
    out = tmp_path / "next"
    words = [f"{k}={v}" for k, v in arguments(Volume.open(store), model, out).items()]
    command = [sys.executable, "-m", "fibseg", "suggest", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (out / "suggestions.journal").exists(), process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    painted = out / NAME / "plane_0003.tif"  # painted meanwhile, in a mask that is yet to come
    mask = np.full((64, 80), 2, np.uint8)
    tifffile.imwrite(painted, mask)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "when painted: fibseg import" in again.stdout
    assert np.array_equal(tifffile.imread(painted), mask)
    found = contents(out)
    found[f"{NAME}/plane_0003.tif"] = want[f"{NAME}/plane_0003.tif"]
    assert found == want
