"""A network with all that is around it, as one graph: grey values in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fibseg.data.normalise import OUTSIDE, WIDTH
from fibseg.export.constants import Constants


class ImageGraph(nn.Module):
    """Probabilities, shape (b, 1 + classes, y, x), of raw values, shape (b, planes, y, x).

    Height and width are free: what lacks to a multiple of `multiple` is repeated from the last row
    and column, and cut off again.

    Parameters
    ----------
    network
        Logits of normalised images whose sides are multiples of `multiple`.
    constants
        Grey values that are normalised by.
    multiple
        Of the network.
    """

    low: Tensor
    high: Tensor

    def __init__(self, network: nn.Module, constants: Constants, *, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.invert = constants.invert
        self.multiple = multiple
        self.register_buffer("low", torch.tensor(constants.low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(constants.high, dtype=torch.float32))

    def forward(
        self, image: Tensor, low: Tensor | None = None, high: Tensor | None = None
    ) -> Tensor:
        """Softmax of the network; `low` and `high`, scalars, replace the constants."""
        ends = (self.low if low is None else low, self.high if high is None else high)
        height, width = image.shape[2], image.shape[3]
        x = normalised(image, *ends, invert=self.invert)
        # Written so that tracing keeps it: for any height and width.
        missing = (0, (-width) % self.multiple, 0, (-height) % self.multiple)
        x = functional.pad(x, missing, mode="replicate")
        logits: Tensor = self.network(x)
        return logits[:, :, :height, :width].softmax(1)


class TileGraph(nn.Module):
    """Probabilities, shape (1, y, x, 1 + classes), of a tile, shape (1, y, x, 1), values 0 to 1.

    The sides of the tile are multiples of what the network wants.

    Parameters
    ----------
    network
        Logits of normalised images.
    constants
        Grey values; images are taken for divided by the largest of the type, as programs do.
    """

    low: Tensor
    high: Tensor

    def __init__(self, network: nn.Module, constants: Constants) -> None:
        super().__init__()
        self.network = network
        self.invert = constants.invert
        self.largest = float(constants.largest)
        self.register_buffer("low", torch.tensor(constants.low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(constants.high, dtype=torch.float32))

    def forward(self, tile: Tensor) -> Tensor:
        """Softmax of the network, channels last."""
        # The very whole numbers that were divided come back: a norm over the plane, where that has
        # one value nearly everywhere, makes any rounding of it large.
        raw = tile.permute(0, 3, 1, 2) * self.largest
        x = normalised(raw, self.low, self.high, invert=self.invert)
        logits: Tensor = self.network(x)
        return logits.softmax(1).permute(0, 2, 3, 1)


def normalised(image: Tensor, low: Tensor, high: Tensor, *, invert: bool) -> Tensor:
    """Values as the network sees them, as `fibseg.data.normalise` makes them."""
    share = (image - low) / (high - low)
    if invert:
        share = 1 - share
    return (share.clamp(-OUTSIDE, 1 + OUTSIDE) - 0.5) * WIDTH
