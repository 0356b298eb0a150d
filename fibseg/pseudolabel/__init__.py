"""Nuclear pores and their pockets as labels that nobody painted."""

from fibseg.pseudolabel.bodies import PocketBody, PoreBody, grow_pockets, paint_pores
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
    "COARSEST_NM", "Envelope", "PocketBody", "PoreBody", "PoreShape", "candidates", "confidence",
    "contrast_within", "grow_pockets", "isolation_um", "mean_along", "paint_pores", "require_fine",
]
