"""``fibseg distribution`` killed at any moment and run again leaves the table of a calm run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest
from pore_stores import pore_store

from fibseg.cli import main
from fibseg.volume import Volume

STOPPING = """
import sys, time
from pathlib import Path
from fibseg.cli import main
from fibseg.pipeline import distribution
from fibseg.pipeline.envelope_mesh import EnvelopeBlocks
from fibseg.volume import Volume
from fibseg.volume.runs import Run

moment, marker = sys.argv[1:3]

def here(*a, **k):
    Path(marker).touch()
    time.sleep(600)

def after(function):
    def both(*a, **k):
        function(*a, **k)
        here()
    return both

if moment == "second block of the envelope":
    quick, calls = EnvelopeBlocks.__call__, []
    def block(*a, **k):
        calls.append(1)
        return quick(*a, **k) if len(calls) == 1 else here()
    EnvelopeBlocks.__call__ = block
elif moment == "measuring":
    distribution.distribution = here
elif moment == "before the table":
    Volume.write_table = here
elif moment == "after the table":
    Volume.write_table = after(Volume.write_table)
elif moment == "before the record ends":
    Run.finish = here
sys.exit(main(sys.argv[3:]))
"""
MOMENTS = (
    "second block of the envelope", "measuring", "before the table", "after the table",
    "before the record ends",
)


def words(path):
    return ["distribution", f"volume={path}", "objects=pores", "on=nucleus", "blocks=serial",
            "spreading.n_simulations=19", "sections.n_draws=99"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return pore_store(tmp_path_factory.mktemp("fresh") / "cell.ome.zarr", 40).path


@pytest.fixture(scope="module")
def calm(fresh, tmp_path_factory):
    """Bytes of the table after a run that nobody disturbed."""
    path = shutil.copytree(fresh, tmp_path_factory.mktemp("calm") / "cell.ome.zarr")
    assert main(words(path)) == 0
    return (path / "tables" / "pores.parquet").read_bytes()


def kill_at(moment, path, marker):
    command = [sys.executable, "-c", STOPPING, moment, str(marker), *words(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not marker.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert marker.exists()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again_it_leaves_the_same_table(fresh, calm, tmp_path, moment):
    path = shutil.copytree(fresh, tmp_path / "cell.ome.zarr")
    kill_at(moment, path, tmp_path / "marker")
    table = path / "tables" / "pores.parquet"
    if MOMENTS.index(moment) < MOMENTS.index("after the table"):
        assert not table.exists()
    else:
        assert table.read_bytes() == calm
    assert main(words(path)) == 0
    assert table.read_bytes() == calm
    left = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    assert not [name for name in left if "journal" in name or "partial" in name or "lock" in name]
    assert not [name for name in left if "scratch" in name]
    store = Volume.open(path)
    assert main(["verify", f"volume={path}"]) == 0
    ends = [r["status"] for r in store.runs() if r["verb"] == "distribution"]
    assert len(ends) in (1, 2)
    if moment not in ("after the table", "before the record ends"):
        assert ends[-1] == "done"


def test_killed_in_the_second_of_several_cells_the_first_is_not_done_again(
    fresh, calm, tmp_path, capsys
):
    paths = [shutil.copytree(fresh, tmp_path / f"{k}.ome.zarr") for k in "ab"]
    assert main(words(paths[0])) == 0
    kill_at("measuring", paths[1], tmp_path / "marker")
    several = [*words(f"[{paths[0]},{paths[1]}]"), f"out={tmp_path / 'out'}"]
    assert main(several) == 0
    assert capsys.readouterr().err.count("is there already") == 1
    for path in paths:
        assert (path / "tables" / "pores.parquet").read_bytes() == calm
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert main(several) == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
