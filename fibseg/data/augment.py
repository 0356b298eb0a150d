"""Augmentation of whole batches: one resampling for all geometry, then intensities.

Every function draws from the generator it is given and from nothing else, so that a batch is a
function of (seed, step). Working on the batch as one tensor is what makes a small step fast: a
chain of per-patch transforms takes longer than the network.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

from fibseg.data.share import SharedDraws
from fibseg.data.sparse import Augmentation

Draws = torch.Generator | SharedDraws
"""Source of random numbers, of a whole batch or of the own share in it."""

REACH = 1.75
"""Half width of a crop over half width of its patch: rotation by 45° and zoom stay inside."""

NODES = 7
"""Nodes per side of the grid that bends a patch."""

RANGE = 2.5
"""Half length of the range of normalised intensities, on which gamma works."""


def crop_half(patch: int) -> int:
    """Half width in pixels of the crop that a patch is resampled from."""
    return math.ceil(patch / 2 * REACH) + 8


def warp(
    image: Tensor, annotation: Tensor, *, n_channels: int, patch: int, strength: Augmentation,
    generator: Draws,
) -> tuple[Tensor, Tensor]:
    """Return patches and their soft targets after rotation, mirror, zoom and elastic bending.

    Parameters
    ----------
    image
        Normalised crops, shape (b, c, s, s).
    annotation
        Their annotation, shape (b, s, s), uint8: 0 unlabelled, 1 background, 2… classes.
    n_channels
        Background and classes.
    patch
        Height and width of what is returned: (b, c, patch, patch) and, as shares of each class,
        (b, n_channels, patch, patch), which sum to 0 where unlabelled.
    strength, generator
        How much, and the source of all draws.
    """
    wanted = torch.arange(1, n_channels + 1, device=annotation.device, dtype=annotation.dtype)
    target = (annotation[:, None] == wanted.view(1, -1, 1, 1)).to(image.dtype)
    grid = sampling_grid(
        len(image), patch=patch, size=image.shape[-1], strength=strength, generator=generator
    )
    both = functional.grid_sample(
        torch.cat([image, target], 1), grid, mode="bilinear", padding_mode="reflection",
        align_corners=False,
    )
    return both[:, : image.shape[1]], both[:, image.shape[1] :]


def sampling_grid(
    n: int, *, patch: int, size: int, strength: Augmentation, generator: Draws
) -> Tensor:
    """Positions in crops of `size`, shape (n, patch, patch, 2), for `grid_sample`."""
    device = generator.device
    matrix = _matrices(n, strength, generator)
    axis = torch.arange(patch, device=device) - (patch - 1) / 2
    pixel = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    position = torch.einsum("nij,hwj->nhwi", matrix, pixel)
    if strength.elastic:
        amount = strength.elastic * 1.5 * _uniform((n, 1, 1, 1), 0, 1, generator)
        nodes = amount * _normal((n, 2, NODES, NODES), generator)
        position = position + _smooth(nodes, patch, patch).permute(0, 2, 3, 1)
    return position / (size / 2)


def _matrices(n: int, strength: Augmentation, generator: Draws) -> Tensor:
    """Rotation, mirror, zoom and stretch in one matrix each, shape (n, 2, 2)."""
    turn = _uniform((n,), 0, 2 * math.pi, generator)
    mirror = torch.sign(_uniform((n,), -1, 1, generator) + 1e-9)
    zoom = torch.exp(_uniform((n,), -strength.scale, strength.scale, generator))
    stretch = torch.exp(_uniform((n,), -strength.stretch, strength.stretch, generator))
    along = _rotations(_uniform((n,), 0, math.pi, generator))
    if not strength.rotate:
        turn, mirror = torch.zeros_like(turn), torch.ones_like(mirror)
    scales = torch.diag_embed(torch.stack([zoom * stretch, zoom / stretch], -1))
    flip = torch.diag_embed(torch.stack([mirror, torch.ones_like(mirror)], -1))
    return _rotations(turn) @ flip @ along @ scales @ along.transpose(1, 2)


def _rotations(angle: Tensor) -> Tensor:
    """Rotation matrices, shape (n, 2, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def photometry(image: Tensor, *, strength: Augmentation, generator: Draws) -> Tensor:
    """Return patches, shape (b, c, y, x), with the faults and habits of other microscopes.

    Blur or sharpening, gamma, contrast, brightness, shading, curtaining and noise; the planes of
    one patch (its channels) share all but the noise.
    """
    n, _, height, width = image.shape
    one = (n, 1, 1, 1)
    x = _blur(image, strength, generator)
    power = torch.exp(_uniform(one, -strength.gamma, strength.gamma, generator))
    share = ((x + RANGE) / (2 * RANGE)).clamp(0, 1)
    x = torch.where(_chance(one, 0.7, generator), share**power * 2 * RANGE - RANGE, x)
    x = x * torch.exp(_uniform(one, -strength.contrast, strength.contrast, generator))
    x = x + _uniform(one, -strength.brightness, strength.brightness, generator)
    field = _normal((n, 1, 4, 4), generator)
    field = _smooth(field, height, width)
    x = x + field * _sometimes(one, 0.5, strength.shading, generator)
    x = x + _stripes(n, height, width, generator) * _sometimes(
        one, 0.3, strength.curtain, generator
    )
    noise = _normal(tuple(image.shape), generator)
    return x + noise * _sometimes(one, 0.7, strength.noise, generator)


def _smooth(nodes: Tensor, height: int, width: int) -> Tensor:
    """Nodes (…, k, k) interpolated bicubically to (…, height, width), corners on corners.

    As two matrix products: `interpolate` takes twenty times as long for so few nodes.
    """
    rows, columns = (
        _cubic(nodes.shape[-1], n).to(nodes.device, nodes.dtype) for n in (height, width)
    )
    return rows @ nodes @ columns.T


@functools.lru_cache(maxsize=16)
def _cubic(k: int, n: int) -> Tensor:
    """Matrix (n, k) that interpolates k values to n."""
    unit = torch.eye(k)[:, None, :, None].expand(k, 1, k, 2).contiguous()
    spread = functional.interpolate(unit, (n, 2), mode="bicubic", align_corners=True)
    return spread[:, 0, :, 0].T.contiguous()


def _blur(image: Tensor, strength: Augmentation, generator: Draws) -> Tensor:
    """Half of the patches blurred, or sharpened by taking the blur away."""
    n, channels = image.shape[:2]
    sigma = _uniform((n,), 0.3, max(strength.blur, 0.31), generator)
    amount = _uniform((n, 1, 1, 1), -0.5, 1, generator) * _chance((n, 1, 1, 1), 0.5, generator)
    if not strength.blur:
        return image
    offset = torch.arange(-3, 4, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = image.reshape(1, n * channels, *image.shape[2:])
    flat = functional.pad(flat, (3, 3, 3, 3), mode="reflect")
    flat = functional.conv2d(flat, kernel.view(-1, 1, 1, 7), groups=n * channels)
    flat = functional.conv2d(flat, kernel.view(-1, 1, 7, 1), groups=n * channels)
    return image + amount * (flat.view_as(image) - image)


def _stripes(n: int, height: int, width: int, generator: Draws) -> Tensor:
    """Random profiles along one axis, constant along the other, shape (n, 1, y, x)."""
    across = _normal((n, 1, max(height, width)), generator)
    across = functional.avg_pool1d(across, 3, 1, 1) * math.sqrt(3)
    vertical = across[:, :, None, :width].expand(n, 1, height, width)
    level = across[:, :, :height, None].expand(n, 1, height, width)
    return torch.where(_chance((n, 1, 1, 1), 0.5, generator), vertical, level)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: Draws) -> Tensor:
    """Uniform numbers from low to high."""
    return _unit(shape, generator) * (high - low) + low


def _chance(shape: tuple[int, ...], share: float, generator: Draws) -> Tensor:
    """True in this share of draws."""
    return _unit(shape, generator) < share


def _sometimes(shape: tuple[int, ...], share: float, most: float, generator: Draws) -> Tensor:
    """0 to `most` in this share of draws, else 0."""
    return _chance(shape, share, generator) * _uniform(shape, 0, most, generator)


def _unit(shape: tuple[int, ...], generator: Draws) -> Tensor:
    """Uniform numbers from 0 to 1, patches first."""
    if isinstance(generator, SharedDraws):
        return generator.rand(shape)
    return torch.rand(shape, generator=generator, device=generator.device)


def _normal(shape: tuple[int, ...], generator: Draws) -> Tensor:
    """Normal numbers, patches first."""
    if isinstance(generator, SharedDraws):
        return generator.randn(shape)
    return torch.randn(shape, generator=generator, device=generator.device)
