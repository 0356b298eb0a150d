"""Nuclear pores and their pockets as labels that nobody painted."""

from fibseg.pseudolabel.bodies import PocketBody, PoreBody, grow_pockets, paint_pores
from fibseg.pseudolabel.envelope import EnvelopeDepth, contrast_within, mean_along
from fibseg.pseudolabel.mixture import confidence
from fibseg.pseudolabel.pockets import PocketLimits, envelope_shell, nearest_to_border
from fibseg.pseudolabel.pores import (
    Bridge,
    Sureness,
    annotate,
    are_sure,
    close_onto_membrane,
)
from fibseg.pseudolabel.sites import (
    COARSEST_NM,
    COLUMNS,
    PoreShape,
    candidates,
    find_sites,
    isolation_um,
    require_fine,
    require_thick,
    sites_at,
)

__all__ = [
    "COARSEST_NM", "COLUMNS", "Bridge", "EnvelopeDepth", "PocketBody", "PocketLimits", "PoreBody",
    "PoreShape", "Sureness", "annotate", "are_sure", "candidates", "close_onto_membrane",
    "confidence", "contrast_within", "envelope_shell", "find_sites", "grow_pockets",
    "isolation_um", "mean_along", "nearest_to_border", "paint_pores", "require_fine",
    "require_thick", "sites_at",
]
