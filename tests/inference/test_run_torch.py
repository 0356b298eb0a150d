"""Torch as a backend: batches that do not fit, torch.compile, where logits end up."""

from __future__ import annotations

import pytest
import torch
from inference_fakes import random_model

from fibseg.errors import DataError, UsageError
from fibseg.inference import Backend
from fibseg.inference.run_torch import compile_torch, halving

IMAGES = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 1, 4, 4)


class Device:
    """Doubles images, of which it holds so many."""

    def __init__(self, room):
        self.room, self.seen = room, []

    def __call__(self, images):
        self.seen.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images * 2


@pytest.mark.parametrize(("room", "seen"), [
    (8, [8]), (4, [8, 4, 4]), (3, [8, 4, 2, 2, 2, 2]), (1, [8, 4, 2, *[1] * 8]),
])
def test_the_batch_is_halved_until_it_fits(room, seen):
    device = Device(room)
    run = halving(device)
    assert torch.equal(run(IMAGES), IMAGES * 2)
    assert device.seen == seen
    device.seen.clear()
    assert torch.equal(run(IMAGES), IMAGES * 2)
    assert max(device.seen) <= room, "what was found is kept"


def test_not_even_one_window():
    with pytest.raises(DataError, match="one window of 4 x 4 px does not fit"):
        halving(Device(0))(IMAGES)


def test_other_errors_are_not_hidden():
    def broken(images):
        raise RuntimeError("illegal instruction")

    with pytest.raises(RuntimeError, match="illegal instruction"):
        halving(broken)(IMAGES)


class Meets(torch.nn.Module):
    def forward(self, x):
        raise ValueError("no compiler\nand more")


def test_a_compiler_that_is_missing_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    with pytest.raises(UsageError, match=r"does not work here \(no compiler\).*backend=auto"):
        compile_torch(Meets(), (1, 1, 16, 16), "float32", "cpu", optimised=True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_torch_compile_is_torch(monkeypatch, precision):
    """Traced and guarded as ever, but run without a C++ compiler, which takes half a minute."""
    used = []

    def compiled(network, **settings):
        used.append(settings)
        return make(network, backend="eager", dynamic=settings["dynamic"])

    make = torch.compile
    monkeypatch.setattr(torch, "compile", compiled)
    network, _ = random_model(features=(4,))
    images = torch.randn(2, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    wanted = Backend("torch", precision).compile(network, images.shape)(images).softmax(1)
    run = Backend("compile", precision).compile(network, images.shape)
    got = run(images)
    kept = got.clone()
    run(images * 2)
    assert torch.equal(got, kept), "results are copies"
    assert wanted.std() > 0.05
    assert (got.softmax(1) - wanted).abs().max() <= 1e-4
    assert used == [{"dynamic": False, "mode": "default"}]
