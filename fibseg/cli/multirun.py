"""``fibseg VERB -m key=a,b``: an ordinary Hydra multirun; its jobs may run here or on a cluster.

Launchers send a job to other processes by the name of its function, so it is one of this module
and finds all it needs in the config. Its exit code comes back as a file in ``out/.exit_codes``.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fibseg.cli.grammar import quote_overrides
from fibseg.errors import FibsegError, InterruptedRunError, UsageError

CODES = ".exit_codes"
PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
}
"""Launchers that are packages of their own."""


def multirun(verb: str, arguments: list[str]) -> int:
    """Worst exit code of all jobs; job N writes to ``out/N``.

    Raises
    ------
    UsageError
        If a key is not there, the verb has no ``out=``, or a launcher is not installed.
    """
    import hydra

    from fibseg.cli.compose import check_keys, compose_verb, conf_dir, search_path_override

    known = compose_verb(verb, [])
    check_keys(arguments, known)
    if "out" not in [*known]:  # a required key is not `in` a DictConfig
        raise UsageError(f"A multirun writes to out/N, but {verb} has no out=. Run it N times.")
    folder = _codes_of(verb, arguments)
    _refuse_missing_launcher(arguments)
    sweep = ["hydra.sweep.dir=${out}", "hydra.sweep.subdir=${hydra.job.num}"]
    quiet = ["hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    shutil.rmtree(folder, ignore_errors=True)
    before = sys.argv
    sys.argv = [
        f"fibseg {verb}",
        "--multirun",
        *quote_overrides(arguments, sweep=True),
        *search_path_override(),
        *sweep,
        *quiet,
    ]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=verb)(job)()
    finally:
        sys.argv = before
    codes = [int(path.read_text()) for path in folder.glob("*")]
    shutil.rmtree(folder, ignore_errors=True)
    return max(codes, default=0)


def job(config: Any) -> None:
    """One job of a multirun; its exit code is kept in a file.

    Parameters
    ----------
    config
        As Hydra composed it, with its own node as `HydraConfig`.
    """
    from hydra.core.hydra_config import HydraConfig

    from fibseg.cli.compose import resolved
    from fibseg.cli.main import complain, log_to_stderr, run_config

    meta = HydraConfig.get()
    verb, words = str(meta.job.config_name), list(meta.overrides.task)
    folder = Path(str(meta.sweep.dir)) / CODES
    log_to_stderr()  # the process may be a new one
    try:
        _refuse_after_a_stop(folder, str(meta.launcher.get("_target_", "")))
        own = resolved(config)
        _refuse_several_processes(own)
        own["out"] = f"{own['out']}/{meta.job.num}"
        code = run_config(verb, own, words)
    except FibsegError as error:
        code = complain([verb, *words], str(error), error.exit_code)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(meta.job.num)).write_text(str(code), encoding="ascii")


def _refuse_after_a_stop(codes: Path, launcher: str) -> None:
    """A signal to one of jobs that run one after another is meant for all that would follow."""
    stopped = str(InterruptedRunError.exit_code)
    if launcher.endswith("BasicLauncher") and any(
        path.read_text(encoding="ascii") == stopped for path in codes.glob("*")
    ):
        raise InterruptedRunError("Not begun, as a job before it was stopped.")


def _codes_of(verb: str, arguments: Sequence[str]) -> Path:
    """Folder of the exit codes."""
    from fibseg.cli.compose import compose_verb

    given = [a for a in arguments if a.startswith("out=")]
    if not given:
        raise UsageError("Missing: out=…: job N of a multirun writes to out/N.")
    return Path(str(compose_verb(verb, given).out)) / CODES


def _refuse_missing_launcher(arguments: Sequence[str]) -> None:
    """Hydra itself would only list what there is."""
    for argument in arguments:
        key, _, name = argument.partition("=")
        if key != "hydra/launcher" or name not in PLUGINS:
            continue
        parent, _, _ = PLUGINS[name].rpartition(".")
        found = importlib.util.find_spec(parent) and importlib.util.find_spec(PLUGINS[name])
        if not found:
            raise UsageError(
                f"hydra/launcher={name} needs {PLUGINS[name].rpartition('.')[2]}, which is not "
                "installed. Install it with pip install -c constraints.txt -e '.[cluster]'."
            )


def _refuse_several_processes(config: Mapping[str, Any]) -> None:
    """Each further process repeats the command: of a multirun it would repeat every job."""
    trainer = config.get("trainer", {})
    n = trainer.get("devices", 1) * trainer.get("num_nodes", 1)
    if n != 1:
        raise UsageError(
            f"A multirun with {n} processes (trainer.devices x trainer.num_nodes) is not possible. "
            "Set trainer.devices=1, or run one command for each setting."
        )
