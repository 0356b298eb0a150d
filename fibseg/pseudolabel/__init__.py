"""Nuclear pores and their pockets as labels that nobody painted."""

from fibseg.pseudolabel.bodies import PocketBody, PoreBody, grow_pockets, paint_pores
from fibseg.pseudolabel.envelope import Envelope, contrast_within, mean_along
from fibseg.pseudolabel.sites import (
    COARSEST_NM,
    COLUMNS,
    PoreShape,
    candidates,
    confidence,
    find_sites,
    isolation_um,
    require_fine,
    sites_at,
)

__all__ = [
    "COARSEST_NM", "COLUMNS", "Envelope", "PocketBody", "PoreBody", "PoreShape", "candidates",
    "confidence", "contrast_within", "find_sites", "grow_pockets", "isolation_um", "mean_along",
    "paint_pores", "require_fine", "sites_at",
]
