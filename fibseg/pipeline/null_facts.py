"""The spatial null of a stored cell: the working grid, what is placed on it, what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.measure.cytoplasm import DISTANCES
from fibseg.measure.null import SpatialNull, spatial_null
from fibseg.measure.settings import Correlating
from fibseg.measure.working_grid import OF_RADIUS, WorkingGrid, working_grid
from fibseg.pipeline.bench import Array
from fibseg.pipeline.cell_room import coarse_cell, object_clouds
from fibseg.types import Spacing, Table

_log = logging.getLogger("fibseg.pipeline")


def null_facts(
    table: Table,
    values: NDArray[np.float64],
    labels: Mapping[str, Array],
    asked: Correlating,
    *,
    columns: Sequence[str],
    folder: Path,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    inputs: str = "",
    spacing: Spacing,
) -> dict[str, Any]:
    """The spatial null of a column of a table, as plain values.

    ``n_unplaced`` objects found no place in some simulations, ``never_placed`` (labels) in none.

    Parameters
    ----------
    table
        Of all objects, with ``label``, ``volume_um3`` and ``surface_to_volume_per_um``.
    values
        The column; NaN for objects that stay where they are.
    labels
        Label images ``objects``, ``cell`` and ``nucleus`` on one grid.
    asked
        Number of simulations, voxel and seed.
    columns
        Names of `fibseg.measure.cytoplasm.DISTANCES` in the table.
    folder
        Where what is known of single blocks is kept; the caller removes it.
    block_shape, runner
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what the label images are.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    z, y, x = labels["objects"].shape
    wanted_nm = asked.voxel_nm or OF_RADIUS * 1e3 * object_radius_um(table)
    grid = working_grid(
        wanted_nm, volume_um3=float(table["volume_um3"].sum()), shape=(z, y, x), spacing=spacing
    )
    _tell(grid, wanted_nm)
    over: dict[str, Any] = {"block_shape": block_shape, "runner": runner, "inputs": inputs}
    cell = coarse_cell(
        labels["cell"], labels["nucleus"], grid, scratch=folder / "room", **over
    )
    clouds = object_clouds(labels["objects"], grid, scratch=folder / "clouds", **over)
    found = spatial_null(
        values, clouds, cell, n_simulations=asked.n_simulations, seed=asked.seed
    )
    return _plain(found, dict(zip(DISTANCES, columns, strict=True)), grid, asked)


def object_radius_um(table: Table) -> float:
    """Median radius of objects: twice volume by surface, which is that of a tube.

    Where no surface is known, it is that of a ball of the volume.
    """
    per_um = table["surface_to_volume_per_um"]
    known = per_um[np.isfinite(per_um) & (per_um > 0)]
    if len(known):
        return float(np.median(2 / known))
    return float(np.median(np.cbrt(table["volume_um3"] * 3 / (4 * np.pi))))


def _tell(grid: WorkingGrid, wanted_nm: float) -> None:
    size = " x ".join(f"{nm:g}" for nm in grid.spacing)
    pairs = zip(grid.factors, grid.spacing, strict=True)
    coarse = any(f > 1 and nm > wanted_nm * (1 + 1e-9) for f, nm in pairs)
    note = f", coarser than {wanted_nm:.3g} nm for the sake of memory and time" if coarse else ""
    _log.info("spatial null: objects are placed on voxels of %s nm%s", size, note)


def _plain(
    found: SpatialNull, names: Mapping[str, str], grid: WorkingGrid, asked: Correlating
) -> dict[str, Any]:
    """What the metadata of a table hold, under the names of its columns."""
    table: dict[str, Any] = {name: column.tolist() for name, column in found.table.items()}
    table["with_column"] = [names[name] for name in table["with_column"]]
    simulated: dict[str, dict[str, list[float]]] = {name: {} for name in names.values()}
    for (name, kind), values in found.simulated.items():
        simulated[names[name]][kind] = values.tolist()
    return {
        "table": table, "simulated": simulated, "voxel_nm": list(grid.spacing),
        "n_simulations": asked.n_simulations, "seed": asked.seed,
        "n_unplaced": len(found.unplaced["label"]),
        "never_placed": found.unplaced["label"][
            found.unplaced["n_unplaced"] == asked.n_simulations
        ].tolist(),
    }
