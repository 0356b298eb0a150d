"""What a network is, in plain values: the part of a model folder that rebuilds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fibseg.errors import UsageError

NORMS = ("batch", "instance", "group")


@dataclass(frozen=True)
class NetworkSpec:
    """Architecture of a network, by registry name.

    Parameters
    ----------
    name
        Name in the registry of `fibseg.models.build_network`.
    features
        Channels on every floor of the U-Net, finest first; n floors halve the plane n - 1 times.
    dropout
        Share of channels dropped at the bottom and before the last layer, while training.
    norm
        ``"batch"`` (fastest, and windows equal the whole plane), ``"instance"`` or ``"group"``.
    context
        Neighbouring planes on each side that are given as further channels.

    Raises
    ------
    UsageError
        If a value cannot be meant.
    """

    name: str = "unet"
    features: Sequence[int] = (16, 32, 64, 96, 128)
    dropout: float = 0.1
    norm: str = "batch"
    context: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(int(f) for f in self.features))
        if not self.features or min(self.features) < 1:
            raise UsageError(
                f"network.features={list(self.features)} names no channels. Use e.g. [16,32,64]."
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(f"network.dropout={self.dropout} is not a share from 0 to below 1.")
        if self.norm not in NORMS:
            raise UsageError(f"network.norm={self.norm!r} is none of {', '.join(NORMS)}.")
        if self.norm == "group" and any(f % 8 for f in self.features):
            raise UsageError(
                f"network.norm=group needs features divisible by 8, not {list(self.features)}."
            )
        if self.context < 0:
            raise UsageError(f"network.context={self.context} is negative. Use 0, 1 or 2.")

    @property
    def in_channels(self) -> int:
        """Number of planes that the network sees at once."""
        return 2 * self.context + 1


def stride_multiple(spec: NetworkSpec) -> int:
    """Number of pixels that height and width of an input must be a multiple of.

    >>> stride_multiple(NetworkSpec(features=(8, 16, 32)))
    4
    """
    return int(2 ** (len(spec.features) - 1))


def receptive_margin(spec: NetworkSpec) -> int:
    """Pixels around an output pixel beyond which no input pixel can change it.

    Exact for ``norm="batch"`` in evaluation: the range of inputs is followed through two 3 x 3
    convolutions per floor, 2 x 2 pooling and nearest-neighbour upsampling, for every position of
    the output pixel on the pooling grid. With other norms the whole plane has a (small) influence.

    >>> receptive_margin(NetworkSpec(features=(8,)))
    2
    """
    depth = len(spec.features) - 1
    margin = 0
    for pixel in range(2**depth):
        low, high = _decoder_input(0, pixel, pixel, depth)
        margin = max(margin, pixel - low, high - pixel)
    return margin


def _encoder_input(floor: int, low: int, high: int) -> tuple[int, int]:
    """Input range that outputs `low` to `high` of the encoder on `floor` depend on."""
    for _ in range(floor):
        low, high = 2 * (low - 2), 2 * (high + 2) + 1
    return low - 2, high + 2


def _decoder_input(floor: int, low: int, high: int, depth: int) -> tuple[int, int]:
    """Input range that outputs `low` to `high` of the decoder on `floor` depend on."""
    if floor == depth:
        return _encoder_input(floor, low, high)
    low, high = low - 2, high + 2
    skip = _encoder_input(floor, low, high)
    below = _decoder_input(floor + 1, low // 2, high // 2, depth)
    return min(skip[0], below[0]), max(skip[1], below[1])
