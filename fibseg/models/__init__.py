"""Networks and masked losses."""

from fibseg.models.build import build_network
from fibseg.models.losses import consistency, masked_dice_ce
from fibseg.models.spec import NetworkSpec, receptive_margin, stride_multiple

__all__ = [
    "NetworkSpec", "build_network", "consistency", "masked_dice_ce", "receptive_margin",
    "stride_multiple",
]
