"""Step ``pockets`` of ``fibseg pores``: where pores may be, and the pockets behind them.

::

    envelope     places by gap and pocket on the envelope, how sure each is, a pocket behind each
    operators    pockets by operators, one after the other; then their feet on the envelope

Both end in ``labels/pockets``, a table of them, and ``tables/pockets_sites``: every place that was
looked at, with the number of its pocket or 0.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fibseg.blocks import Runner, Serial, layout_key
from fibseg.errors import UsageError
from fibseg.pipeline.bench import Array, Sheet, Work
from fibseg.pipeline.distribution_job import own_columns
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.nucleus_border import blocks_with_border
from fibseg.pipeline.pocket_layers import layer_names, layers_stand, write_layers
from fibseg.pipeline.pocket_operators import Chain
from fibseg.pipeline.pocket_passes import grown_behind, keep_pockets
from fibseg.pipeline.pocket_places import joined, renumbered, sure_sites, with_feet
from fibseg.pipeline.pore_products import measured_on, nucleus_inputs, refuse_foreign
from fibseg.pipeline.pore_sites import pore_sites
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.region_sums import region_table
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.verify_voxels import unedited
from fibseg.pseudolabel import (
    PocketBody,
    PocketLimits,
    PoreShape,
    require_fine,
)
from fibseg.pseudolabel.pockets import LIMITS
from fibseg.pseudolabel.pockets import NAMES as METHODS
from fibseg.types import Table
from fibseg.volume import Product, Volume, fingerprint

POCKETS, SITES = "pockets", "pockets_sites"
"""Names of the label image and its table, and of the table of places."""
KEEP = ("products", "all")

RULES = 2
"""Goes up when pockets or pseudo-labels are found otherwise with the same settings."""
_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str,
    nucleus: str = "nucleus",
    method: str = "envelope",
    shape: PoreShape | None = None,
    snap: bool = True,
    least: float = 0.5,
    body: PocketBody | None = None,
    operators: Mapping[str, Operator | None] | None = None,
    depth_nm: Sequence[float] = (40.0, 200.0),
    share: float = 0.3,
    limits: Mapping[str, PocketLimits] | None = None,
    seed: int = 0,
    keep: str = "products",
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Products:
    """Number of pockets, their volume, and how many places were looked at.

    Parameters
    ----------
    volume
        Path of the store.
    nucleus
        Label image of the nucleus, or of several; where a face of the volume cuts it, there is no
        envelope.
    method
        ``"envelope"`` or ``"operators"``.
    shape
        What a pore looks like.
    snap
        Whether the envelope is moved to the membranes first.
    least
        Confidence from which a place has a pocket grown behind it (method envelope); 0 takes all
        places, and does not ask whether there are two kinds.
    body
        What a pocket behind a place may take (method envelope).
    operators, depth_nm, share
        As in `fibseg.pipeline.pocket_operators.Chain` (method operators).
    limits
        Which pockets are kept, by method.
    seed
        Of the mixture that tells pores from chance.
    keep
        ``"all"`` makes every intermediate of the operators a layer of the store.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace pockets that come from elsewhere.

    Raises
    ------
    DataError
        If there is no such nucleus, it has no border, or nothing on it looks like a pore.
    ExistsError
        If other pockets stand there.
    BusyError
        If another run is writing them.
    UsageError
        If a setting cannot be meant, or voxels are too coarse, before any work.
    """
    store = Volume.open(volume)
    job = planned_job(store, Settings(
        nucleus, method, shape or PoreShape(), snap, least, body or PocketBody(),
        Chain(operators, depth_nm, share) if operators is not None else None,
        (limits or {}).get(method) or LIMITS.get(method) or PocketLimits(), seed, keep,
    ))
    refuse_foreign(
        store, [POCKETS, *(layer_names() if job.layered else [])], job.inputs,
        f"labels/{nucleus}", overwrite=overwrite,
    )
    if job.finished(store):
        _log.info("%s are there already, made with the same settings", job.path)
        tidy(store, job.path)
        return Products(str(volume), job.summary(store))
    with store.locked(job.path):
        record = store.start_run(
            "pores", config=dict(config or {}), overrides=list(overrides),
            inputs={"raw": store.raw_digest,
                    f"labels/{nucleus}": store.labels_info(nucleus).digest},
        )
        with record:
            make_pockets(store, job, blocks=blocks, overwrite=overwrite)
            result = job.summary(store)
            record.finish(
                products={job.path: store.labels_info(POCKETS).digest}, metrics=result
            )
    return Products(str(volume), result)


@dataclass(frozen=True)
class Settings:
    """What was asked for; attributes as in `run`."""

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
        If there is no such nucleus.
    UsageError
        If voxels are too coarse, or the nucleus is a painting or a product of this step.
    """
    require_fine(store.spacing)
    inputs = nucleus_inputs(store, settings.nucleus, made=[POCKETS, *layer_names()])
    return Job(settings, fingerprint({**inputs, **settings.about}))


