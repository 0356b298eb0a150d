"""How much of a correlation with distances is geometry: the spatial null.

Large objects have a small surface to volume, and their centres cannot come near a membrane. So
surface to volume goes with distance in a cell where every object lies at random. Here all objects
are put at random places, in random orientations, as they are, wholly inside the cytoplasm and
without overlap, many times; what was measured is compared with what that gives.

Objects and cell are looked at on a working grid, coarser than the volume, for speed. Measured
shapes do not depend on it, and distances are taken on it for measured and simulated places alike.
What is left is that an object fits only where none of its points is in a voxel that is taken, so
that it keeps a fraction of a voxel off a membrane that it could touch. `benchmarks/null.py` shows
what that does: for 20 objects of 0.12 to 0.45 µm radius in a cell of 2.5 µm, voxels of 0.2, 0.1 and
0.05 µm gave a mean coefficient with the nearer membrane of -0.50, -0.44 and -0.40, at a spread of
0.19. So take voxels of at most a quarter of the objects' radius where memory allows; with hundreds
of objects, whose null is narrower, see that half the voxel gives the same p.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fibseg.errors import UsageError
from fibseg.measure.clouds import Clouds
from fibseg.measure.cytoplasm import DISTANCES, Cell
from fibseg.measure.placing import placed_at_random
from fibseg.measure.statistics import MIN_OBJECTS
from fibseg.types import Table

Values = NDArray[np.float64]

_KINDS = ("pearson_r", "spearman_rho")
_MIDDLE = (0.025, 0.975)
_CONSTANT = 1e-12
_log = logging.getLogger("fibseg.measure")


@dataclass(frozen=True)
class SpatialNull:
    """What the simulations gave.

    Attributes
    ----------
    table
        One row per distance; see `spatial_null`.
    simulated
        Coefficients of every simulation by ``(column, kind)``, kind ``pearson_r`` or
        ``spearman_rho``, NaN where there were too few objects.
    unplaced
        ``label`` and ``n_unplaced`` of the objects that found no place in some simulations, and in
        how many of them.
    """

    table: Table
    simulated: dict[tuple[str, str], Values]
    unplaced: Table


def spatial_null(
    values: NDArray[Any],
    clouds: Clouds,
    cell: Cell,
    *,
    n_simulations: int = 199,
    n_tries: int = 2000,
    n_sweeps: int = 2,
    seed: int = 0,
) -> SpatialNull:
    """Correlations of a measure with `DISTANCES`, compared with objects placed at random.

    The p-value is two-sided: (1 + k) / (1 + n), where k of n simulations are at least as far from
    the mean of all coefficients, the measured one among them, as that is. Where the null holds, so
    that the measured one is one of n + 1 alike, p ≤ α has a probability of at most α (Barnard,
    J R Stat Soc B 25:294, 1963; Besag and Clifford, Biometrika 76:633, 1989).

    Parameters
    ----------
    values
        The measure, e.g. ``surface_to_volume_per_um``, one for each object of `clouds`. An object
        without a value (NaN), e.g. one that is cut by a face of the volume, takes no part in the
        correlation and stays where it is, in the way of the others.
    clouds
        All objects, from `fibseg.measure.clouds`, cells half as wide as the voxels of the cell.
    cell
        Cell and nucleus on the working grid.
    n_simulations, n_tries, n_sweeps, seed
        As in `fibseg.measure.placing.placed_at_random`.

    Returns
    -------
    SpatialNull
        The table has, for each distance, ``with_column``, ``n_objects``, ``n_simulations``,
        ``n_incomplete`` (in which an object found no place and is missing), ``pearson_r`` and
        ``spearman_rho`` as measured, with distances on the working grid; and for
        ``pearson`` and ``spearman`` each ``…_null_mean``, ``…_null_low`` and ``…_null_high`` (the
        middle 95 % of the simulations) and ``…_null_p``. NaN where fewer than
        `fibseg.measure.statistics.MIN_OBJECTS` are left, or one of the columns has the same value
        everywhere. An object that never found a place is left out of the measured coefficient, too.

    Raises
    ------
    UsageError
        If there are not as many values as objects, or nothing to simulate.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(clouds),):
        raise UsageError(f"{values.shape} values do not fit {len(clouds)} objects: one for each.")
    known = np.isfinite(values)
    moving = clouds.only(known)
    room = cell.cytoplasm.without(clouds.only(~known).points_um)
    placed = placed_at_random(
        moving, room, n_simulations=n_simulations, n_tries=n_tries, n_sweeps=n_sweeps, seed=seed
    )
    missing = np.isnan(placed[..., 0])
    measured = moving.centres_um
    measured[missing.all(axis=0)] = np.nan
    distances = cell.distances(np.concatenate([measured[None], placed]))
    rows, simulated = [], {}
    for column in DISTANCES:
        found = coefficients(values[known], distances[column])
        n_objects = int(np.isfinite(distances[column][0]).sum())
        row = {"with_column": column, "n_objects": n_objects, "n_simulations": n_simulations,
               "n_incomplete": int(missing.any(axis=1).sum())}
        for kind, each in zip(_KINDS, found, strict=True):
            row |= {kind: float(each[0])} | _compared(kind.partition("_")[0], each)
            simulated[column, kind] = each[1:]
        rows.append(row)
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return SpatialNull(table, simulated, _unplaced(moving, missing))


