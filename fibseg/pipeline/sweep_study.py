"""The search itself, by Optuna: what to try next, what to end early, kept in a file for many.

All that is known of a sweep is in its journal, to which any number of processes append. Who works
at a trial holds its lock; a trial that runs and whose lock nobody alive holds is taken over. What a
trial tries depends on the seed, its number and what is known by then, not on who asks.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from fibseg.errors import BusyError
from fibseg.pipeline.sweep_folder import trial_lock
from fibseg.pipeline.sweep_space import Dimension
from fibseg.volume import locked

JOURNAL, NAME = "study.journal", "sweep"
WAIT_S = 120.0
"""Others hold the lock of the queue for a moment only."""
FIRST_DRAWN = 6
"""Trials before the search learns from them, and before any is ended early."""
LOOKS_FIRST = 2
"""Looks at a trial before it may be ended: the first comes while the rate still rises."""
STATES = {
    TrialState.COMPLETE: "done", TrialState.PRUNED: "ended early", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running", TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Tried:
    """What is known of a trial.

    Attributes
    ----------
    number
        From 0, which has the settings without a sweep.
    state
        ``done``, ``ended early``, ``failed`` or ``running``.
    params
        Values by key, as typed.
    score
        Validation IoU when it was done.
    looks
        IoU by number of the look, while it ran.
    seconds
        From first to last, pauses included.
    reason
        Why it failed.
    """

    number: int
    state: str
    params: dict[str, Any] = field(default_factory=dict)
    score: float | None = None
    looks: dict[int, float] = field(default_factory=dict)
    seconds: float | None = None
    reason: str = ""


class Study:
    """A sweep's journal in `folder`, shared with every process that opens it.

    Parameters
    ----------
    folder
        Of the sweep.
    dimensions
        What is searched.
    seed
        Of what is tried.
    prune
        Whether trials are ended early.
    """

    def __init__(
        self, folder: Path, dimensions: Sequence[Dimension], *, seed: int, prune: bool
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self.folder, self.dimensions, self.seed = folder, tuple(dimensions), seed
        # Optuna's own way of a lock through a link waits for ever beside a relative path.
        path = str((folder / JOURNAL).absolute())
        lock = JournalFileOpenLock(path)
        mend(Path(path), lock)
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if prune:
            pruner = optuna.pruners.MedianPruner(FIRST_DRAWN, LOOKS_FIRST)
        storage = JournalStorage(JournalFileBackend(path, lock))
        with self._queue():
            if NAME not in optuna.get_all_study_names(storage):
                optuna.create_study(storage=storage, study_name=NAME, direction="maximize")
        self._study = optuna.load_study(study_name=NAME, storage=storage, pruner=pruner)
        self._owned: dict[int, ExitStack] = {}

    def claim(self, n_trials: int) -> Tried | None:
        """A trial to work at: one that was left, or a new one while there are less than `n_trials`.

        None if there is nothing to do, or others do it.
        """
        with self._queue():
            known = self._study.get_trials(deepcopy=False)
            for trial in known:
                running = trial.state == TrialState.RUNNING and trial.number not in self._owned
                if running and self._own(trial.number):
                    return self._drawn(Trial(self._study, trial._trial_id))
            if sum(t.state != TrialState.WAITING for t in known) >= n_trials:
                return None
            if not known:
                self._study.enqueue_trial({
                    d.key: _stored(d, d.default)
                    for d in self.dimensions if d.contains(d.default)
                })
            asked = self._study.ask()
            if not self._own(asked.number):
                raise BusyError(f"trial {asked.number} of {self.folder} is locked by another run.")
            return self._drawn(asked)

    def look(self, number: int, at: int, score: float) -> bool:
        """Note the score of a trial at a look; whether it should be ended."""
        trial = self._trial(number)
        trial.report(score, at)
        return number > 0 and trial.should_prune()

    def done(self, number: int, score: float) -> None:
        """Close a trial that came to its end."""
        self._study.tell(number, score, skip_if_finished=True)
        self.let_go(number)

    def ended_early(self, number: int) -> None:
        """Close a trial that was not worth its end."""
        self._study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
        self.let_go(number)

    def failed(self, number: int, reason: str) -> None:
        """Close a trial that came to nothing."""
        self._trial(number).set_user_attr("reason", reason)
        self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        self.let_go(number)

    def let_go(self, number: int) -> None:
        """Leave a trial to others, or to a later run."""
        self._owned.pop(number).close()

    def tried(self) -> list[Tried]:
        """All trials, by number."""
        known = self._study.get_trials(deepcopy=False)
        return [self._told(t) for t in known if t.state != TrialState.WAITING]

    def importance(self) -> dict[str, float]:
        """Share of each setting in what makes good trials differ from others, largest first.

        PED-ANOVA of Watanabe et al. (IJCAI 2023). Empty of fewer than four trials that were done,
        or where all scored the same.
        """
        done = [t for t in self._study.get_trials(deepcopy=False)
                if t.state == TrialState.COMPLETE]
        scores = {t.value for t in done}
        if len(done) < 4 or len(scores) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optuna.importance.get_param_importances(self._study)
        return {k: float(v) for k, v in found.items() if math.isfinite(v)}

    def _queue(self) -> Any:
        """Context in which no other process takes a trial."""
        return locked(self.folder / "queue", wait_s=WAIT_S)

    def _own(self, number: int) -> bool:
        """Whether the trial is now this process's."""
        stack = ExitStack()
        try:
            stack.enter_context(locked(self.folder / trial_lock(number)))
        except BusyError:
            return False
        self._owned[number] = stack
        return True

    def _trial(self, number: int) -> Trial:
        """Optuna's handle of a trial."""
        known = self._study.get_trials(deepcopy=False)
        return Trial(self._study, known[number]._trial_id)

    def _drawn(self, trial: Trial) -> Tried:
        """The trial with a value of each dimension; of the very first only those that can be."""
        entropy = np.random.SeedSequence((self.seed, trial.number))
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=FIRST_DRAWN, seed=int(entropy.generate_state(1)[0]),
            multivariate=False, constant_liar=True,
        )
        for d in self.dimensions:
            if trial.number or d.contains(d.default):
                _suggest(trial, d)
        return self._told(self._trial_state(trial))

    def _trial_state(self, trial: Trial) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[trial.number]

    def _told(self, trial: FrozenTrial) -> Tried:
        """A trial of Optuna in our words."""
        by_key = {d.key: d for d in self.dimensions}
        took = trial.duration
        return Tried(
            trial.number, STATES[trial.state],
            {k: _read(by_key[k], v) for k, v in trial.params.items() if k in by_key},
            score=trial.value if trial.state == TrialState.COMPLETE else None,
            looks=dict(trial.intermediate_values),
            seconds=None if took is None else took.total_seconds(),
            reason=str(trial.user_attrs.get("reason", "")),
        )


def mend(journal: Path, lock: JournalFileOpenLock) -> None:
    """Take the torn last line away that a kill left in a journal: the next would be joined to it.

    Parameters
    ----------
    journal
        May not be there yet.
    lock
        That of all who append.
    """
    if not journal.exists():
        return
    lock.acquire()
    try:
        with journal.open("r+b") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
    finally:
        lock.release()


def _suggest(trial: Trial, dimension: Dimension) -> None:
    """Draw a value for the trial; what it has already stays."""
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.choices:
        trial.suggest_categorical(dimension.key, dimension.labels)
    elif dimension.whole:
        trial.suggest_int(dimension.key, int(low), int(high), log=log)
    else:
        trial.suggest_float(dimension.key, low, high, log=log)


def _stored(dimension: Dimension, value: Any) -> Any:
    """A value as Optuna keeps it."""
    return json.dumps(value) if dimension.choices else value


def _read(dimension: Dimension, stored: Any) -> Any:
    """A value as it is typed."""
    return json.loads(stored) if dimension.choices else dimension.rounded(stored)
