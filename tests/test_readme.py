"""The README tells the truth: its commands are those of CI, and every one of them composes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from fibseg.cli.compose import build_parts, check_keys, compose_verb, resolved
from fibseg.cli.verbs import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "GUIDE.md").read_text()
CONTINUED = re.compile(r"\\\n\s*")


def shown_commands(text: str) -> list[str]:
    """Every line of a fenced block that starts with ``fibseg VERB``."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    blocks = [CONTINUED.sub(" ", block) for kind, block in fenced if kind in ("", "bash", "sh")]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("fibseg ")]


def walk_commands() -> list[str]:
    """The commands of the README's walk, in order."""
    return shown_commands(README.split("## The walk")[1].split("\n## ")[0])


def test_the_readme_is_short() -> None:
    assert README.count("\n") < 150


def test_both_commands_and_the_picture_stand_in_its_first_30_lines() -> None:
    head = "\n".join(README.splitlines()[:30])
    assert "pip install -c constraints.txt -e . && fibseg demo" in head
    assert "pip install -c constraints.txt -e '.[test]' && pytest" in head
    picture = re.search(r"!\[[^\]]+\]\(([^)]+)\)", head)
    assert picture
    assert (ROOT / picture[1]).stat().st_size > 10_000


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    command = "pip install -c constraints.txt -e '.[test]' && pytest"
    assert command in README.splitlines()
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_all_blocks_of_the_guide_are_seen() -> None:
    shown = shown_commands(GUIDE)
    assert {"cohort", "sweep", "evaluate", "train"} <= {command.split()[1] for command in shown}
    assert len(shown) == len(re.findall(r"^fibseg ", GUIDE, flags=re.MULTILINE))


@pytest.mark.parametrize("command", shown_commands(README + GUIDE))
def test_every_command_shown_composes(command: str) -> None:
    verb, *arguments = shlex.split(command)[1:]
    if not any("=" in a for a in arguments):
        assert verb in (*VERBS, "--help")
        return
    if "-m" in arguments:
        arguments.remove("-m")
        check_keys(arguments, compose_verb(verb, []))
        # The first job: of a,b the a; a list [a,b] is one value, as is what belongs to Hydra.
        arguments = [
            a if "=[" in a else a.split(",")[0] for a in arguments if not a.startswith("hydra")
        ]
    assert resolved(compose_verb(verb, arguments))


def test_the_job_script_asks_srun_for_the_processes_that_its_command_has() -> None:
    (script,) = re.findall(r"```bash\n(#!/bin/bash.*?)```", GUIDE, flags=re.DOTALL)
    asked = dict(re.findall(r"#SBATCH --([a-z-]+)=(\S+)", script))
    ((options, command),) = re.findall(
        r"^srun (.*) fibseg (.*)$", CONTINUED.sub(" ", script), flags=re.MULTILINE
    )
    verb, *arguments = shlex.split(command)
    config = resolved(compose_verb(verb, arguments))
    trainer = build_parts(config)["trainer"]
    assert trainer.devices == int(asked["ntasks-per-node"]) == int(asked["gpus-per-node"])
    assert trainer.num_nodes == int(asked["nodes"])
    assert trainer.n_processes <= config["data"]["batch"]
    assert trainer.threads == int(asked["cpus-per-task"])
    assert trainer.accelerator == "gpu"
    assert asked["signal"].startswith("USR1@")
    assert "#SBATCH --requeue" in script
    # Where a cluster is set up so, srun ends all soon after any; the first process has to be last.
    # If one fails, the others wait for it: what srun does then is in training/test_srun.py.
    assert options.split() == ["--wait=0", "--kill-on-bad-exit=1"]


@pytest.mark.parametrize("example", [e for verb in VERBS.values() for e in verb.examples])
def test_every_example_of_the_help_composes(example: str) -> None:
    verb, *arguments = shlex.split(example)[1:]
    assert resolved(compose_verb(verb, arguments))


@pytest.mark.parametrize(("page", "folder"), [(README, ROOT), (GUIDE, ROOT / "docs")])
def test_every_link_leads_somewhere(page: str, folder: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        if "://" not in target:
            assert (folder / target).exists(), target
