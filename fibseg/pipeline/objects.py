"""``fibseg objects``: from stored probabilities to numbered objects and their table.

A model of several classes has one probability map per class, and each class becomes a label image
of its own. At a threshold of 0.5 or more they share no voxel; a closing may let two classes claim
the same gap, and both keep it: no class is favoured.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fibseg.blocks import Runner, Serial
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.chain import describe, planned
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.named import digests_of, names_in, open_arrays
from fibseg.pipeline.operators import GLOBAL, Sheet, Work, find_objects, region_table
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.verify_voxels import unedited
from fibseg.types import Table
from fibseg.volume import Volume, fingerprint

_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str,
    name: str,
    postprocess: Mapping[str, Operator | None],
    out: str | None = None,
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Products:
    """Number of objects and their volume, for each label image that was made.

    Parameters
    ----------
    volume
        Path of the store.
    name
        Probabilities ``probabilities/NAME``, or those of all classes ``NAME_CLASS`` of a model.
    postprocess
        Name to operator, in order, None to leave it out; `components` numbers the objects, and
        operators on numbered objects may follow. Other arrays of the store go by their names,
        such as ``"labels/cell"``.
    out
        Name of the label image and the table; that of the probabilities if left out.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace labels that stand there and were not derived from these probabilities.

    Raises
    ------
    DataError
        If there are no such probabilities or arrays, or the labels made of them are damaged.
    ExistsError
        If other labels of that name stand there, or somebody has edited them.
    BusyError
        If another run is writing them.
    UsageError
        If an operator or a setting cannot be meant, before any work.
    """
    store = Volume.open(volume)
    jobs = planned_jobs(store, name, postprocess, out=out)
    if all(job.finished(store) for job in jobs):
        _log.info("the objects of %s are there already, made with the same settings", name)
        for job in jobs:
            tidy(store, job.path)
        return Products(str(volume), {job.path: job.summary(store) for job in jobs})
    with store.locked(*(job.path for job in jobs)):
        sources = {
            f"probabilities/{job.source}": store.probabilities_info(job.source).digest
            for job in jobs
        } | digests_of(store, names_in(postprocess))
        record = store.start_run(
            "objects", config=dict(config or {}), overrides=list(overrides), inputs=sources
        )
        with record:
            for job in jobs:
                make_objects(store, job, postprocess, blocks=blocks, overwrite=overwrite)
            result = {job.path: job.summary(store) for job in jobs}
            record.finish(
                products={job.path: store.labels_info(job.target).digest for job in jobs},
                metrics=result,
            )
    return Products(str(volume), result)


@dataclass(frozen=True)
class Job:
    """One label image to be made: from which probabilities, under which name, of which inputs."""

    source: str
    target: str
    inputs: str

    @property
    def path(self) -> str:
        """Where in the store the labels lie."""
        return f"labels/{self.target}"

    @property
    def table_path(self) -> str:
        """Where in the store their table lies."""
        return f"tables/{self.target}"

    def finished(self, store: Volume) -> bool:
        """Whether the labels, made of the same inputs, and their table are there."""
        if self.target not in store.label_names(kind="labels"):
            return False
        if store.labels_info(self.target).inputs != self.inputs:
            return False
        # Damaged or edited ones are an error here: making them again could undo somebody's work.
        store.labels(self.target)
        return measured(store, self.target)

    def summary(self, store: Volume) -> dict[str, Any]:
        """Number of objects and their volume in µm³."""
        table = store.table(self.target)
        return {
            "n_objects": len(table["label"]),
            "volume_um3": round(float(table["volume_um3"].sum()), 6),
            "table": f"{self.table_path}.parquet",
        }


def planned_jobs(
    store: Volume, name: str, postprocess: Mapping[str, Operator | None], *, out: str | None = None
) -> list[Job]:
    """What is to be made of probabilities `name`, one job per class; checks all settings.

    Raises
    ------
    DataError
        If there are no such probabilities.
    UsageError
        If an operator or a setting cannot be meant.
    """
    there = store.probability_names()
    sources = [name] if name in there else [n for n in there if n.startswith(f"{name}_")]
    if not sources:
        raise DataError(
            f"{store.path} has no probabilities {name!r}; it has {', '.join(there) or 'none'}. "
            f"Make them with 'fibseg infer model=… volume={store.path} name={name}'."
        )
    infos = [store.probabilities_info(source) for source in sources]
    if len({info.attributes.get("model_digest") for info in infos}) > 1:
        raise DataError(
            f"name={name} begins the names of probabilities of several models: "
            f"{', '.join(sources)}. Give one of these names."
        )
    check_chain(store, postprocess)
    jobs = [
        Job(source, (out or name) + source.removeprefix(name), _inputs(store, source, postprocess))
        for source in sources
    ]
    for job in jobs:
        if {job.path, job.table_path} & set(names_in(postprocess)):
            raise UsageError(f"{job.path} cannot be made of itself. Choose another out=….")
    return jobs


def check_chain(store: Volume, postprocess: Mapping[str, Operator | None]) -> None:
    """Nothing, if these operators can run on probabilities of the store.

    Raises
    ------
    UsageError
        If an operator, a setting or the order cannot be meant.
    DataError
        If the store lacks an array that an operator names.
    """
    arrays = open_arrays(store, names_in(postprocess))
    list(planned(
        postprocess, dtype=np.uint8, known=GLOBAL, arrays=arrays, spacing=store.spacing
    ))


def make_objects(
    store: Volume,
    job: Job,
    postprocess: Mapping[str, Operator | None],
    *,
    blocks: Runner | None = None,
    overwrite: bool = False,
) -> Table:
    """Make the labels and the table of one job, or whatever of it is missing; returns the table.

    Raises
    ------
    ExistsError
        If other labels stand there and may not be replaced.
    """
    runner, bench = blocks or Serial(), StoreBench(store, job.path)
    product = store.create_labels(
        job.target, kind="labels", dtype=np.uint32, inputs=job.inputs, overwrite=overwrite,
        derived_from=f"probabilities/{job.source}",
        unedited=functools.partial(unedited, runner=runner),
    )
    shape = product.block_shape
    if not product.complete:
        target = Sheet(product.array, product.journal_path, bench.folder("labels"))
        work = Work(
            bench=bench, block_shape=shape, runner=runner, spacing=store.spacing,
            arrays=open_arrays(store, names_in(postprocess)),
        )
        n = find_objects(
            store.probabilities(job.source), target, postprocess, work=work, inputs=job.inputs
        )
        finish_product(product, runner=runner)
        _log.info("%s: %d object%s", job.path, n, "" if n == 1 else "s")
    if not measured(store, job.target):
        digest = store.labels_info(job.target).digest
        table = region_table(
            store.labels(job.target), block_shape=shape, runner=runner, spacing=store.spacing,
            scratch=bench.folder("table"), inputs=digest,
        )
        store.write_table(job.target, table, labels_digest=digest)
    bench.clear()  # also after a run that was killed just before
    return store.table(job.target)


def measured(store: Volume, name: str) -> bool:
    """Whether there is a table of the labels `name` as they are now."""
    if name not in store.table_names():
        return False
    digest = store.labels_info(name).digest
    return bool(store.table_info(name)["labels_digest"] == digest)


def _inputs(
    store: Volume, source: str, postprocess: Mapping[str, Operator | None]
) -> str:
    names = names_in(postprocess)
    return fingerprint({
        "probabilities": store.probabilities_info(source).digest,
        "postprocess": describe(postprocess),
        "spacing": list(store.spacing),
        **({"arrays": digests_of(store, names)} if names else {}),
    })
