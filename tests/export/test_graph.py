"""The graph around a network gives what normalising and the network give, for any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from travelling import CONSTANTS, small_model

from fibseg.data import Normalisation, normalise
from fibseg.export.graph import ImageGraph, TileGraph, normalised

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 1, 24, 32)).astype(np.float32)


def wanted(network, image, low=40.0, high=200.0, *, invert=True):
    ready = torch.from_numpy(normalise(image, Normalisation(low, high, invert)))
    with torch.inference_mode():
        return network(ready).softmax(1).numpy()


def run(graph, *arguments):
    with torch.inference_mode():
        return graph(*map(torch.as_tensor, arguments)).numpy()


@pytest.mark.parametrize("invert", [True, False])
def test_values_are_normalised_as_in_training(invert):
    image = np.arange(-50, 400, 7, dtype=np.float32)
    found = normalised(
        torch.from_numpy(image), torch.tensor(40.0), torch.tensor(200.0), invert=invert
    )
    np.testing.assert_allclose(
        found.numpy(), normalise(image, Normalisation(40.0, 200.0, invert)), atol=2e-6
    )


def test_an_image_graph_gives_what_the_network_gives():
    network, _ = small_model(n_classes=2)
    graph = ImageGraph(network, CONSTANTS, multiple=2)
    found = run(graph, IMAGE)
    assert found.shape == (2, 3, 24, 32)
    np.testing.assert_allclose(found, wanted(network, IMAGE), atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_other_grey_values_replace_the_constants():
    network, _ = small_model()
    found = run(ImageGraph(network, CONSTANTS, multiple=2), IMAGE, 10.0, 90.0)
    np.testing.assert_allclose(found, wanted(network, IMAGE, 10.0, 90.0), atol=1e-5)
    assert np.abs(found - wanted(network, IMAGE)).max() > 0.01


def test_bright_stain_is_not_turned_over():
    network, _ = small_model()
    found = run(ImageGraph(network, replace(CONSTANTS, polarity="bright"), multiple=2), IMAGE)
    np.testing.assert_allclose(found, wanted(network, IMAGE, invert=False), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (23, 32), (24, 31)])
def test_sides_that_are_no_multiple_are_continued_by_the_last_pixel(shape):
    network, _ = small_model(features=(4, 4, 4))
    image = IMAGE[..., : shape[0], : shape[1]]
    missing = [(0, -n % 4) for n in shape]
    continued = np.pad(image, [(0, 0), (0, 0), *missing], mode="edge")
    found = run(ImageGraph(network, CONSTANTS, multiple=4), image)
    np.testing.assert_allclose(
        found, wanted(network, continued)[..., : shape[0], : shape[1]], atol=1e-5
    )


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535)])
def test_a_tile_graph_takes_values_from_0_to_1_channels_last(dtype, largest):
    network, _ = small_model()
    scale = largest / 255
    values = replace(CONSTANTS, low=40 * scale, high=200 * scale, dtype=dtype)
    tile = (IMAGE[:1] / 255).transpose(0, 2, 3, 1)
    found = run(TileGraph(network, values), tile)
    assert found.shape == (1, 24, 32, 2)
    np.testing.assert_allclose(
        found.transpose(0, 3, 1, 2), wanted(network, IMAGE[:1]), atol=1e-5
    )
