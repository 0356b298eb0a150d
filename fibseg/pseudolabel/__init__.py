"""Nuclear pores and their pockets as labels that nobody painted."""

from fibseg.pseudolabel.envelope import Envelope, contrast_within, mean_along
from fibseg.pseudolabel.sites import (
    COARSEST_NM,
    PoreShape,
    candidates,
    confidence,
    isolation_um,
    require_fine,
)

__all__ = [
    "COARSEST_NM", "Envelope", "PoreShape", "candidates", "confidence", "contrast_within",
    "isolation_um", "mean_along", "require_fine",
]
