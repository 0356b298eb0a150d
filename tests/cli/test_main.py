"""The command as a user meets it: help, misspellings, missing keys, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fibseg.pipeline.ingest as import_verb
from fibseg.cli import main
from fibseg.cli.verbs import VERBS
from fibseg.errors import InterruptedRunError, PartlyDoneError


def test_help_names_every_verb_and_imports_no_torch() -> None:
    code = (
        "import sys; from fibseg.cli import main; main(['--help']); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'hydra', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"  {verb}" in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_help_of_a_verb_explains_every_key_and_gives_two_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    examples = text.split("examples:")[1].split("keys:")[0].strip().splitlines()
    assert len(examples) == 2
    keys = text.split("keys:")[1].split("exit codes")[0].strip().splitlines()
    bare = [k for k in keys if len(k.split()) < 3 and not k.strip().startswith("steps.")]
    assert not bare, f"keys without a word of help: {bare}"


def test_help_of_a_report_says_what_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help"]) == 0
    summary = capsys.readouterr().out.splitlines()[0]
    for word in ("3D", "overlays", "scatter plots", "table", "methods text"):
        assert word in summary


def test_a_misspelt_key_names_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "volme=cell.ome.zarr"]) == 2
    assert "There is no key 'volme'. Did you mean volume" in capsys.readouterr().err


def test_a_misspelt_verb_names_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "Did you mean train" in capsys.readouterr().err


def test_a_missing_key_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "Missing: volume=…" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["phantom", "out="], "out= is empty"),
        (["import", "source=", "volume=x"], "source= is empty"),
        (["train", "experiment=mitochondra", "volume=x", "annotation=a", "out=m"], "mitochondra'"),
        (["phantom", "out=x", "+shap=[4,4,4]"], "There is no key 'shap'"),
        (["infer", "-m", "model=a", "volume=b,c"], "infer has no out="),
        (["check", "volume=${nothing}"], "nothing"),
        (["objects", "volume=x", "name=a", "postprocess=null"], "no volume at x"),
    ],
)
def test_a_word_without_meaning_is_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) in (2, 65)
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_group_can_be_left_out_where_the_verb_can_do_without() -> None:
    from fibseg.cli.compose import compose_verb, resolved

    config = resolved(compose_verb("infer", ["postprocess=null", "model=m", "volume=v"]))
    assert "postprocess" not in config
    assert config["blocks"]["_target_"] == "fibseg.blocks.Processes"


@pytest.mark.skipif(os.name == "nt", reason="shells close streams otherwise there")
@pytest.mark.parametrize(
    ("streams", "environment"),
    [("| true", {}), (">&-", {}), (">&- 2>&-", {}), ("", {"PYTHONIOENCODING": "ascii"})],
)
def test_output_goes_wherever_the_shell_sends_it(
    streams: str, environment: dict[str, str]
) -> None:
    command = f'set -o pipefail; "{sys.executable}" -m fibseg phantom --help {streams}'
    done = subprocess.run(
        ["bash", "-c", command], env={**os.environ, **environment}, capture_output=True,
        text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_group_choice_that_is_not_there_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "network=resnet9000", "volume=a", "annotation=b", "out=c"]) == 2
    assert "resnet9000" in capsys.readouterr().err


def test_config_builds_fibseg_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "volume=a", "annotation=b", f"out={tmp_path}/m", "network._target_=os.system"]
    assert main(words) == 2
    assert "'os.system' is not part of fibseg" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_not_there_is_bad_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", f"volume={tmp_path}/no where (1).ome.zarr"]) == 65
    assert "no where (1).ome.zarr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "volume=nowhere", "annotation=a", "out=m"], "There is no volume at nowhere"),
        (["train", "volume=[nowhere]", "annotation=a", "out=m"], "There is no volume at nowhere"),
        (["infer", "model=none", "volume=nowhere"], "There is no model folder none"),
        (["evaluate", "model=none", "volume=nowhere"], "There is no model folder none"),
    ],
)
def test_a_mistyped_path_is_told_before_the_import_of_torch(
    words: list[str], message: str
) -> None:
    code = (
        "import sys; from fibseg.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 65, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PartlyDoneError("3 blocks"), 3),
        (InterruptedRunError("stopped"), 75),
        (KeyboardInterrupt(), 75),
    ],
)
def test_how_a_run_ends_is_told_by_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(**settings: object) -> None:
        raise error

    monkeypatch.setattr(import_verb, "run", run)
    assert main(["import", "source=x", "volume=y"]) == code


def test_the_users_own_conf_folder_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fibseg.cli.compose import compose_verb, resolved

    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 4711\n")
    monkeypatch.chdir(tmp_path)
    words = ["experiment=mine", "volume=a", "annotation=b", "out=c"]
    assert resolved(compose_verb("train", words))["seed"] == 4711
