"""``fibseg distance``: how far every voxel is from the border of a label image, in nm.

A distance goes from the centre of a voxel to that of the nearest voxel on the other side of the
border: outside of the chosen objects to the nearest voxel inside (positive), inside to the nearest
one outside (negative). So it is never 0, and neighbours across the border are one voxel apart. The
border itself, between them, is half a voxel nearer. Objects that touch count as one, and what lies
beyond the faces of the volume, which nobody knows, is no border.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.blocks import Runner, Serial
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.bench import Sheet, Work
from fibseg.pipeline.distance_passes import check_reach, write_distances
from fibseg.pipeline.distance_sides import Chosen, check_objects, find_sides
from fibseg.pipeline.objects import measured
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.verify_voxels import unedited
from fibseg.volume import Volume, fingerprint
from fibseg.volume.files import checked_name

MOST_IN_A_NAME = 4
"""The numbers of so many objects may become part of the name of a distance map."""

_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str,
    labels: str,
    max_nm: float,
    name: str | None = None,
    signed: bool = True,
    label: int | Sequence[int] | None = None,
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Products:
    """What the map of distances, ``distances/NAME``, was made of; float32, nm, level 0 exact.

    Parameters
    ----------
    volume
        Path of the store.
    labels
        Label image to whose border the distance is.
    max_nm
        Larger distances are written as this one.
    name
        Name of the map; that of the labels, with the chosen numbers, if left out.
    signed
        Negative inside; otherwise 0 inside.
    label
        Number of one object or several; all if left out.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace a map of that name that was made from other labels, or edited.

    Raises
    ------
    DataError
        If there are no such labels, or no such object in them, or no border at all.
    ExistsError
        If another map of that name stands there.
    BusyError
        If another run is writing it.
    UsageError
        If a setting cannot be meant, before any work.
    """
    store = Volume.open(volume)
    job = planned_job(store, labels, max_nm=max_nm, name=name, signed=signed, label=label)
    result = {job.path: job.summary}
    if job.finished(store):
        _log.info("%s is there already, made with the same settings", job.path)
        tidy(store, job.path)
        return Products(str(volume), result)
    with store.locked(job.path):
        record = store.start_run(
            "distance", config=dict(config or {}), overrides=list(overrides),
            inputs={job.source: store.labels_info(labels).digest},
        )
        with record:
            make_distances(store, job, blocks=blocks, overwrite=overwrite)
            digest = store.distances_info(job.target).digest
            record.finish(products={job.path: digest}, metrics=result)
    return Products(str(volume), result)


@dataclass(frozen=True)
class Job:
    """One distance map to be made.

    Attributes
    ----------
    labels, chosen
        Name of the label image, and which of its objects count.
    target
        Name of the map.
    max_nm, signed
        As in `run`.
    inputs
        Hash of all that it depends on.
    """

    labels: str
    chosen: Chosen
    target: str
    max_nm: float
    signed: bool
    inputs: str

    @property
    def source(self) -> str:
        """Where in the store the labels lie."""
        return f"labels/{self.labels}"

    @property
    def path(self) -> str:
        """Where in the store the distances lie."""
        return f"distances/{self.target}"

    @property
    def range_nm(self) -> tuple[float, float]:
        """Least and largest value that can be."""
        return (-self.max_nm if self.signed else 0.0), self.max_nm

    @property
    def summary(self) -> str:
        """The map in words."""
        low, high = self.range_nm
        numbers = self.chosen.numbers
        objects = "" if numbers is None else f", object {', '.join(map(str, numbers))}"
        return f"{low:g} to {high:g} nm from the border of {self.source}{objects}"

    def finished(self, store: Volume) -> bool:
        """Whether the map, made of the same inputs, is there."""
        if self.target not in store.distance_names():
            return False
        info = store.distances_info(self.target)
        if (info.inputs, info.derived_from) != (self.inputs, self.source):
            return False
        try:
            store.distances(self.target)
        except DataError:  # damaged: it can be made again
            return False
        return True


def planned_job(
    store: Volume, labels: str, *, max_nm: float, name: str | None = None, signed: bool = True,
    label: int | Sequence[int] | None = None,
) -> Job:
    """What is to be made; checks all that can be known without reading a voxel.

    Raises
    ------
    DataError
        If there are no such labels, or their table lacks a chosen object.
    UsageError
        If the labels are an annotation, or a setting cannot be meant.
    """
    array, info = store.labels(labels), store.labels_info(labels)
    if info.kind == "annotation":
        raise UsageError(
            f"labels/{labels} is an annotation: nobody knows what its unlabelled voxels are, so "
            "there is no distance to its border. Give labels of objects."
        )
    max_nm = float(max_nm)
    check_reach(array, max_nm=max_nm, block_shape=store.block_shape, spacing=store.spacing)
    if max_nm < min(store.spacing):
        raise UsageError(
            f"max_nm={max_nm:g} is less than a voxel of {min(store.spacing):g} nm: every distance "
            "would be the same. Give more."
        )
    chosen = Chosen(None if label is None else _numbers(label))
    if measured(store, labels):
        check_objects(chosen, set(store.table(labels)["label"].tolist()), named=f"labels/{labels}")
    inputs = {
        "labels": info.digest, "numbers": chosen.numbers, "max_nm": max_nm, "signed": signed,
        "spacing": store.spacing,
    }
    target = _name_of(labels, chosen) if name is None else name
    return Job(
        labels, chosen, checked_name(target, what="distance map"), max_nm, signed,
        fingerprint(inputs),
    )


def make_distances(
    store: Volume, job: Job, *, blocks: Runner | None = None, overwrite: bool = False
) -> None:
    """Make the map of a job.

    Raises
    ------
    DataError
        If there is no border in the labels, or a chosen object is not there.
    ExistsError
        If another map stands there and may not be replaced.
    """
    array, bench = store.labels(job.labels), StoreBench(store, job.path)
    work = Work(bench, store.block_shape, blocks or Serial(), store.spacing)
    # Before the map that stands there is given up.
    sides = find_sides(
        array, chosen=job.chosen, signed=job.signed, folder=bench.folder("sides"), work=work,
        inputs=job.inputs, named=job.source,
    )
    told = {"max_nm": job.max_nm, "signed": job.signed, "numbers": job.chosen.numbers}
    product = store.create_distances(
        job.target, inputs=job.inputs, derived_from=job.source, range_nm=job.range_nm,
        overwrite=overwrite, attributes=told,
        unedited=functools.partial(unedited, runner=work.runner),
    )
    if not product.complete:
        target = Sheet(product.array, product.journal_path, bench.folder("distances"))
        write_distances(
            array, target, sides=sides, chosen=job.chosen, max_nm=job.max_nm, signed=job.signed,
            work=work, inputs=job.inputs,
        )
        finish_product(product, runner=work.runner)
    bench.clear()


def _numbers(label: int | Sequence[int]) -> tuple[int, ...]:
    """Numbers of the chosen objects, each once and in order."""
    numbers = tuple(sorted(set([label] if isinstance(label, int) else label)))
    if not numbers or numbers[0] < 1:
        raise UsageError(
            f"label={label} names no objects: they are numbered from 1. Give the number of one, a "
            "list such as [3,7], or leave it out for all."
        )
    return numbers


def _name_of(labels: str, chosen: Chosen) -> str:
    """Name of a map that was given none, another one for other objects."""
    numbers = chosen.numbers or ()
    if len(numbers) > MOST_IN_A_NAME:
        raise UsageError(
            f"label= chooses {len(numbers)} objects, too many to name the map after. Give name=…"
        )
    return "_".join([labels, *map(str, numbers)])
