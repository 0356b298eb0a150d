"""From a `NetworkSpec` to a network: the registry of architectures."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from fibseg.errors import UsageError
from fibseg.models.spec import NetworkSpec
from fibseg.models.unet import UNet

Builder = Callable[[NetworkSpec, int, int], nn.Module]


def build_network(spec: NetworkSpec, *, in_channels: int, n_classes: int) -> nn.Module:
    """Return an untrained network that gives logits, shape (b, 1 + n_classes, y, x).

    Channel 0 of the logits is the background, then come the classes in order.

    Parameters
    ----------
    spec
        The architecture.
    in_channels
        Planes given at once, `NetworkSpec.in_channels`.
    n_classes
        Number of classes, background not counted.

    Raises
    ------
    UsageError
        If the registry does not know the name.
    """
    if spec.name not in REGISTRY:
        raise UsageError(
            f"network.name={spec.name!r} is not an architecture of fibseg. "
            f"Use one of: {', '.join(sorted(REGISTRY))}."
        )
    return REGISTRY[spec.name](spec, in_channels, n_classes + 1)


def _unet(spec: NetworkSpec, n_in: int, n_out: int) -> nn.Module:
    """U-Net of the spec's features."""
    return UNet(n_in, n_out, features=spec.features, dropout=spec.dropout, norm=spec.norm)


REGISTRY: dict[str, Builder] = {"unet": _unet}
