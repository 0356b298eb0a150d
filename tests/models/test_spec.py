from __future__ import annotations

import pytest
import torch

from fibseg.errors import UsageError
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple


def _eval_network(features: tuple[int, ...], **keywords: object) -> torch.nn.Module:
    torch.manual_seed(0)
    spec = NetworkSpec(features=features, **keywords)  # type: ignore[arg-type]
    network = build_network(spec, in_channels=spec.in_channels, n_classes=2).eval()
    # Non-negative weights and a positive signal: nothing can cancel or die in a ReLU.
    for p in network.parameters():
        p.data = p.data.abs() + 0.05
    return network


@pytest.mark.parametrize("features", [(4,), (4, 4), (4, 4, 4)])
def test_margin_is_the_measured_influence(features: tuple[int, ...]) -> None:
    spec = NetworkSpec(features=features)
    margin, stride = receptive_margin(spec), stride_multiple(spec)
    network = _eval_network(features)
    size = -(-(2 * margin + 4 * stride) // stride) * stride
    reached = 0
    for pixel in range(margin + stride, margin + 2 * stride):
        image = torch.rand(1, 1, size, size, dtype=torch.float32, requires_grad=True)
        # Average pooling in place of max pooling, so that every pixel of a window counts.
        old = torch.nn.functional.max_pool2d
        torch.nn.functional.max_pool2d = torch.nn.functional.avg_pool2d
        try:
            network(image)[0, 1, pixel, pixel].backward()
        finally:
            torch.nn.functional.max_pool2d = old
        assert image.grad is not None
        rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
        reached = max(reached, int(pixel - rows.min()), int(rows.max() - pixel))
    assert reached == margin


def test_pixels_beyond_the_margin_do_not_matter() -> None:
    spec = NetworkSpec(features=(8, 8, 8))
    margin = receptive_margin(spec)
    network = build_network(spec, in_channels=1, n_classes=1).eval()
    image = torch.rand(1, 1, 96, 96)
    other = image.clone()
    other[..., 48 + margin + 1:] = 7.0
    with torch.no_grad():
        a, b = network(image), network(other)
    assert torch.equal(a[..., :48], b[..., :48])
    assert not torch.equal(a, b)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_network_shapes_and_context(norm: str) -> None:
    spec = NetworkSpec(features=(8, 16), norm=norm, context=1)
    network = build_network(spec, in_channels=spec.in_channels, n_classes=3)
    assert network(torch.rand(2, 3, 16, 24)).shape == (2, 4, 16, 24)


def test_features_from_a_list_become_a_tuple() -> None:
    assert NetworkSpec(features=[4, 8]) == NetworkSpec(features=(4, 8))


@pytest.mark.parametrize(
    ("keywords", "word"),
    [
        ({"features": ()}, "features"), ({"features": (0, 2)}, "features"),
        ({"dropout": 1.0}, "dropout"), ({"norm": "layer"}, "norm"), ({"context": -1}, "context"),
        ({"norm": "group", "features": (12,)}, "divisible"),
    ],
)
def test_wrong_values_are_refused(keywords: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        NetworkSpec(**keywords)  # type: ignore[arg-type]


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unet"):
        build_network(NetworkSpec(name="resnet"), in_channels=1, n_classes=1)
