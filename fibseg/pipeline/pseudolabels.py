"""Step ``pseudolabels`` of ``fibseg pores``: from pockets to pores that a network can learn from.

::

    labels/pores_pseudo        a pore for each sure pocket, a cylinder or what a closing adds
    labels/annotation_pores    pore, background, and unlabelled where nobody can be sure
    tables/pores_pseudo        place, normal, confidence and provenance of each
    tables/pores_pockets       which pore belongs to which pocket, and who has no partner
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fibseg.blocks import Runner, Serial, layout_key, map_blocks
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.distribution_job import own_columns
from fibseg.pipeline.pocket_job import POCKETS, RULES, SITES
from fibseg.pipeline.pocket_passes import save_rows
from fibseg.pipeline.pore_products import measured_on, nucleus_inputs, refuse_foreign
from fibseg.pipeline.products import Products
from fibseg.pipeline.pseudolabel_passes import Annotate, ClosePores, PaintPores
from fibseg.pipeline.pseudolabel_tables import numbered, pairing, pseudo_table, share_unpaired
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.region_sums import region_table
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.verify_voxels import unedited
from fibseg.pseudolabel import Bridge, PoreBody, Sureness, are_sure, require_fine
from fibseg.pseudolabel.pores import METHODS
from fibseg.types import Table
from fibseg.volume import Volume, fingerprint

PSEUDO, PAINTED, PAIRED = "pores_pseudo", "annotation_pores", "pores_pockets"
"""Names of the numbered pores and their table, of the annotation, and of the pairing table."""
_CLASSES = {"background": 1, "pore": 2}

_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str,
    nucleus: str = "nucleus",
    method: str = "normal",
    body: PoreBody | None = None,
    bridge: Bridge | None = None,
    rule: Sureness | None = None,
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Products:
    """Number of pores, their volume, how many were unsure, and the share without a partner.

    Parameters
    ----------
    volume
        Path of the store, with pockets of ``steps=[pockets]``.
    nucleus
        The label image that these were found in.
    method
        ``"normal"``, a cylinder at each place, or ``"closing"`` of pockets onto the membrane.
    body
        Size of a pore (also of what is left unlabelled around an unsure one).
    bridge
        What a closing adds (method closing).
    rule
        What is sure, what is background.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace pores and paintings that come from elsewhere.

    Raises
    ------
    DataError
        If there are no pockets, or they are those of another nucleus.
    ExistsError
        If other pores, or a painting, of these names stand there.
    BusyError
        If another run is writing them.
    UsageError
        If a setting cannot be meant, before any work.
    """
    store = Volume.open(volume)
    job = planned_job(
        store, nucleus, method, body or PoreBody(), bridge or Bridge(), rule or Sureness()
    )
    refuse_foreign(
        store, [PSEUDO, PAINTED], job.inputs, f"labels/{POCKETS}", overwrite=overwrite
    )
    if job.finished(store):
        _log.info("%s are there already, made with the same settings", job.path)
        tidy(store, job.path)
        return Products(str(volume), job.summary(store))
    with store.locked(job.path, f"labels/{PAINTED}"):
        record = store.start_run(
            "pores", config=dict(config or {}), overrides=list(overrides),
            inputs={f"labels/{name}": store.labels_info(name).digest
                    for name in (POCKETS, nucleus)},
        )
        with record:
            make_pseudolabels(store, job, blocks=blocks, overwrite=overwrite)
            result = job.summary(store)
            record.finish(
                products={f"labels/{name}": store.labels_info(name).digest
                          for name in (PSEUDO, PAINTED)},
                metrics=result,
            )
    return Products(str(volume), result)


@dataclass(frozen=True)
class Job:
    """Pores to be made: of which pockets, how, and the hash of all that they depend on."""

    nucleus: str
    method: str
    body: PoreBody
    bridge: Bridge
    rule: Sureness
    inputs: str
    path: str = field(default=f"labels/{PSEUDO}", init=False)

    def finished(self, store: Volume) -> bool:
        """Whether both label images and both tables, made of the same, are there."""
        for name in (PSEUDO, PAINTED):
            if name not in store.label_names() or store.labels_info(name).inputs != self.inputs:
                return False
            store.labels(name)
        digest = store.labels_info(PSEUDO).digest
        return all(measured_on(store, name, digest) for name in (PSEUDO, PAIRED))

    def summary(self, store: Volume) -> dict[str, Any]:
        """Number of pores, their volume in µm³, and shares without a partner."""
        table = store.table(PSEUDO)
        told = store.table_info(PAIRED)["measured"]
        return {self.path: {
            "n_objects": len(table["label"]),
            "volume_um3": round(float(table["volume_um3"].sum()), 6),
            "table": f"tables/{PSEUDO}.parquet",
            **{key: told[key] for key in (
                "n_unsure", "share_pores_unpaired", "share_pockets_unpaired"
            )},
        }}


def planned_job(
    store: Volume, nucleus: str, method: str, body: PoreBody, bridge: Bridge, rule: Sureness
) -> Job:
    """What is to be made; checks all that can be known without reading a voxel.

    Raises
    ------
    DataError
        If there are no pockets, or they are those of another nucleus.
    UsageError
        If the method is unknown, or a name cannot be.
    """
    require_fine(store.spacing)
    if method not in METHODS:
        raise UsageError(f"method={method} is unknown. Use one of {', '.join(METHODS)}.")
    known = nucleus_inputs(store, nucleus, made=[POCKETS, PSEUDO, PAINTED])
    again = f"Make them with 'fibseg pores volume={store.path} steps=[pockets]'."
    if POCKETS not in store.label_names(kind="labels"):
        raise DataError(f"{store.path} has no labels/{POCKETS}. {again}")
    pockets = store.labels_info(POCKETS)
    if not measured_on(store, SITES, pockets.digest):
        raise DataError(
            f"{store.path} has no tables/{SITES} of labels/{POCKETS} as they are now. {again}"
        )
    told = store.table_info(SITES).get("measured", {})
    if told.get("sources", {}) != {f"labels/{nucleus}": known["nucleus"]}:
        raise DataError(
            f"labels/{POCKETS} were found in another nucleus than labels/{nucleus} as it is now. "
            f"{again}"
        )
    inputs = {
        **known, "rules": RULES, "pockets": pockets.inputs, "digest": pockets.digest,
        "method": method, "body": asdict(body), "rule": asdict(rule),
        **({"bridge": asdict(bridge)} if method == "closing" else {}),
    }
    return Job(nucleus, method, body, bridge, rule, fingerprint(inputs))


def make_pseudolabels(
    store: Volume, job: Job, *, blocks: Runner | None = None, overwrite: bool = False
) -> None:
    """Make both label images and both tables, or whatever of them is missing."""
    bench, runner = StoreBench(store, job.path), blocks or Serial()
    sites = store.table(SITES)
    sure, unsure = are_sure(
        sites, rule=job.rule, body=job.body, shape=store.shape, spacing=store.spacing
    )
    if not sure.any():
        with_pocket = sites["confidence"][sites["label"] > 0]
        found = (
            f"the surest of {len(with_pocket)} with a pocket has a confidence of "
            f"{with_pocket.max():.2g}; {job.rule.sure:g} is asked for, and that no face of the "
            "volume cuts it" if len(with_pocket)
            else "none of them has a pocket"
        )
        raise DataError(
            f"none of {len(sure)} places is surely a pore: {found}. Look at tables/{SITES}, lower "
            "pseudolabels.rule.sure, or find pockets another way."
        )
    pores = numbered({name: column[sure] for name, column in sites.items()}, store.spacing)
    doubtful = numbered({name: column[unsure] for name, column in sites.items()}, store.spacing)
    files = [
        save_rows(bench.folder("rows") / f"{name}.npz", rows)
        for name, rows in (("pores", pores), ("unsure", doubtful))
    ]
    options: dict[str, Any] = {
        "inputs": job.inputs, "derived_from": f"labels/{POCKETS}", "overwrite": overwrite,
        "unedited": functools.partial(unedited, runner=runner),
    }
    product = store.create_labels(PSEUDO, kind="labels", dtype=np.uint32, **options)
    if not product.complete:
        over: dict[str, Any] = {
            "block_shape": product.block_shape, "runner": runner,
            "journal": product.journal_path, "label": "pores: painted",
            "fingerprint": layout_key(before=job.inputs, step="pores"),
        }
        if job.method == "normal":
            map_blocks(
                PaintPores(files[0], job.body, store.spacing), store.labels(POCKETS),
                product.array, **over,
            )
        else:
            map_blocks(
                ClosePores(files[0], job.bridge, store.spacing),
                [store.labels(POCKETS), store.labels(job.nucleus)], product.array, **over,
            )
        finish_product(product, runner=runner)
    painting = store.create_labels(
        PAINTED, kind="annotation", dtype=np.uint8, classes=_CLASSES, **options
    )
    if not painting.complete:
        map_blocks(
            Annotate(files[1], job.rule, job.body, store.spacing),
            [store.labels(PSEUDO), store.labels(job.nucleus)], painting.array,
            block_shape=painting.block_shape, runner=runner, journal=painting.journal_path,
            fingerprint=layout_key(before=job.inputs, step="annotation"),
            label="pores: annotation",
        )
        finish_product(painting, runner=runner)
    _write_tables(store, job, pores, n_unsure=int(unsure.sum()), runner=runner)
    bench.clear()


def _write_tables(
    store: Volume, job: Job, pores: Table, *, n_unsure: int, runner: Runner
) -> None:
    """Table of the pores, and which pocket each belongs to."""
    info = store.labels_info(PSEUDO)
    sizes = region_table(
        store.labels(PSEUDO), block_shape=store.block_shape, runner=runner,
        spacing=store.spacing,
    )
    pockets = store.table(POCKETS)
    table = pseudo_table(
        pores, sizes, pockets,
        provenance=f"{store.table_info(SITES)['measured']['method']}/{job.method}",
        keep_place=job.method == "normal",
    )
    paired = pairing(table, pockets)
    lone = {
        f"share_{one}s_unpaired": share_unpaired(paired, one=one, other=other)
        for one, other in (("pore", "pocket"), ("pocket", "pore"))
    }
    store.write_table(PSEUDO, table, labels_digest=info.digest, measured=own_columns(table))
    store.write_table(
        PAIRED, paired, labels_digest=info.digest,
        measured={"verb": "pores", "n_unsure": n_unsure, **lone,
                  "sources": {f"labels/{POCKETS}": store.labels_info(POCKETS).digest}},
    )
    _log.info(
        "%s: %d pores, %d places unsure; without a partner are %.1f %% of the pores and %.1f %% "
        "of the pockets", job.path, len(table["label"]), n_unsure,
        100 * lone["share_pores_unpaired"], 100 * lone["share_pockets_unpaired"],
    )
