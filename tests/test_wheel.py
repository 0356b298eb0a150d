"""The wheel carries its config: installed elsewhere, every group composes from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

COMPOSE_ALL = """
import pathlib, re, sys
import fibseg
from fibseg.cli.compose import compose_verb, conf_dir
from fibseg.cli.verbs import VERBS
assert pathlib.Path(fibseg.__file__).is_relative_to(sys.argv[1]), fibseg.__file__
assert conf_dir() == pathlib.Path(fibseg.__file__).parent / "conf"
for verb in VERBS:
    offered = (conf_dir() / f"{verb}.yaml").read_text()
    compose_verb(verb, [])
    for file in sorted(conf_dir().glob("*/*.yaml")):
        group = file.parent.name
        for key in re.findall(rf"- (?:optional )?{group}(?:@([a-z]\\w*))?:", offered):
            compose_verb(verb, [f"{key or group}={file.stem}"])
            print(verb, group, file.stem)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which the freshly built wheel was unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_group_composes_from_the_wheel_in_another_folder(
    installed: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", COMPOSE_ALL, str(installed)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for file in (ROOT / "conf").glob("*/*.yaml"):
        assert f"{file.parent.name} {file.stem}" in done.stdout
