"""Pockets to be made by ``fibseg pores``: what was asked for, and all that they depend on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from fibseg.data import Normalisation
from fibseg.errors import UsageError
from fibseg.pipeline.pocket_layers import layer_names, layers_stand
from fibseg.pipeline.pocket_operators import Chain
from fibseg.pipeline.pore_products import measured_on, nucleus_inputs
from fibseg.pseudolabel import PocketBody, PocketLimits, PoreShape, require_fine
from fibseg.pseudolabel.pockets import NAMES as METHODS
from fibseg.volume import Volume, fingerprint

POCKETS, SITES = "pockets", "pockets_sites"
"""Names of the label image and its table, and of the table of places."""
KEEP = ("products", "all")

RULES = 2
"""Goes up when pockets or pseudo-labels are found otherwise with the same settings."""


@dataclass(frozen=True)
class Settings:
    """What was asked for; attributes as in `fibseg.pipeline.pockets.run`."""

    nucleus: str
    method: str
    shape: PoreShape
    snap: bool
    least: float
    body: PocketBody
    chain: Chain | None
    limits: PocketLimits
    seed: int
    keep: str

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"method={self.method} is unknown. Use one of {', '.join(METHODS)}.")
        if self.keep not in KEEP:
            raise UsageError(f"keep={self.keep} is unknown. Use one of {', '.join(KEEP)}.")
        if not 0 <= self.least <= 1:
            raise UsageError(f"least={self.least:g} is no confidence: it lies from 0 to 1.")
        if self.method == "operators" and self.chain is None:
            raise UsageError("method=operators needs operators: choose them with operators.…")

    @property
    def about(self) -> dict[str, Any]:
        """Plain data of all that the pockets depend on, beside image and nucleus."""
        common = {
            "rules": RULES, "method": self.method, "shape": asdict(self.shape), "snap": self.snap,
            "limits": asdict(self.limits), "seed": self.seed, "least": self.least,
        }
        if self.method == "envelope":
            return {**common, "body": asdict(self.body)}
        return {**common, "chain": None if self.chain is None else self.chain.about}


@dataclass(frozen=True)
class Job:
    """Pockets to be made: of what, and the hash of all that they depend on."""

    settings: Settings
    inputs: str
    path: str = field(default=f"labels/{POCKETS}", init=False)

    def finished(self, store: Volume) -> bool:
        """Whether pockets and both tables, made of the same, are there, and asked-for layers."""
        if POCKETS not in store.label_names(kind="labels"):
            return False
        info = store.labels_info(POCKETS)
        if info.inputs != self.inputs:
            return False
        store.labels(POCKETS)  # damaged ones are an error: who edited them decides
        tables = all(measured_on(store, name, info.digest) for name in (POCKETS, SITES))
        return tables and (not self.layered or layers_stand(store, self.inputs))

    @property
    def layered(self) -> bool:
        """Whether intermediates are to be kept that there are."""
        return self.settings.keep == "all" and self.settings.method == "operators"

    def summary(self, store: Volume) -> dict[str, Any]:
        """Number of pockets and of places, and the volume in µm³."""
        table, sites = store.table(POCKETS), store.table(SITES)
        facts = {
            "n_objects": len(table["label"]), "n_sites": len(sites["label"]),
            "volume_um3": round(float(table["volume_um3"].sum()), 6),
            "table": f"tables/{POCKETS}.parquet",
        }
        return {self.path: facts}


def planned_job(store: Volume, settings: Settings) -> Job:
    """What is to be made; checks all that can be known without reading a voxel.

    Raises
    ------
    DataError
        If there is no such nucleus, or the image has one value nearly everywhere.
    UsageError
        If voxels are too coarse, or the nucleus is a painting or a product of this step.
    """
    require_fine(store.spacing)
    Normalisation.of(store)
    inputs = nucleus_inputs(store, settings.nucleus, made=[POCKETS, *layer_names()])
    return Job(settings, fingerprint({**inputs, **settings.about}))
