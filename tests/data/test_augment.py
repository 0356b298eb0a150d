from __future__ import annotations

import dataclasses

import pytest
import torch

from fibseg.data import Augmentation, photometry, warp
from fibseg.data.augment import _smooth, crop_half, sampling_grid

OFF = Augmentation(
    rotate=False, scale=0, stretch=0, elastic=0, contrast=0, brightness=0, gamma=0, shading=0,
    noise=0, blur=0, curtain=0,
)
PATCH = 32
SIZE = 2 * crop_half(PATCH)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    g = generator(5)
    return torch.randn(n, 1, SIZE, SIZE, generator=g), torch.randint(
        0, 4, (n, SIZE, SIZE), generator=g, dtype=torch.uint8
    )


def test_without_strength_the_middle_is_cut_out() -> None:
    image, annotation = crops()
    got, target = warp(
        image, annotation, n_channels=3, patch=PATCH, strength=OFF, generator=generator()
    )
    middle = slice(SIZE // 2 - PATCH // 2, SIZE // 2 + PATCH // 2)
    torch.testing.assert_close(got, image[..., middle, middle], atol=1e-4, rtol=1e-4)
    want = annotation[:, middle, middle]
    assert torch.equal((target.sum(1) > 0.5), want > 0)
    assert torch.equal((target.argmax(1) + 1)[want > 0], want[want > 0].long())


def test_intensities_are_untouched_without_strength() -> None:
    image = torch.rand(4, 2, PATCH, PATCH) * 4 - 2
    got = photometry(image, strength=OFF, generator=generator())
    torch.testing.assert_close(got, image, atol=1e-5, rtol=1e-5)


def test_image_and_target_move_together() -> None:
    """An image that is the annotation still is after any warp."""
    g = generator(1)
    blobs = torch.nn.functional.interpolate(
        torch.rand(6, 1, 9, 9, generator=g), (SIZE, SIZE), mode="bilinear"
    )
    annotation = (blobs[:, 0] > 0.5).to(torch.uint8) + 1
    got, target = warp(
        (annotation[:, None] == 2).float(), annotation, n_channels=2, patch=PATCH,
        strength=Augmentation(), generator=generator(2),
    )
    torch.testing.assert_close(got[:, 0], target[:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(target.sum(1), torch.ones(6, PATCH, PATCH), atol=1e-4, rtol=0)


def test_unlabelled_stays_unlabelled() -> None:
    image = torch.zeros(2, 1, SIZE, SIZE)
    _, target = warp(
        image, torch.zeros(2, SIZE, SIZE, dtype=torch.uint8), n_channels=3, patch=PATCH,
        strength=Augmentation(), generator=generator(),
    )
    assert not target.any()


@pytest.mark.parametrize("seed", range(5))
def test_rotation_keeps_distances(seed: int) -> None:
    only = dataclasses.replace(OFF, rotate=True)
    grid = sampling_grid(8, patch=PATCH, size=SIZE, strength=only, generator=generator(seed))
    step = (grid[:, 1:, 0] - grid[:, :-1, 0]) * SIZE / 2
    torch.testing.assert_close(step.norm(dim=-1), torch.ones_like(step[..., 0]), atol=1e-4, rtol=0)


def test_half_of_the_patches_are_mirrored() -> None:
    only = dataclasses.replace(OFF, rotate=True)
    grid = sampling_grid(400, patch=8, size=SIZE, strength=only, generator=generator())
    dx, dy = grid[:, 0, 1] - grid[:, 0, 0], grid[:, 1, 0] - grid[:, 0, 0]
    turn = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
    assert 0.4 < float((turn < 0).float().mean()) < 0.6


def test_zoom_stays_within_its_strength() -> None:
    only = dataclasses.replace(OFF, scale=0.3)
    grid = sampling_grid(200, patch=8, size=SIZE, strength=only, generator=generator())
    zoom = ((grid[:, 0, 1] - grid[:, 0, 0]).norm(dim=-1) * SIZE / 2).log()
    assert zoom.abs().max() <= 0.3 + 1e-4
    assert zoom.std() > 0.1


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Augmentation)][4:])
def test_each_intensity_change_does_something_and_stays_bounded(name: str) -> None:
    strength = dataclasses.replace(OFF, **{name: getattr(Augmentation(), name)})
    image = torch.rand(16, 1, PATCH, PATCH, generator=generator(3)) * 4 - 2
    got = photometry(image, strength=strength, generator=generator(4))
    assert torch.isfinite(got).all()
    changed = (got - image).abs().amax((1, 2, 3))
    assert 1e-3 < changed.max() < 6


def test_stripes_run_along_one_axis() -> None:
    strength = dataclasses.replace(OFF, curtain=1.0)
    got = photometry(torch.zeros(32, 1, PATCH, PATCH), strength=strength, generator=generator())
    along_y = got.std(2).amax((1, 2)) < 1e-6
    along_x = got.std(3).amax((1, 2)) < 1e-6
    assert (along_y | along_x).all()
    assert (along_y & ~along_x).any()
    assert (along_x & ~along_y).any()


def test_smooth_fields_are_bicubic_interpolation() -> None:
    nodes = torch.randn(3, 2, 7, 7, generator=generator())
    want = torch.nn.functional.interpolate(nodes, (40, 24), mode="bicubic", align_corners=True)
    torch.testing.assert_close(_smooth(nodes, 40, 24), want, atol=1e-5, rtol=1e-5)


def test_the_same_generator_gives_the_same_batch() -> None:
    image, annotation = crops()
    results = [
        warp(image, annotation, n_channels=3, patch=PATCH, strength=Augmentation(),
             generator=generator(9))[0]
        for _ in range(2)
    ]
    assert torch.equal(*results)
