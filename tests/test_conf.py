"""Every file of conf composes, every part can be built, and targets stay in their rooms."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml

from fibseg.cli.compose import build_parts, compose_verb, conf_dir, resolved
from fibseg.cli.grammar import SHORT
from fibseg.cli.verbs import VERBS

CONF = Path(__file__).parent.parent / "conf"
REQUIRED = {
    "volume": "a.ome.zarr",
    "annotation": "a",
    "out": "m",
    "model": "m",
    "name": "a",
    "source": "s",
    "labels": "a",
    "objects": "a",
    "max_nm": "500",
    "format": "onnx",
    "cells": "cells.yaml",
}
SHORT_OF = {long.partition("@")[0]: long for long in SHORT.values()}
HOMES = {
    "network": "fibseg.models",
    "data": "fibseg.data",
    "trainer": "fibseg.training",
    "postprocess": "fibseg.postprocess",
    "blocks": "fibseg.blocks",
    "measure": "fibseg.measure",
}


def arguments(verb: str, *extra: str) -> list[str]:
    needed = yaml.safe_load((CONF / f"{verb}.yaml").read_text())
    return [f"{k}={REQUIRED[k]}" for k, v in needed.items() if v == "???"] + list(extra)


def group_files() -> list[tuple[str, str]]:
    return [(p.parent.name, p.stem) for p in sorted(CONF.glob("*/*.yaml"))]


def users_of(group: str) -> list[str]:
    """Verbs whose defaults list offers a group."""
    offers = re.compile(rf"^\s*-\s+(?:optional\s+)?{SHORT_OF.get(group, group)}:", re.MULTILINE)
    return [v for v in VERBS if offers.search((CONF / f"{v}.yaml").read_text())]


@pytest.mark.parametrize("verb", list(VERBS))
def test_the_defaults_of_every_verb_build_their_parts(verb: str) -> None:
    build_parts(resolved(compose_verb(verb, arguments(verb))))


@pytest.mark.parametrize(("group", "choice"), group_files())
def test_every_choice_of_every_group_builds(group: str, choice: str) -> None:
    verbs = users_of(group)
    assert verbs, f"no verb offers conf/{group}"
    for verb in verbs:
        typed = {long: short for short, long in SHORT.items()}.get(SHORT_OF.get(group, ""), group)
        build_parts(resolved(compose_verb(verb, arguments(verb, f"{typed}={choice}"))))


@pytest.mark.parametrize(("group", "choice"), group_files())
def test_targets_stay_in_the_room_of_their_group(group: str, choice: str) -> None:
    targets = re.findall(r"_target_:\s*(\S+)", (CONF / group / f"{choice}.yaml").read_text())
    home = HOMES.get(group, "fibseg")
    assert all(t.startswith(home + ".") for t in targets), targets


def test_no_group_bears_the_name_of_a_key_with_a_value() -> None:
    groups = {p.name for p in CONF.iterdir() if p.is_dir()}
    keys = set(itertools.chain(*(yaml.safe_load((CONF / f"{v}.yaml").read_text()) for v in VERBS)))
    assert not groups & keys


def test_an_experiment_is_a_diff_that_says_how_to_run_it() -> None:
    for file in (CONF / "experiment").glob("*.yaml"):
        # Hydra reads its own header only from the very first line.
        head = f"# @package _global_\n# fibseg train experiment={file.stem} "
        assert file.read_text().startswith(head), file
        words = arguments("train", f"experiment={file.stem}")
        assert "experiment" not in resolved(compose_verb("train", words))


def test_the_config_of_the_repository_is_the_one_in_use() -> None:
    assert conf_dir() == CONF
