from __future__ import annotations

import copy
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fibseg.errors import DataError, ExistsError, InterruptedRunError
from fibseg.pipeline.train_folder import begin, first_speaks, log_to, standing

RECORD: dict[str, Any] = {
    "settings": {
        "network": {"features": [4, 8]}, "data": {"patch": 32, "memory_gb": 4.0},
        "trainer": {"max_steps": 4, "threads": None, "log_every": 20}, "seed": 0,
    },
    "sources": [{"name": "a", "raw_digest": "12", "annotation_digest": "34"}],
}


def changed(**paths: Any) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    for path, value in paths.items():
        node = record["settings"]
        *parents, last = path.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    return record


def look(folder: Path, record: dict[str, Any] = RECORD, *, resume: str = "auto",
         overwrite: bool = False) -> bool:
    return standing(folder, record, resume=resume, overwrite=overwrite)


def test_a_new_or_empty_folder_is_free(tmp_path: Path) -> None:
    assert not look(tmp_path / "new")
    assert not look(tmp_path, resume="never")


def test_a_begun_training_goes_on_and_a_finished_one_is_known(tmp_path: Path) -> None:
    begin(tmp_path, RECORD)
    assert not look(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    assert look(tmp_path)


@pytest.mark.parametrize(
    "free", [{"data__memory_gb": 1.0}, {"trainer__threads": 2}, {"trainer__log_every": 1}]
)
def test_settings_without_influence_may_change(tmp_path: Path, free: dict[str, Any]) -> None:
    begin(tmp_path, RECORD)
    assert not look(tmp_path, changed(**free))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"data__patch": 64}, r"data\.patch was 32, is 64"),
        ({"network__features": [4]}, r"network\.features was \[4, 8\], is \[4\]"),
        ({"network__depth": 3}, r"network\.depth was None, is 3"),
    ],
)
def test_other_settings_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    begin(tmp_path, RECORD)
    with pytest.raises(ExistsError, match=words):
        look(tmp_path, changed(**change))


def test_every_difference_is_named_at_once(tmp_path: Path) -> None:
    begin(tmp_path, RECORD)
    record = changed(seed=1, data__patch=64)
    record["sources"][0]["annotation_digest"] = "56"
    with pytest.raises(ExistsError) as error:
        look(tmp_path, record)
    for words in ("seed was", "data.patch was", "volume[0].annotation_digest differs"):
        assert words in str(error.value)
    assert "56" not in str(error.value)


def test_another_number_of_volumes_is_a_difference(tmp_path: Path) -> None:
    begin(tmp_path, RECORD)
    record = copy.deepcopy(RECORD)
    record["sources"] *= 2
    with pytest.raises(ExistsError, match=r"volume\[1\]\.name was None, is a"):
        look(tmp_path, record)


