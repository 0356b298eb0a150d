"""What a sweep is going to do: its settings, its planes, the command of each trial."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner, usable_cores
from fibseg.data import (
    ObliqueData,
    Reserved,
    SparseData,
    choose_reserved,
    load_planes,
    painting_digest,
    split_planes,
)
from fibseg.errors import UsageError
from fibseg.models import NetworkSpec
from fibseg.pipeline.sweep_space import Dimension, plain, read_space, setting, typed
from fibseg.pipeline.train_data import open_sources, shared_classes
from fibseg.training import TrainerSettings, training_device
from fibseg.volume import Volume

GROUPS = ("network", "data", "trainer")
OWN = {"space", "sweep@space", "n_trials", "n_workers", "test_planes", "prune", "name", "overwrite",
       "out", "dry_run"}
"""Keys of a sweep that a training does not have."""
NAME = re.compile(r"[A-Za-z0-9][\w\-]*", re.ASCII)


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, checked.

    Attributes
    ----------
    folder, name
        Where it is kept; of the experiment file that it makes.
    words
        What was typed and holds for all trials.
    parts
        Settings without the sweep, by group.
    dimensions
        What is searched.
    stores
        Volumes that are trained on.
    reserved, held_out
        Planes of each for the test and for the validation; empty where the split is another.
    seed, n_trials, n_workers, prune
        As given.
    record
        What makes it this sweep and no other, plain data.
    """

    folder: Path
    name: str
    words: tuple[str, ...]
    parts: dict[str, Any]
    dimensions: tuple[Dimension, ...]
    stores: tuple[Volume, ...]
    reserved: Reserved
    held_out: Reserved
    seed: int
    n_trials: int
    n_workers: int
    prune: bool
    record: dict[str, Any]

    @property
    def in_space(self) -> bool:
        """Whether validation and test are parts of the space, each of its own."""
        return isinstance(self.parts["data"], ObliqueData)

    @property
    def tested(self) -> list[str]:
        """Stores with planes that no trial sees."""
        if self.in_space:
            return [str(s.path) for s in self.stores]
        both = zip(self.stores, self.reserved, strict=True)
        return [str(s.path) for s, planes in both if planes]

    @property
    def threads(self) -> int:
        """Of each trial, so that all of them use the cores of this process once."""
        wanted = self.parts["trainer"].threads
        return int(wanted or max(1, usable_cores() // self.n_workers))

    def trial_words(self, params: Mapping[str, Any]) -> list[str]:
        """What a trial's training is told, ``out=`` excepted.

        Parameters
        ----------
        params
            Values by key.
        """
        by_key = {d.key: d for d in self.dimensions}
        kept = [w for w in self.words if key_of(w) not in params]
        words = [*kept, *(by_key[key].word(value) for key, value in params.items())]
        if any(self.held_out) and self.parts["data"].fold is not None:
            words = [*(w for w in words if key_of(w) != "data.fold"), "data.fold=null"]
        for key, planes in (("held_out", self.held_out), ("reserved", self.reserved)):
            if any(planes):
                words.append(f"data.{key}={typed([list(p) for p in planes])}")
        if self.parts["trainer"].threads is None:
            words.append(f"trainer.threads={self.threads}")
        return words


def plan_sweep(
    *, volume: str | Sequence[str], annotation: str | Sequence[str], out: str,
    network: NetworkSpec, data: SparseData, trainer: TrainerSettings, space: Mapping[str, Any],
    n_trials: int, n_workers: int, test_planes: Sequence[Any] | None, prune: bool,
    name: str | None, seed: int, blocks: Runner | None, overrides: Sequence[str],
) -> SweepPlan:
    """Everything that `fibseg.pipeline.sweep.run` was given, checked before any work.

    Raises
    ------
    UsageError
        If something cannot be meant.
    DataError
        If the painting cannot be shared among training, validation and test.
    """
    if seed < 0:
        raise UsageError(f"seed={seed} is below 0. Use 0 or more.")
    _door(data, trainer, n_trials, n_workers, prune, overrides)
    parts: dict[str, Any] = {"network": network, "data": data, "trainer": trainer}
    dimensions = read_space(space, parts, planes=data.split == "planes")
    listed = [str(volume)] if isinstance(volume, (str, Path)) else [str(v) for v in volume]
    stores, names = open_sources(listed, annotation, data)
    reserved, held_out = _planes(stores, names, data, network.context, test_planes, blocks)
    settings = {
        **{group: asdict(part) for group, part in parts.items()}, "seed": seed, "prune": prune,
        "space": {d.key: d.text() for d in dimensions},
        "planes": {"reserved": reserved, "held_out": held_out},
    }
    sources = [
        {"name": v.name, "raw_digest": v.raw_digest, "annotation": n,
         "annotation_digest": painting_digest(v, n)} for v, n in zip(stores, names, strict=True)
    ]
    return SweepPlan(
        Path(out), experiment_name(name, Path(out), overrides),
        tuple(w for w in overrides if key_of(w) not in OWN and not key_of(w).startswith("space.")),
        parts, dimensions, tuple(stores), reserved, held_out, seed, n_trials, n_workers, prune,
        json.loads(json.dumps({"settings": settings, "sources": sources})),
    )


def _door(
    data: SparseData, trainer: TrainerSettings, n_trials: int, n_workers: int, prune: bool,
    overrides: Sequence[str],
) -> None:
    """Refuse what cannot be meant."""
    training_device(trainer)
    if n_trials < 1 or n_workers < 1:
        raise UsageError(f"n_trials={n_trials}, n_workers={n_workers}: use 1 or more of each.")
    if data.split == "none":
        raise UsageError("data.split=none holds nothing out by which settings could be chosen.")
    if data.reserved or data.held_out:
        raise UsageError(
            "data.reserved and data.held_out are set by the sweep. Name planes with test_planes=…"
        )
    looks = trainer.n_pictures
    if looks == 0 and (prune or isinstance(data, ObliqueData)):
        raise UsageError(
            "trainer.n_pictures=0: a trial shows how good it is where it draws pictures. Use 1 or "
            "more, or prune=false."
        )
    if not overrides:
        raise UsageError(
            "overrides are missing: trials are commands, and these are what all of them are told."
        )


def _planes(
    stores: Sequence[Volume], names: Sequence[str], data: SparseData, context: int,
    test_planes: Sequence[Any] | None, runner: Runner | None,
) -> tuple[Reserved, Reserved]:
    """Planes for the test and for the validation; also says whether all can be shared."""
    none: Reserved = ((),) * len(stores)
    if isinstance(data, ObliqueData):
        if test_planes is not None:
            raise UsageError(
                "test_planes: rotated planes have a part of the space for the test. Leave it out."
            )
        return none, none
    classes = shared_classes(stores, names)
    stacks = load_planes(stores, names, data=data, context=context, runner=runner)
    if test_planes is None:
        test_planes = choose_reserved(stacks, classes, data)
    data = replace(data, reserved=test_planes)
    split = split_planes(stacks, classes, data, context=context)
    held = tuple(
        tuple(sorted({h.z for h in split.held_out if h.store == store}))
        for store in range(len(stores))
    )
    return split.reserved, held if data.split == "planes" else none


def key_of(word: str) -> str:
    """Key of ``key=value``, without the signs that add or remove it."""
    return word.partition("=")[0].lstrip("+~")


def experiment_name(name: str | None, out: Path, overrides: Sequence[str]) -> str:
    """Name of the experiment file.

    Raises
    ------
    UsageError
        If it cannot be one, or is that of the experiment that the sweep starts from.
    """
    if name is None:
        name = "best_of_" + re.sub(r"[^A-Za-z0-9_\-]", "_", out.absolute().name)
    if NAME.fullmatch(name) is None:
        raise UsageError(f"name={name!r}: use letters, digits, '_' and '-', e.g. my_best.")
    if f"experiment={name}" in overrides:
        raise UsageError(f"name={name} is the experiment that the sweep starts from. Use another.")
    return name


def base_settings(plan: SweepPlan) -> dict[str, Any]:
    """Settings of network, data and trainer that were typed for all trials, by key."""
    found = {}
    for word in plan.words:
        key = key_of(word)
        if key.split(".")[0] in GROUPS and "." in key and key != "trainer.threads":
            try:
                found[key] = plain(setting(plan.parts, key))
            except AttributeError:  # a group of settings at once
                node: Any = plan.parts
                for part in key.split("."):
                    node = node[part] if isinstance(node, dict) else getattr(node, part)
                found[key] = {k: plain(v) for k, v in asdict(node).items()}
    return found