def make_pockets(
    store: Volume, job: Job, *, blocks: Runner | None = None, overwrite: bool = False
) -> None:
    """Make the pockets, their table and that of places, or whatever of it is missing."""
    bench, asked = StoreBench(store, job.path), job.settings
    work = Work(bench, store.block_shape, blocks or Serial(), store.spacing)
    raw, nucleus = store.raw(), store.labels(asked.nucleus)
    places = functools.partial(
        pore_sites, raw, nucleus, shape=asked.shape, snap=asked.snap,
        bright_stain=store.polarity == "bright", runner=work.runner, inputs=job.inputs,
        spacing=store.spacing,
    )
    blocks_with_border(
        nucleus, block_shape=work.block_shape, runner=work.runner, named=f"labels/{asked.nucleus}"
    )
    # Whether there are pores is known before anything that stands there is given up.
    known: dict[str, Any] = {"least": asked.least, "seed": asked.seed}
    sites = sure_sites(places(scratch=bench.folder("places")), **known)
    found = _pockets(raw, nucleus, sites, store, job, work)
    product = store.create_labels(
        POCKETS, kind="labels", dtype=np.uint32, inputs=job.inputs, overwrite=overwrite,
        derived_from=f"labels/{asked.nucleus}",
        unedited=functools.partial(unedited, runner=work.runner),
        attributes={"method": asked.method},
    )
    kept = keep_pockets(
        found, nucleus, None if product.complete else _sheet(product, bench),
        limits=asked.limits, work=work, inputs=job.inputs,
    )
    finish_product(product, runner=work.runner)
    table = region_table(
        store.labels(POCKETS), block_shape=work.block_shape, runner=work.runner,
        spacing=store.spacing,
    )
    if asked.method == "envelope":
        sites = renumbered(sites, kept)
    else:
        sites = with_feet(
            sites, table, places, apart_nm=asked.shape.apart_nm, folder=bench.folder("feet"),
            **known,
        )
    _write_tables(store, *joined(table, sites, kept), asked)
    if job.layered and asked.chain is not None:
        write_layers(
            store, asked.chain.layers, job.inputs, asked.nucleus, runner=work.runner,
            overwrite=overwrite,
        )
    bench.clear()
    if not len(table["label"]):
        _log.warning(
            "no pocket is left: %d places or parts, none within the limits of volume and distance",
            len(sites["label"]),
        )
    _log.info("%s: %d pockets, %d places", job.path, len(table["label"]), len(sites["label"]))


def _pockets(
    raw: Array, nucleus: Array, sites: Table, store: Volume, job: Job, work: Work
) -> Array:
    """Stored candidates for pockets, numbered."""
    asked, bright = job.settings, store.polarity == "bright"
    if asked.method == "operators" and asked.chain is not None:
        return asked.chain.run(raw, nucleus, bright_stain=bright, work=work, inputs=job.inputs)
    key = layout_key(before=job.inputs, step="grown")
    return grown_behind(
        raw, sites, body=asked.body, bright_stain=bright, work=work, inputs=key
    )


def _sheet(product: Product, bench: StoreBench) -> Sheet:
    return Sheet(product.array, product.journal_path, bench.folder("labels"))


def _write_tables(store: Volume, table: Table, sites: Table, asked: Settings) -> None:
    digest = store.labels_info(POCKETS).digest
    store.write_table(POCKETS, table, labels_digest=digest, measured=own_columns(table))
    store.write_table(
        SITES, sites, labels_digest=digest,
        measured={
            "verb": "pores", "method": asked.method, "snap": asked.snap,
            "sources": {f"labels/{asked.nucleus}": store.labels_info(asked.nucleus).digest},
        },
    )
