"""``fibseg sweep``: trials of a training with other settings, the best of them, and what it gains.

Settings are chosen by planes held out of the training (validation); the gain is measured on planes
that no trial saw (test). Every trial is a ``fibseg train`` of its own.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fibseg.blocks import Runner
from fibseg.blocks.interrupt import Interrupt
from fibseg.data import SparseData
from fibseg.errors import FibsegError, InterruptedRunError, UsageError
from fibseg.models import NetworkSpec
from fibseg.pipeline.steps import Step
from fibseg.pipeline.sweep_folder import TRIALS, begin_sweep
from fibseg.pipeline.sweep_plan import SweepPlan, plan_sweep
from fibseg.pipeline.sweep_result import SweepSummary, finish
from fibseg.pipeline.sweep_space import typed
from fibseg.pipeline.sweep_trial import Trial, validation_score
from fibseg.training import TrainerSettings

if TYPE_CHECKING:
    from fibseg.pipeline.sweep_study import Study, Tried

logger = logging.getLogger("fibseg.sweep")
POLL_S = 0.2
LOOK_AROUND_S = 5.0
"""How often a process with nothing to begin looks whether another one has died."""


def run(
    *, volume: str | Sequence[str], annotation: str | Sequence[str], out: str,
    network: NetworkSpec, data: SparseData, trainer: TrainerSettings, space: Mapping[str, Any],
    n_trials: int = 20, n_workers: int = 1, test_planes: Sequence[Any] | None = None,
    prune: bool = True, name: str | None = None, seed: int = 0, blocks: Runner | None = None,
    overwrite: bool = False, overrides: Sequence[str] = (),
) -> SweepSummary:
    """Try settings, and write the best as an experiment with a page; returns what came of it.

    The same command again goes on where it was stopped, joins in while another process is at it,
    and does nothing once all is done.

    Parameters
    ----------
    volume, annotation, network, data, trainer, seed, blocks
        As for `fibseg.pipeline.train.run`: the settings of the first trial.
    out
        Folder of the sweep; trials are ``out/trials/NNN``.
    space
        What is searched, see `fibseg.pipeline.sweep_space.read_space`.
    n_trials, n_workers
        Trials in all, and at a time in this process.
    test_planes
        Painted planes that no trial sees; one part in ``data.folds`` if None, none if empty.
    prune
        End trials that are worse than half of those before them.
    name
        Of the experiment file.
    overwrite
        Throw away a sweep of other settings or data.
    overrides
        What was typed: trials are told the same.

    Raises
    ------
    UsageError
        If something cannot be meant, or Optuna is not installed.
    DataError
        If the painting cannot be shared out, or no trial came to its end.
    ExistsError
        If `out` holds another sweep.
    InterruptedRunError
        If stopped by a signal; the trials are saved.
    """
    plan = plan_sweep(
        volume=volume, annotation=annotation, out=out, network=network, data=data, trainer=trainer,
        space=space, n_trials=n_trials, n_workers=n_workers, test_planes=test_planes, prune=prune,
        name=name, seed=seed, blocks=blocks, overrides=overrides,
    )
    study_class = _needing_optuna()
    begin_sweep(plan.folder, plan.record, overwrite=overwrite)
    study: Study = study_class(plan.folder, plan.dimensions, seed=seed, prune=prune)
    with Interrupt() as interrupt:
        work(plan, study, interrupt)
    return finish(plan, study)


def planned(**parts: Any) -> list[Step]:
    """The plan of a dry run: one trial, rehearsed for all of them."""
    overrides = parts["overrides"]
    plan = plan_sweep(**{k: v for k, v in parts.items() if k != "overwrite"})
    _needing_optuna()
    kept = ("volume", "annotation", "out", "network", "data", "trainer", "seed", "blocks")
    small = {key: parts[key] for key in kept if key in parts}
    counts = {"n_trials": plan.n_trials, "n_workers": plan.n_workers}
    return [Step("sweep", "trials", small | counts, None, list(overrides), "sweep_rehearsal")]


def work(plan: SweepPlan, study: Study, interrupt: Interrupt) -> None:
    """Run trials until none is left that this process could begin or take over.

    Raises
    ------
    InterruptedRunError
        If asked to stop: the trials save, and stay to be gone on with.
    """
    running: list[Trial] = []
    looked = -LOOK_AROUND_S
    try:
        while not interrupt.requested:
            free = len(running) < plan.n_workers
            if free and time.monotonic() - looked >= LOOK_AROUND_S:
                looked = time.monotonic()
                while len(running) < plan.n_workers and (found := study.claim(plan.n_trials)):
                    running.append(_begin(plan, found))
            if not running:
                return
            time.sleep(POLL_S)
            for trial in [t for t in running if not _goes_on(plan, study, t)]:
                running.remove(trial)
                looked = -LOOK_AROUND_S
    finally:
        for trial in running:
            trial.ask_to_stop()
        for trial in running:
            trial.stop()
            study.let_go(trial.number)
    raise InterruptedRunError(
        f"The sweep was stopped with {len(running)} trial{'s' * (len(running) != 1)} at work, "
        "which are saved. The same command goes on."
    )


def _begin(plan: SweepPlan, found: Tried) -> Trial:
    """A trial with its command."""
    words = plan.trial_words(found.params)
    folder = plan.folder / TRIALS / f"{found.number:03d}"
    said = ", ".join(f"{key} {typed(value)}" for key, value in found.params.items())
    logger.info("trial %d of %d: %s", found.number, plan.n_trials, said)
    trial = Trial(
        found.number, folder, words, plan.threads, plan.parts["trainer"].n_pictures
    )
    trial.looked = max(found.looks, default=0)
    return trial


def _goes_on(plan: SweepPlan, study: Study, trial: Trial) -> bool:
    """Whether a trial still runs; if not, it is closed."""
    code = trial.poll()
    bad = [study.look(trial.number, at, score) for at, score in trial.new_looks()]
    if code is None and plan.prune and any(bad):
        trial.ask_to_stop()
        trial.stop()
        logger.info("trial %d ended early, at look %d", trial.number, trial.looked)
        study.ended_early(trial.number)
        return False
    if code is None:
        return True
    _close(plan, study, trial, code)
    return False


def _close(plan: SweepPlan, study: Study, trial: Trial, code: int) -> None:
    """Take the score of a trial that has ended; whatever went wrong with it is noted."""
    score, reason = None, trial.reason() if code else "its IoU is undefined"
    if code == 0:
        try:
            score = validation_score(trial.model, by_looks=plan.in_space)
        except FibsegError as error:
            reason = str(error)
    if score is None:
        logger.warning("trial %d failed (exit code %d): %s", trial.number, code, reason)
        study.failed(trial.number, reason)
    else:
        logger.info("trial %d: validation IoU %.3f", trial.number, score)
        study.done(trial.number, score)


def _needing_optuna() -> type[Study]:
    """The class that searches, which is the one to import Optuna.

    Raises
    ------
    UsageError
        If the extra is not installed.
    """
    try:
        module = importlib.import_module("fibseg.pipeline.sweep_study")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"fibseg sweep needs {error.name}, which is not installed. Install it with "
            "pip install -c constraints.txt -e '.[sweep]'."
        ) from error
    found: type[Study] = module.Study
    return found
