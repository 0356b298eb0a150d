"""Ranges hold what tensors take on, and losses are counted over all windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inference_fakes import random_image, random_model

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from fibseg.inference.calibrate import (
    Agreement,
    calibrated,
    compiled,
    cut,
    measured_loss,
    spread,
    telling,
)


@pytest.fixture(scope="module")
def network():
    return random_model(features=(4, 8))[0]


@pytest.fixture(scope="module")
def windows():
    images = random_image((6, 48, 48), seed=2).astype(np.float32)
    return [(torch.from_numpy(image)[None] - 120) / 40 for image in images]


@pytest.fixture(scope="module")
def int8(network, windows):
    return calibrated(network, windows, leading=1)


def seen_by_torch(network, windows):
    """Greatest value after each rectifier, by its name."""
    most: dict[str, float] = {}

    def note(name):
        return lambda _module, _input, out: most.update({
            name: max(most.get(name, 0.0), float(out.max()))
        })

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in network.named_modules() if name.endswith("adn.A")
    ]
    with torch.inference_mode():
        for window in windows:
            network(window[None])
    for hook in hooks:
        hook.remove()
    return most


def test_ranges_end_at_the_greatest_value_that_torch_sees(network, windows, int8):
    most = seen_by_torch(network, windows)
    wanted = [
        most["encoder.0.0.adn.A"], max(most["encoder.0.1.adn.A"], most["encoder.1.1.adn.A"]),
        most["encoder.1.0.adn.A"], most["decoder.0.0.adn.A"],
    ]
    assert [low for low, _ in int8.ranges] == [0.0] * 4
    np.testing.assert_allclose([high for _, high in int8.ranges], wanted, rtol=6e-4)


def test_ranges_have_few_digits(int8):
    for _, high in int8.ranges:
        assert high == float(f"{high:.3e}")


def test_a_tensor_that_is_always_zero_has_a_range(network):
    dead = random_model(features=(4, 8))[0]
    for name, values in dead.named_parameters():
        if name.startswith("encoder.1.0.adn.N"):
            values.data.fill_(-1.0 if name.endswith("bias") else 0.0)
    got = calibrated(dead, [torch.zeros(1, 48, 48)], leading=1)
    assert got.ranges[2] == (0.0, 1.0)


def test_the_loss_is_one_less_the_iou_over_all_windows():
    def logits(*pixels):
        """One class, sure of what it says."""
        return torch.tensor([[[[0.0] * len(pixels)], [[9.0 if p else -9.0 for p in pixels]]]])

    agreement = Agreement(0.5, 1)
    assert agreement.loss == (0.0,), "nothing was seen, so nothing is lost"
    agreement.add(logits(1, 1, 0, 0), logits(1, 0, 0, 0))
    assert agreement.loss == (0.5,)
    agreement.add(logits(1, 1, 0, 0), logits(1, 1, 0, 0))
    assert agreement.loss == (0.25,)


def test_the_level_decides_what_is_of_a_class():
    half = torch.zeros(1, 2, 1, 1)
    for level, either in ((0.5, 1), (0.51, 0)):
        agreement = Agreement(level, 1)
        agreement.add(half, half)
        assert int(agreement.either[0]) == either


def test_what_rounding_loses_is_measured_with_the_very_ranges(network, windows, int8):
    run = compiled(network, windows[0])
    exact = [run(window[None]) for window in windows]
    narrow = replace(int8, ranges=tuple((low, high / 4) for low, high in int8.ranges))
    losses = [
        measured_loss(exact, network, windows, of, level=0.5).loss[0] for of in (int8, narrow)
    ]
    assert 0 < losses[0] < 0.2 * losses[1]


def test_parts_of_windows_are_whole_multiples_inside_and_lie_everywhere():
    window = torch.arange(96 * 64).reshape(1, 96, 64)
    corners = set()
    for number in range(40):
        part = cut(window, side=50, multiple=16, number=number)
        assert part.shape == (1, 48, 48)
        first = int(part[0, 0, 0])
        corners.add((first // 64, first % 64))
    assert len(corners) == 40
    assert {y // 25 for y, _ in corners} == {0, 1}
    small = cut(window, side=512, multiple=16, number=1)
    assert torch.equal(small, window)


def test_points_are_even_over_the_square():
    points = np.array([spread(i) for i in range(64)])
    counts, *_ = np.histogram2d(*points.T, bins=4, range=((0, 1), (0, 1)))
    assert counts.min() >= 2
    assert counts.max() <= 6


def test_flat_windows_are_left_out():
    seen, resin = torch.randn(1, 8, 8), torch.full((1, 8, 8), 0.3)
    assert [w is seen for w in telling([resin, seen, resin])] == [True]
    assert telling([]) == []
    assert len(telling([resin, resin])) == 2, "all the same: nothing to choose by"
