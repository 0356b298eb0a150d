"""MONAI's sliding windows held to the global grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inference_fakes import FakeVolume, random_image, random_model
from torch import Tensor

from fibseg.errors import DataError
from fibseg.inference import make_plan
from fibseg.inference.symmetries import symmetries
from fibseg.inference.windows import Windows

ONE = symmetries("none")


def setup(batch: int = 3):
    network, spec = random_model(core=16)
    volume = FakeVolume(random_image((1, 48, 64)))
    return network, replace(make_plan(spec, volume), batch=batch)


def plane_of(plan, seed: int = 0) -> Tensor:
    """A box of whole windows, margins included."""
    size = [a.n_windows * a.core + 2 * a.margin for a in (plan.y, plan.x)]
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 1, *size))).float()


def cores(out: Tensor, plan) -> Tensor:
    y, x = plan.y.margin, plan.x.margin
    return out[..., y:-y, x:-x]


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_windows_are_the_network_on_the_whole_plane(batch: int) -> None:
    network, plan = setup(batch)
    images = plane_of(plan)
    with torch.inference_mode():
        expected = network(images).softmax(1)[:, 1:]
        found = Windows(network, plan, ONE).run(images)
    torch.testing.assert_close(cores(found, plan), cores(expected, plan), rtol=0, atol=1e-5)


def test_every_window_is_computed_once_in_full_batches() -> None:
    network, plan = setup(batch=5)
    seen: list[tuple[int, ...]] = []

    def counted(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return network(images)

    with torch.inference_mode():
        Windows(counted, plan, ONE).run(plane_of(plan))
    n = 2 * plan.y.n_windows * plan.x.n_windows
    assert len(seen) == -(-n // 5)
    assert set(seen) == {(5, 1, plan.y.window, plan.x.window)}


def test_what_stands_beyond_the_margin_changes_nothing() -> None:
    network, plan = setup()
    images = plane_of(plan)
    other = images.clone()
    other[..., : plan.x.core] = 9.0  # the first column of windows, and the margin of the second
    with torch.inference_mode():
        a, b = (Windows(network, plan, ONE).run(i) for i in (images, other))
    a, b = cores(a, plan), cores(b, plan)
    assert torch.equal(a[..., plan.x.core + plan.x.margin :], b[..., plan.x.core + plan.x.margin :])
    assert not torch.equal(a, b)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_no_numbers_are_refused(bad: float) -> None:
    _, plan = setup()

    def broken(images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), 2, *images.shape[2:])
        logits[0, 1, 3, 4] = bad
        return logits

    with pytest.raises(DataError, match=r"1 NaN or infinite values\. Try precision=float32"):
        Windows(broken, plan, ONE).run(plane_of(plan))
