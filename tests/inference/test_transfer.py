"""Planes come back one behind what is computed; on a CPU nothing is copied."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inference_fakes import FakeVolume, random_image, random_model

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.inference import Backend, Predictor, make_plan, model_normalisation
from fibseg.inference.transfer import landing, to_device


def test_a_plane_lands_when_the_next_one_is_under_way() -> None:
    asked: list[int] = []

    def computed():
        for z in range(3):
            asked.append(z)
            yield z, torch.full((2, 2), z, dtype=torch.uint8)

    landed = landing(computed())
    first = next(landed)
    assert (first[0], asked) == (0, [0, 1])
    rest = list(landed)
    assert [z for z, _ in rest] == [1, 2]
    for z, plane in [first, *rest]:
        np.testing.assert_array_equal(plane, np.full((2, 2), z))
    assert list(landing(iter([]))) == []


def test_on_a_cpu_both_ways_share_memory() -> None:
    plane = np.zeros((4, 5), np.uint8)
    there = to_device(plane, torch.device("cpu"))
    ((_, back),) = landing([(0, there)])
    assert np.shares_memory(plane, there.numpy())
    assert np.shares_memory(plane, back)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_back_what_it_got() -> None:  # pragma: no cover
    device = torch.device("cuda")
    planes = [np.random.default_rng(z).integers(0, 255, (512, 512), np.uint8) for z in range(5)]
    sent = ((z, to_device(plane, device)) for z, plane in enumerate(planes))
    for z, plane in landing(sent):
        np.testing.assert_array_equal(plane, planes[z])


def test_what_a_gpu_found_late_is_told_at_the_end_and_once() -> None:
    network, spec = random_model()
    volume = FakeVolume(random_image((3, 40, 48)))
    predictor = Predictor(
        network, spec, plan=make_plan(spec, volume),
        normalisation=model_normalisation(spec, volume), backend=Backend("torch", "float32"),
    )
    whole = Box.whole(volume.shape)
    good = predictor.box(lambda box: volume.image[box.slices], whole)
    predictor._windows._bad = torch.tensor(4)  # as a GPU leaves it behind
    with pytest.raises(DataError, match="gave 4 NaN"):
        predictor.box(lambda box: volume.image[box.slices], whole)
    again = predictor.box(lambda box: volume.image[box.slices], whole)
    np.testing.assert_array_equal(again, good)