def coefficients(values: Values, others: Values) -> tuple[Values, Values]:
    """Pearson's and Spearman's correlation of `values` (n,) with each row of `others` (m, n).

    Objects whose value in a row is NaN are left out of it; NaN for a row with fewer than
    `fibseg.measure.statistics.MIN_OBJECTS` left, or with one value everywhere.
    """
    r, rho = np.full(len(others), np.nan), np.full(len(others), np.nan)
    there = np.isfinite(others)
    whole = there.all(axis=1)
    if len(values) >= MIN_OBJECTS and whole.any():
        r[whole] = _pearson(values, others[whole])
        rho[whole] = _pearson(rankdata(values), rankdata(others[whole], axis=1))
    for row in np.flatnonzero(~whole & (there.sum(axis=1) >= MIN_OBJECTS)):
        part = others[row, there[row]][None]
        r[row], rho[row] = (c[0] for c in coefficients(values[there[row]], part))
    return r, rho


def two_sided_p(measured: float, simulated: Values) -> float:
    """(1 + k) / (1 + n): k of n simulations are as far from the mean of all n + 1, or farther.

    >>> two_sided_p(0.9, np.array([0.1, -0.1, 0.3, -0.3]))
    0.2
    """
    if not (np.isfinite(measured) and len(simulated)):
        return float("nan")
    centre = np.append(simulated, measured).mean()
    # What is equal up to rounding counts as equal.
    as_far = np.abs(simulated - centre) >= abs(measured - centre) * (1 - 1e-12)
    return float((1 + np.count_nonzero(as_far)) / (1 + len(simulated)))


def _pearson(values: Values, others: Values) -> Values:
    least = _CONSTANT * np.linalg.norm(values) * np.linalg.norm(others, axis=1)
    values = values - values.mean()
    others = others - others.mean(axis=1, keepdims=True)
    spread = np.linalg.norm(values) * np.linalg.norm(others, axis=1)
    found = np.full(len(others), np.nan)
    np.divide(others @ values, spread, out=found, where=spread > least)
    return found


def _compared(name: str, found: Values) -> dict[str, float]:
    """Null and p-value from the coefficients, the measured one first."""
    simulated = found[1:][np.isfinite(found[1:])]
    low, high = np.quantile(simulated, _MIDDLE) if len(simulated) else (np.nan, np.nan)
    return {
        f"{name}_null_mean": float(simulated.mean()) if len(simulated) else float("nan"),
        f"{name}_null_low": float(low), f"{name}_null_high": float(high),
        f"{name}_null_p": two_sided_p(float(found[0]), simulated),
    }


def _unplaced(clouds: Clouds, missing: NDArray[np.bool_]) -> Table:
    n = np.asarray(missing.sum(axis=0))
    if n.any():
        _log.warning(
            "%d of %d objects found no place in some of %d simulations (labels %s): there they "
            "are missing", np.count_nonzero(n), len(clouds), len(missing),
            ", ".join(map(str, clouds.label[n > 0][:8])) + (", …" if (n > 0).sum() > 8 else ""),
        )
    return {"label": clouds.label[n > 0], "n_unplaced": n[n > 0]}
