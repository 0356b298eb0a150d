from __future__ import annotations

import numpy as np
import pytest
import torch

from fibseg.data import (
    HeldOut,
    HeldOutPlane,
    Normalisation,
    PaintedPlanes,
    PlaneStack,
    SparseData,
    Split,
)
from fibseg.pictures import CORRECT, INVENTED
from fibseg.training.panels import MOST, SIDE, HeldOutPictures, _window

SPACING = (20.0, 20.0, 20.0)


def stack(shape: tuple[int, int, int], *, context: int = 0) -> PlaneStack:
    n = shape[0]
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    rows = np.stack([np.arange(n).clip(0, n - 1)] * (2 * context + 1), 1)
    return PlaneStack(
        "cell", tuple(range(0, 10 * n, 10)), image, rows, np.zeros(shape, np.uint8),
        Normalisation(0, 255, invert=False), (10 * n, *shape[1:]), SPACING, SPACING,
    )


def split_of(annotation: np.ndarray) -> Split:
    held = tuple(HeldOut(0, 10 * i) for i in range(len(annotation)))
    return Split("planes", ((),), held, tuple(annotation))


def shown(planes: PlaneStack, annotation: np.ndarray) -> list[HeldOutPlane]:
    return PaintedPlanes([planes], split_of(annotation), 2, SparseData()).held_out(MOST)


class Brightness(torch.nn.Module):
    """Class where the middle plane is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(50.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        middle = image[:, image.shape[1] // 2][:, None]
        return torch.cat([-self.gain * middle, self.gain * middle], 1)


@pytest.mark.parametrize("context", [0, 1])
def test_a_right_network_is_drawn_green_and_scores_one(context: int) -> None:
    planes = stack((1, 40, 64), context=context)
    annotation = np.where(planes.image > 127, 2, 1).astype(np.uint8)
    annotation[:, :, :8] = 0
    pictures = HeldOutPictures(shown(planes, annotation), {"m": 2}, multiple=4)
    images, scores = pictures.draw(Brightness())
    assert scores == {"held_out/iou_m": 1.0}
    (image,) = images.values()
    assert image.shape == (40, 4 * 64 + 3 * 4, 3)
    error = image[:, -64 + 8 :].reshape(-1, 3).astype(int)
    assert (np.abs(error - INVENTED).sum(1) > 40).all()
    assert np.abs(error - CORRECT).sum(1).min() < 200


def test_only_what_is_painted_is_scored() -> None:
    planes = stack((1, 40, 40))
    right = np.where(planes.image > 127, 2, 1).astype(np.uint8)
    wrong = (3 - right).astype(np.uint8)
    wrong[:, :20] = 0
    pictures = HeldOutPictures(shown(planes, wrong), {"m": 2}, multiple=4)
    assert pictures.draw(Brightness())[1] == {"held_out/iou_m": 0.0}


def test_few_planes_are_drawn_of_many() -> None:
    planes = stack((11, 16, 16))
    pictures = HeldOutPictures(
        shown(planes, np.ones((11, 16, 16), np.uint8)), {"m": 2, "n": 3}, multiple=4
    )
    assert 1 <= len(pictures.parts) <= MOST
    images, _ = pictures.draw(torch.nn.Conv2d(1, 3, 1))
    assert len(images) == 2 * len(pictures.parts)
    assert len(set(images)) == len(images)


def test_nothing_held_out_draws_nothing() -> None:
    nothing = Split("none", ((0,),), (), ())
    source = PaintedPlanes([stack((1, 8, 8))], nothing, 2, SparseData())
    pictures = HeldOutPictures(source.held_out(MOST), {"m": 2}, multiple=4)
    assert pictures.draw(Brightness()) == ({}, {})


@pytest.mark.parametrize("n", [50, SIDE, 1000])
@pytest.mark.parametrize("at", [0, 20, 49])
def test_the_window_is_inside_around_the_paint_and_fits_the_network(n: int, at: int) -> None:
    annotation = np.zeros((n, n), np.uint8)
    annotation[at, at] = 1
    for cut in _window(annotation, 16):
        assert 0 <= cut.start < cut.stop <= n
        assert (cut.stop - cut.start) % 16 == 0
        assert cut.start <= at < cut.stop or n % 16


def test_the_mode_of_the_network_is_put_back() -> None:
    planes = stack((1, 16, 16))
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Conv2d(1, 2, 1)).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    HeldOutPictures(
        shown(planes, np.ones((1, 16, 16), np.uint8)), {"m": 2}, multiple=4
    ).draw(network)
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
