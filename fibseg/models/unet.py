"""A small 2D U-Net of MONAI convolutions, with as many floors as `features` has entries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.nn import functional

_NORMS: dict[str, object] = {
    "batch": "batch",
    "instance": ("instance", {"affine": True}),
    "group": ("group", {"num_groups": 8}),
}


class UNet(nn.Module):
    """Logits, shape (b, n_out, y, x), of images, shape (b, n_in, y, x).

    Two 3 x 3 convolutions per floor, 2 x 2 max pooling on the way down, nearest-neighbour
    upsampling and concatenation on the way up (Ronneberger 2015, arXiv:1505.04597). Nearest
    upsampling keeps the receptive field, and so the margin of a window, as small as it can be.
    """

    def __init__(
        self, n_in: int, n_out: int, *, features: Sequence[int], dropout: float, norm: str
    ) -> None:
        super().__init__()
        below = [n_in, *features[:-1]]
        self.encoder = nn.ModuleList(
            [_floor(a, b, norm) for a, b in zip(below, features, strict=True)]
        )
        self.decoder = nn.ModuleList(
            [_floor(a + b, a, norm) for a, b in itertools.pairwise(features)]
        )
        self.drop = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(features[0], n_out, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the same height and width."""
        skips: list[Tensor] = []
        x = image
        for level, floor in enumerate(self.encoder):
            x = floor(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = self.drop(x)
        for level in reversed(range(len(self.decoder))):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.decoder[level](torch.cat([skips[level], x], 1))
        logits: Tensor = self.head(self.drop(x))
        return logits


def _floor(n_in: int, n_out: int, norm: str) -> nn.Sequential:
    """Two convolutions, each with norm and ReLU."""
    return nn.Sequential(*(
        Convolution(
            2, n, n_out, kernel_size=3, bias=False, norm=_NORMS[norm],
            act=("relu", {"inplace": True}), adn_ordering="NA",
        )
        for n in (n_in, n_out)
    ))