def tree(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def trained_in(folder: Path, **more: Any) -> None:
    """A finished training, and a file of the user."""
    begin(folder, RECORD, **more)
    for name in ("training/checkpoints/last.ckpt", "training/log.txt", "model.json",
                 "weights.safetensors", "README.md", "notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")


def test_overwrite_removes_the_training_and_nothing_else(tmp_path: Path) -> None:
    """And that only when the new one begins: data that do not fit cost no model."""
    trained_in(tmp_path)
    before = tree(tmp_path)
    assert not look(tmp_path, changed(seed=1), overwrite=True)
    assert tree(tmp_path) == before
    begin(tmp_path, changed(seed=1))
    assert tree(tmp_path) == {"notes.txt", "training/run.json"}
    assert not look(tmp_path, changed(seed=1))


@pytest.mark.parametrize("recorded_before", [True, False])
def test_a_kill_while_the_way_is_cleared_needs_no_more_than_the_same_command(
    tmp_path: Path, recorded_before: bool
) -> None:
    trained_in(tmp_path / "model")
    if not recorded_before:
        (tmp_path / "model" / "training" / "run.json").unlink()
    new = changed(seed=1)
    n, folder = 0, tmp_path / "0"
    shutil.copytree(tmp_path / "model", folder)
    while killed_at(n, folder, new):
        assert not look(folder, new, overwrite=True)
        begin(folder, new)
        assert tree(folder) == {"notes.txt", "training/run.json"}
        n, folder = n + 1, tmp_path / str(n + 1)
        shutil.copytree(tmp_path / "model", folder)
    assert n == 7


def killed_at(n: int, folder: Path, record: dict[str, Any]) -> bool:
    """Whether `begin` was ended before its change number `n` of the folder."""
    left = n

    def counted(change: Callable[..., None]) -> Callable[..., None]:
        def changing(*arguments: Any, **more: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            change(*arguments, **more)
        return changing

    with pytest.MonkeyPatch.context() as patch:
        for name in ("unlink", "rmdir", "replace"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            begin(folder, record)
        except KeyboardInterrupt:
            return True
    return False


def test_resume_never_refuses_a_begun_training_unless_it_may_be_replaced(tmp_path: Path) -> None:
    trained_in(tmp_path)
    with pytest.raises(ExistsError, match="resume=never"):
        look(tmp_path, resume="never")
    assert not look(tmp_path, resume="never", overwrite=True)
    begin(tmp_path, RECORD, resume="never")
    assert tree(tmp_path) == {"notes.txt", "training/run.json"}


@pytest.mark.parametrize("text", ['{"settings": {"se', "[]", "{}"])
def test_a_record_that_is_cut_off_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "run.json").write_text(text)
    with pytest.raises(ExistsError, match="no record of its training"):
        look(tmp_path)
    assert not look(tmp_path, overwrite=True)


def test_the_log_gets_everything_of_fibseg(tmp_path: Path) -> None:
    logger = logging.getLogger("fibseg.something")
    with log_to(tmp_path / "log.txt"):
        logger.info("in the middle of %s", "it")
    logger.info("after")
    text = (tmp_path / "log.txt").read_text()
    assert "fibseg.something in the middle of it" in text
    assert "after" not in text


def test_other_processes_wait_until_the_first_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path, RECORD, launch="job 1")
    monkeypatch.setenv("RANK", "1")
    begin(tmp_path, RECORD)  # started by the first one, which has begun
    begin(tmp_path, RECORD, launch="job 1")
    monkeypatch.setattr("fibseg.pipeline.train_folder.WAIT_S", 0.1)
    with pytest.raises(DataError, match="has not begun to train"):
        begin(tmp_path, RECORD, launch="job 2")
    monkeypatch.delenv("RANK")
    begin(tmp_path, RECORD, launch="job 2")
    monkeypatch.setenv("RANK", "1")
    begin(tmp_path, RECORD, launch="job 2")


def test_only_the_first_process_looks_at_what_it_may_be_changing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_in(tmp_path, launch="job 1")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert look(tmp_path)
    # The first one starts again here: this one is to train with it, not to find all done.
    assert not look(tmp_path, resume="never", overwrite=True)
    assert not look(tmp_path, changed(seed=3), overwrite=True)
    begin(tmp_path, changed(seed=3), launch="job 1")
    assert (tmp_path / "training" / "log.txt").exists()
    for path in ("model.json", "training/run.json"):
        (tmp_path / path).unlink()
    assert not look(tmp_path)  # made, but nothing on record yet
    shutil.rmtree(tmp_path / "training")
    assert not look(tmp_path)


def test_the_number_of_processes_may_change(tmp_path: Path) -> None:
    begin(tmp_path, changed(trainer__devices=2, trainer__num_nodes=2, trainer__strategy="ddp"))
    now = changed(trainer__devices=1, trainer__num_nodes=1, trainer__strategy="auto")
    assert not look(tmp_path, now)


def test_a_training_of_one_volume_goes_on_that_was_begun_before_the_balance(tmp_path: Path) -> None:
    """With one volume there is nothing to balance; with several, patches are others."""
    begin(tmp_path / "one", RECORD)
    for balance in ("cell", "planes"):
        now = changed(data__balance=balance, data__leave_out=None)
        assert not look(tmp_path / "one", now)
    with pytest.raises(ExistsError, match=r"data\.leave_out was None, is a"):
        look(tmp_path / "one", changed(data__balance="cell", data__leave_out="a"))
    two = copy.deepcopy(RECORD)
    two["sources"].append({"name": "b", "raw_digest": "56", "annotation_digest": "78"})
    begin(tmp_path / "two", two)
    two["settings"]["data"]["balance"] = "cell"
    with pytest.raises(ExistsError, match=r"data\.balance was None, is cell"):
        look(tmp_path / "two", two)


def test_a_stop_is_told_by_the_first_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InterruptedRunError), first_speaks():
        raise InterruptedRunError("Stopped.")
    monkeypatch.setenv("SLURM_PROCID", "1")
    with first_speaks():
        raise InterruptedRunError("Stopped.")
    with pytest.raises(DataError), first_speaks():
        raise DataError("The disk is full.")
