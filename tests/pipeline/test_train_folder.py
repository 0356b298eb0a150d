from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest

from fibseg.errors import DataError, ExistsError
from fibseg.pipeline.train_folder import begin, log_to, standing

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


def test_overwrite_removes_the_training_and_nothing_else(tmp_path: Path) -> None:
    begin(tmp_path, RECORD)
    (tmp_path / "training" / "checkpoints").mkdir()
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    assert not look(tmp_path, changed(seed=1), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_resume_never_refuses_a_begun_training_unless_it_may_be_replaced(tmp_path: Path) -> None:
    begin(tmp_path, RECORD)
    with pytest.raises(ExistsError, match="resume=never"):
        look(tmp_path, resume="never")
    assert not look(tmp_path, resume="never", overwrite=True)
    assert not (tmp_path / "training").exists()


def test_a_model_without_record_is_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ExistsError, match="no record of its training"):
        look(tmp_path)
    assert not look(tmp_path, overwrite=True)


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


def test_only_the_first_process_clears_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path, RECORD)
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not look(tmp_path, resume="never")
    assert not look(tmp_path, changed(seed=3), overwrite=True)
    assert (tmp_path / "training" / "run.json").exists()
    monkeypatch.delenv("SLURM_PROCID")
    assert not look(tmp_path, changed(seed=3), overwrite=True)
    assert not (tmp_path / "training" / "run.json").exists()


def test_the_number_of_processes_may_change(tmp_path: Path) -> None:
    begin(tmp_path, changed(trainer__devices=2, trainer__num_nodes=2, trainer__strategy="ddp"))
    now = changed(trainer__devices=1, trainer__num_nodes=1, trainer__strategy="auto")
    assert not look(tmp_path, now)
