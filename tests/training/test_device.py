from __future__ import annotations

import pytest
import torch

from fibseg.errors import UsageError
from fibseg.training import TrainerSettings
from fibseg.training.device import training_device


def see(monkeypatch: pytest.MonkeyPatch, n_gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)


@pytest.mark.parametrize(
    ("accelerator", "n_gpus", "kind"),
    [("cpu", 0, "cpu"), ("cpu", 4, "cpu"), ("auto", 0, "cpu"), ("auto", 1, "cuda"),
     ("gpu", 1, "cuda")],
)
def test_the_device_is_the_one_asked_for(
    accelerator: str, n_gpus: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, n_gpus)
    assert training_device(TrainerSettings(accelerator=accelerator)).type == kind


@pytest.mark.parametrize(
    ("n_gpus", "words"), [(0, "sees 0 GPUs. Use trainer=cpu"), (1, "sees 1 GPU. Use trainer.dev")]
)
def test_gpus_that_are_not_there_are_refused(
    n_gpus: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, n_gpus)
    with pytest.raises(UsageError, match=words):
        training_device(TrainerSettings(accelerator="gpu", devices=2))
