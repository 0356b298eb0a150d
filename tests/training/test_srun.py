"""The job script of the guide, with a stand-in for srun: there is no SLURM here."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from painted_cell import make_cell

from fibseg.volume import locked

GUIDE = Path(__file__).parents[2] / "docs" / "GUIDE.md"
SRUN = """
import os, subprocess, sys, time

options = [word for word in sys.argv[1:] if word.startswith("--")]
job = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2",
       "SLURM_NNODES": "2", "SLURM_LOCALID": "0"}
tasks = [
    subprocess.Popen(
        [sys.executable, "-m", *sys.argv[1 + len(options):]],
        env={**os.environ, **job, "SLURM_PROCID": n, "SLURM_NODEID": n},
    )
    for n in ("0", "1")
]
while None in [task.poll() for task in tasks]:
    if any(task.poll() for task in tasks) and "--kill-on-bad-exit=1" in options:
        for task in tasks:
            task.kill()
    time.sleep(0.1)
sys.exit(max(abs(task.returncode) for task in tasks))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the script is one for a shell")
def test_a_first_process_that_fails_ends_the_job_of_the_guide(tmp_path: Path) -> None:
    """It alone sees that another run is training into the folder; the others would wait for it."""
    (text,) = re.findall(r"```bash\n(#!/bin/bash.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    volume, out = make_cell(tmp_path / "a.ome.zarr"), tmp_path / "m"
    for old, new in (
        ("cell.ome.zarr", str(volume.path)), ("out=models/mitochondria", f"out={out}"),
        ("trainer=ddp trainer.devices=4", "trainer=ddp trainer.accelerator=cpu trainer.devices=1"),
        ("data.batch=64", "data.batch=4 data.patch=32 data.gap_nm=40"),
    ):
        assert old in text
        text = text.replace(old, new)
    folder = tmp_path / "bin"
    folder.mkdir()
    script, stand_in = tmp_path / "job.sh", folder / "srun"
    script.write_text(text)
    (folder / "srun.py").write_text(SRUN)
    stand_in.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$0.py" "$@"\n')
    stand_in.chmod(0o755)
    with locked(out):
        done = subprocess.run(
            ["bash", str(script)], capture_output=True, text=True, check=False, timeout=240,
            env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
                 "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    assert done.returncode, done.stdout
    assert "is being written by process" in done.stderr
    assert not out.exists()
