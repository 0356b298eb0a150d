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
from typing import Any

import numpy as np

from fibseg.blocks import Runner, Serial, layout_key
from fibseg.data import Normalisation
from fibseg.pipeline.bench import Array, Sheet, Work
from fibseg.pipeline.distribution_job import own_columns
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.nucleus_border import blocks_with_border
from fibseg.pipeline.pocket_job import POCKETS, SITES, Job, Settings, planned_job
from fibseg.pipeline.pocket_layers import layer_names, refuse_foreign_layers, write_layers
from fibseg.pipeline.pocket_operators import Chain
from fibseg.pipeline.pocket_passes import grown_behind, keep_pockets
from fibseg.pipeline.pocket_places import joined, renumbered, sure_sites, with_feet
from fibseg.pipeline.pore_products import refuse_foreign
from fibseg.pipeline.pore_sites import pore_sites
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.region_sums import region_table
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.verify_voxels import unedited
from fibseg.pseudolabel import PocketBody, PocketLimits, PoreShape
from fibseg.pseudolabel.pockets import LIMITS
from fibseg.types import Table
from fibseg.volume import Product, Volume

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
    if job.layered:
        refuse_foreign_layers(store, overwrite=overwrite)
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
    asked = job.settings
    if asked.method == "operators" and asked.chain is not None:
        seen = Normalisation.of(store)
        return asked.chain.run(raw, nucleus, seen=seen, work=work, inputs=job.inputs)
    key = layout_key(before=job.inputs, step="grown")
    return grown_behind(
        raw, sites, body=asked.body, bright_stain=store.polarity == "bright", work=work,
        inputs=key,
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
