"""What ``fibseg measure`` is asked beyond shapes and distances: classes, correlations, a null."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fibseg.errors import UsageError

RULES = ("mixture", "thresholds")
LARGEST_SEED = 2**32 - 1
"""scikit-learn takes no larger one."""


@dataclass(frozen=True)
class ClassRule:
    """How objects are sorted into perinuclear, intermediate and peripheral ones.

    Parameters
    ----------
    rule
        ``mixture`` of three normal distributions that is fitted, or fixed ``thresholds``.
    column
        Of distances, in the table; None is the distance of the centre from the nucleus.
    near_um, far_um
        Perinuclear up to the first, peripheral from the second on; of thresholds only.
    seed
        Of the starts of the fit.

    Raises
    ------
    UsageError
        If these cannot be meant.
    """

    rule: str = "mixture"
    column: str | None = None
    near_um: float | None = None
    far_um: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        near, far = self.near_um, self.far_um
        if self.rule not in RULES:
            raise UsageError(f"classes.rule={self.rule} is none of {', '.join(RULES)}.")
        if self.rule == "mixture" and (near, far) != (None, None):
            raise UsageError(
                f"classes.near_um={near} and classes.far_um={far} are nothing to a mixture, which "
                "finds its own limits. Leave them out, or add classes.rule=thresholds."
            )
        if self.rule == "thresholds" and (near is None or far is None or not near < far):
            raise UsageError(
                f"classes.rule=thresholds needs classes.near_um below classes.far_um, not "
                f"{near} and {far}. Give both, e.g. classes.near_um=0.5 classes.far_um=2."
            )
        _check_seed("classes", self.seed)


@dataclass(frozen=True)
class Correlating:
    """Which correlations with distances are stated, and with how many simulations behind them.

    Parameters
    ----------
    column
        Of the table; goes with the distance to each target, and to the nearest, but itself.
    n_bootstrap
        Draws for the intervals, at most.
    n_simulations
        Of objects at random in the cytoplasm, for the spatial null; 0 leaves it out.
    voxel_nm
        Of the grid that objects are placed on; None is a quarter of their radius. A whole number
        of voxels of the volume is taken, at most that, but more where memory asks for it.
    seed
        Of draws and simulations.

    Raises
    ------
    UsageError
        If these cannot be meant.
    """

    column: str = "surface_to_volume_per_um"
    n_bootstrap: int = 2000
    n_simulations: int = 199
    voxel_nm: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_bootstrap < 100:
            raise UsageError(
                f"correlations.n_bootstrap={self.n_bootstrap} draws give no interval. Give at "
                "least 100, e.g. 2000."
            )
        if self.n_simulations < 0:
            raise UsageError(
                f"correlations.n_simulations={self.n_simulations} is no number of simulations. "
                "Give e.g. 199, or 0 for none."
            )
        if self.voxel_nm is not None and not (self.voxel_nm > 0 and math.isfinite(self.voxel_nm)):
            raise UsageError(
                f"correlations.voxel_nm={self.voxel_nm} is no size of a voxel. Give e.g. 50, or "
                "null for a quarter of the objects' radius."
            )
        _check_seed("correlations", self.seed)


def _check_seed(part: str, seed: int) -> None:
    if seed < 0:
        raise UsageError(f"{part}.seed={seed} is below 0. Give 0, 1, 2, …")
    if seed > LARGEST_SEED:
        raise UsageError(f"{part}.seed={seed} is above {LARGEST_SEED}. Give 0, 1, 2, …")
