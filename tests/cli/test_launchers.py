"""Multiruns whose jobs run in processes of launchers: joblib, submitit here, submitit in SLURM."""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fibseg.cli import main

SBATCH = """#!/bin/sh
# Runs the two tasks of an array job from the script it is given, in the background as SLURM does.
for last in "$@"; do :; done
cp "$last" {folder}/job.sh
export SLURM_ARRAY_JOB_ID=7 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
export SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here
for task in 0 1; do
    export SLURM_JOB_ID=7$task SLURM_ARRAY_TASK_ID=$task
    setsid sh {folder}/job.sh > {folder}/log-$task 2>&1 &
done
echo Submitted batch job 7
"""
SRUN = """#!/bin/sh
# Leaves its own options out and runs the command.
while [ "${1#-}" != "$1" ]; do
    case "$1" in --unbuffered) shift;; *) shift 2;; esac
done
exec "$@"
"""
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
echo '7_0|RUNNING|here'
echo '7_1|RUNNING|here'
"""


def multirun(
    folder: Path, *words: str, shapes: str = "[8,32,32]"
) -> subprocess.CompletedProcess[str]:
    """Two phantoms."""
    return subprocess.run(
        [sys.executable, "-m", "fibseg", "phantom", "-m", "out=my cells", f"shape={shapes}",
         "seed=1,2", "pores=false", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=50,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )


@pytest.mark.parametrize("words", [
    ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), ("hydra/launcher=submitit_local",),
])
def test_jobs_in_other_processes_do_the_same(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = multirun(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for number in "01":
        assert (tmp_path / "my cells" / number / "truth_mitochondria.tif").is_file()
    assert not (tmp_path / "my cells" / ".exit_codes").exists()


def test_the_worst_exit_code_comes_back_from_other_processes(tmp_path: Path) -> None:
    done = multirun(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", shapes="[8,32]")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("fibseg phantom: shape") == 2


def test_slurm_is_asked_for_what_was_configured_and_runs_every_job(tmp_path: Path) -> None:
    """With stand-ins for sbatch, srun and sacct, which run the job script."""
    programs = {"sbatch": SBATCH.replace("{folder}", str(tmp_path)), "srun": SRUN, "sacct": SACCT}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    done = multirun(
        tmp_path, "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu",
        "hydra.launcher.timeout_min=5",
    )
    logs = "".join(p.read_text() for p in tmp_path.glob("log-*"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    for number in "01":
        assert (tmp_path / "my cells" / number / "truth_mitochondria.tif").is_file()
    assert "#SBATCH --partition=gpu" in (tmp_path / "job.sh").read_text()


def test_a_launcher_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if "submitit" in n else find(n)
    )
    words = [f"out={tmp_path}/m", "seed=1,2", "hydra/launcher=submitit_slurm"]
    assert main(["phantom", "-m", *words]) == 2
    assert "pip install -c constraints.txt -e '.[cluster]'" in capsys.readouterr().err
    assert main(["phantom", "-m", "seed=1,2"]) == 2
    assert "Missing: out=" in capsys.readouterr().err
