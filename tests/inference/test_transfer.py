"""Planes come back one behind what is computed; on a CPU nothing is copied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from inference_fakes import FakeVolume, random_image, random_model

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.inference import Backend, Predictor, make_plan, model_normalisation
from fibseg.inference.transfer import Computed, landing, to_device
from fibseg.inference.windows import Windows


def test_a_plane_lands_when_the_next_one_is_under_way() -> None:
    asked: list[int] = []

    def computed():
        for z in range(3):
            asked.append(z)
            yield z, Computed(torch.full((2, 2), z, dtype=torch.uint8))

    assert next(landing(computed()))[0] == 0
    assert asked == [0], "on a CPU nothing is gained by waiting"
    asked.clear()
    landed = landing(computed(), behind=1)
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
    ((_, back),) = landing([(0, Computed(there))])
    assert np.shares_memory(plane, there.numpy())
    assert np.shares_memory(plane, back)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_back_what_it_got() -> None:  # pragma: no cover
    device = torch.device("cuda")
    planes = [np.random.default_rng(z).integers(0, 255, (512, 512), np.uint8) for z in range(5)]
    sent = ((z, Computed(to_device(plane, device))) for z, plane in enumerate(planes))
    for z, plane in landing(sent, behind=2):
        np.testing.assert_array_equal(plane, planes[z])


def test_planes_since_a_bad_value_are_not_handed_out() -> None:
    plane = torch.zeros((2, 2), dtype=torch.uint8)
    bad = [0, 0, 4, 4]
    planes = [(z, Computed(plane, torch.tensor(n))) for z, n in enumerate(bad)]
    got: list[int] = []
    with pytest.raises(DataError, match="gave 4 NaN"):
        got.extend(z for z, _ in landing(planes, behind=3))
    assert got == [0, 1]


def test_what_is_counted_comes_with_the_planes_and_is_forgotten_afterwards(monkeypatch) -> None:
    """What a GPU does, which counts and does not look, on a CPU."""
    network, spec = random_model()
    volume = FakeVolume(random_image((5, 40, 48)))
    plan = replace(make_plan(spec, volume), batch=1)
    looked = Windows._look_for_nan

    def counted(self, logits):
        bad = (~torch.isfinite(logits)).sum()
        self.bad = bad if self.bad is None else self.bad + bad

    monkeypatch.setattr(Windows, "_look_for_nan", counted)
    predictor = Predictor(
        network, spec, plan=plan, normalisation=model_normalisation(spec, volume),
        backend=Backend("torch", "float32"),
    )

    def read(box):
        return volume.image[box.slices]

    whole = Box.whole(volume.shape)
    good = predictor.box(read, whole)
    compute, n = predictor._windows._network, []
    a_plane = plan.y.n_windows * plan.x.n_windows

    def broken(images):
        n.append(1)
        logits = compute(images)
        return torch.full_like(logits, torch.nan) if len(n) == 2 * a_plane + 1 else logits

    predictor._windows._network = broken
    got = []
    with pytest.raises(DataError, match=r"gave \d+ NaN"):
        got.extend(plane for plane in predictor.planes(read, [0, 1, 2, 3, 4]))
    np.testing.assert_array_equal(np.stack(got, axis=1), np.stack(good)[:, :2])
    np.testing.assert_array_equal(predictor.box(read, whole), good)
    monkeypatch.setattr(Windows, "_look_for_nan", looked)
    np.testing.assert_array_equal(predictor.box(read, whole), good)
