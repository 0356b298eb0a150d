from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fibseg.data import Normalisation, PaintedPlanes, PlaneStack, SparseData, split_planes
from fibseg.errors import InterruptedRunError
from fibseg.models import NetworkSpec
from fibseg.training import TrainerSettings, fit
from fibseg.training.callbacks import Checkpoints
from fibseg.training.checkpoint import newest
from fibseg.training.precision import choose_precision, native_bf16
from fibseg.training.segmenter import class_weights

NETWORK = NetworkSpec(features=(4, 8), dropout=0.2)
DATA = SparseData(patch=16, batch=2)


def task(
    n_classes: int = 1, data: SparseData = DATA
) -> tuple[PaintedPlanes, dict[str, int]]:
    """Squares of their own brightness, painted on four planes."""
    random = np.random.default_rng(0)
    annotation = np.ones((4, 40, 40), np.uint8)
    for c in range(n_classes):
        annotation[:, 5 + 10 * c : 12 + 10 * c, 5:35] = c + 2
    image = (annotation * 40 + random.normal(0, 5, annotation.shape)).astype(np.uint8)
    stack = PlaneStack(
        "a", (0, 10, 20, 30), image, np.arange(4)[:, None], annotation,
        Normalisation(20, 40.0 * (n_classes + 1), invert=False), (31, 40, 40),
        (20.0, 20.0, 20.0), (20.0, 20.0, 20.0),
    )
    classes = {f"c{i}": i + 2 for i in range(n_classes)}
    split = split_planes([stack], classes, data)
    return PaintedPlanes([stack], split, n_classes + 1, data), classes


def train(folder: Path, n_classes: int = 1, *, data: SparseData = DATA, seed: int = 0,
          network: NetworkSpec = NETWORK, **settings: object) -> dict[str, torch.Tensor]:
    source, classes = task(n_classes, data)
    keywords = {"max_time": None, "max_steps": 6, "precision": "32", "threads": 1, **settings}
    trained = fit(
        source, classes, network=network, data=data, seed=seed, folder=folder,
        trainer=TrainerSettings(**keywords), started=0.0,  # type: ignore[arg-type]
    )
    return trained.network.state_dict()


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_same_seed_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = train(tmp_path / "a")
    torch.manual_seed(2)
    torch.rand(3)
    assert equal(first, train(tmp_path / "b"))
    assert not equal(first, train(tmp_path / "c", seed=1))


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("consistency", [0.0, 1.0])
def test_stopping_and_resuming_changes_no_bit(
    tmp_path: Path, precision: str, consistency: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = SparseData(patch=16, batch=2, unlabelled=2)
    keywords = {"precision": precision, "max_steps": 12, "consistency": consistency, "data": data}
    whole = train(tmp_path / "a", **keywords)  # type: ignore[arg-type]
    save = Checkpoints.on_train_batch_end

    def stop_at_five(self: Checkpoints, trainer: object, module: object, *args: object) -> None:
        self.interrupt.requested = trainer.global_step == 5  # type: ignore[attr-defined]
        save(self, trainer, module, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoints, "on_train_batch_end", stop_at_five)
    with pytest.raises(InterruptedRunError, match="step 5 of 12"):
        train(tmp_path / "b", **keywords)  # type: ignore[arg-type]
    monkeypatch.undo()
    assert equal(whole, train(tmp_path / "b", **keywords))  # type: ignore[arg-type]


def test_a_finished_training_is_loaded(tmp_path: Path) -> None:
    first = train(tmp_path / "a")
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.ckpt")}
    assert equal(first, train(tmp_path / "a"))
    assert files == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.ckpt")}


def test_the_time_becomes_a_number_of_steps_at_once(tmp_path: Path) -> None:
    source, classes = task()
    import time

    settings = TrainerSettings(max_time=6.0, precision="32", threads=1, checkpoint_every_s=1e9)
    began = time.monotonic()
    asked = []

    def reserve(network: torch.nn.Module) -> float:
        asked.append(network.training)
        return 1.0

    trained = fit(
        source, classes, network=NETWORK, data=DATA, trainer=settings, seed=0,
        folder=tmp_path, started=began, reserve=reserve,
    )
    assert asked == [False]
    assert trained.n_steps >= 6
    found = newest(tmp_path / "checkpoints")
    assert found is not None
    assert found[1]["total"] == found[1]["global_step"] == trained.n_steps
    from fibseg.training.checkpoint import PREVIOUS, load

    early = load(tmp_path / "checkpoints" / PREVIOUS)
    assert early["total"] == trained.n_steps
    assert early["global_step"] <= 50


def test_three_classes_are_learnt(tmp_path: Path) -> None:
    data = SparseData(patch=16, batch=8)
    source, classes = task(3, data)
    trained = fit(
        source, classes, network=NetworkSpec(features=(8, 16), dropout=0.0), data=data, seed=0,
        folder=tmp_path, started=0.0,
        trainer=TrainerSettings(
            max_time=None, max_steps=120, precision="32", threads=1, learning_rate=0.01,
        ),
    )
    from fibseg.data import normalise

    plane = source.held_out(1)[0]
    image = torch.from_numpy(normalise(plane.image, plane.normalisation))[None]
    with torch.no_grad():
        found = trained.network(image)[0].argmax(0).numpy() + 1
    assert (found == plane.annotation).mean() > 0.9


def test_a_diverged_training_is_an_error(tmp_path: Path) -> None:
    from fibseg.errors import DataError

    with pytest.raises(DataError, match=r"diverged.*learning_rate"):
        train(tmp_path, learning_rate=1e30, weight_decay=1e30)


def test_tensorboard_has_losses_times_and_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, log_every=2, n_pictures=2)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {
        "loss/loss", "loss/supervised", "learning_rate", "speed/steps_per_s", "seconds/cut",
        "seconds/augment", "seconds/step", "held_out/iou_c0",
    } <= set(tags["scalars"])
    assert [e.step for e in events.Scalars("loss/loss")] == [2, 4, 6]
    (image,) = tags["images"]
    assert "plane" in image
    assert [e.step for e in events.Images(image)] == [3, 6]


def test_precision_is_as_asked_or_measured() -> None:
    network = torch.nn.Conv2d(1, 2, 3)
    before = network.weight.clone()
    cpu = torch.device("cpu")
    for wanted in ("bf16", "32"):
        assert choose_precision(wanted, network, (1, 1, 8, 8), device=cpu) == wanted
    found = choose_precision("auto", network, (1, 1, 8, 8), device=cpu)
    assert found in (("bf16", "32") if native_bf16(cpu) else ("32",))
    assert torch.equal(network.weight, before)
    assert network.weight.grad is None


def test_class_weights() -> None:
    assert class_weights([0.5, 0.5], 0.0) is None
    even = class_weights([0.9, 0.1], 1.0)
    assert even is not None
    assert even[1] / even[0] == pytest.approx(9)
    assert sum(even) / 2 == pytest.approx(1)
