"""Probabilities of a predictor, network or forest, written by the engine; then their objects."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks import Grid, Runner, Serial, map_blocks
from fibseg.blocks.grid import check_shards
from fibseg.errors import ExistsError
from fibseg.inference import FolderBlocks
from fibseg.pipeline import objects
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Product, Volume, fingerprint
from fibseg.volume.files import checked_name
from fibseg.volume.lock import free
from fibseg.volume.record import label_name

log = logging.getLogger("fibseg.infer")

SOON_DONE = 2**27
"""Voxels whose coarser levels take less time than worker processes take to start: 8 s, two cores.
Where a network needs its threads, there are none yet."""


@dataclass(frozen=True)
class Order:
    """What is to be made in a store of a predictor.

    Parameters
    ----------
    verb
        The command that makes it.
    store
        The store.
    task
        The model on that volume.
    names
        Names of the products, one per class.
    beside
        Arrays that are read beside the raw, at the level of the task.
    """

    verb: str
    store: Volume
    task: FolderBlocks[Any]
    names: Sequence[str]
    beside: Sequence[Any] = ()

    def inputs(self, channel: int | None = None) -> str:
        """Fingerprint of all that the probabilities of one class depend on; no path is part."""
        return fingerprint({
            "verb": self.verb, "model": self.task.digest, "raw": self.store.raw_digest,
            **self.task.settings(), "channel": channel,
        })

    @property
    def finished(self) -> bool:
        """Whether all probabilities are there already, made of the same inputs."""
        there = self.store.probability_names()
        return all(
            n in there and self.store.probabilities_info(n).inputs == self.inputs(channel)
            and self.store.probabilities(n).shape == self.store.shape  # damaged: an error here
            for channel, n in enumerate(self.names)
        )

    @property
    def digests(self) -> dict[str, str]:
        """What was made, for the record of the run."""
        return {f"probabilities/{n}": self.store.probabilities_info(n).digest for n in self.names}


def product_names(classes: Sequence[str], name: str) -> list[str]:
    """Names of the products, one per class, in the order of the classes.

    >>> product_names(("mitochondria", "nucleus"), "cell")
    ['cell_mitochondria', 'cell_nucleus']
    """
    return [name] if len(classes) == 1 else [f"{name}_{c}" for c in classes]


def carry_out(
    order: Order, *, postprocess: Mapping[str, Operator | None] | None, blocks: Runner | None,
    block_shape: Sequence[int] | None = None, overwrite: bool = False,
    config: Mapping[str, Any], overrides: Sequence[str], ready: Callable[[], object],
    inputs: Mapping[str, str] | None = None, note: str = "",
    counted: Callable[[Runner], FolderBlocks[Any]] | None = None,
) -> Products:
    """Probabilities, objects and tables of an order; what is there already is left as it is.

    Parameters
    ----------
    ready
        Loads the model: a damaged one is one error before any work, and not one per block.
    inputs
        Digests of further products that the model comes from, for the record.
    note
        A line for the log.
    counted
        Gives the task with what has to be counted or measured on the volume first; it follows
        from model and raw.

    Raises
    ------
    ExistsError
        If a product of this name comes from another model or other settings.
    BusyError
        If another run is writing the same products.
    PartlyDoneError, InterruptedRunError
        If blocks failed, or a signal came; the same command continues.
    """
    store, names = order.store, order.names
    refuse_early(
        order.verb, store, names, postprocess=postprocess, block_shape=block_shape,
        overwrite=overwrite,
    )
    if not overwrite:
        refuse_other(order)
    written = [f"probabilities/{n}" for n in names]
    if postprocess is not None:
        written += [f"labels/{n}" for n in names]
    if order.finished:
        for n in names:
            free(store.path / "probabilities" / n)
        written = []
    with store.locked(*written):
        summary: dict[str, Any] = {}
        if not order.finished:
            ready()
            record = store.start_run(
                order.verb, config={**config, "model": order.task.folder},
                overrides=list(overrides),
                inputs={"model": order.task.digest, "raw": store.raw_digest, **(inputs or {})},
            )
            with record:
                if note:
                    log.info("%s", note)
                runner = blocks or Serial()
                if counted is not None:
                    order = replace(order, task=counted(runner))
                summary = write_probabilities(
                    order, runner=runner, block_shape=block_shape,
                    overwrite=overwrite,
                )
                record.finish(products=order.digests, metrics=summary)
        result: dict[str, Any] = {f"probabilities/{n}": summary or "made before" for n in names}
        if postprocess is not None:
            for product in names:
                result |= objects.run(
                    volume=str(store.path), name=product, postprocess=postprocess, blocks=blocks,
                    overwrite=overwrite, config=config, overrides=overrides,
                )
    return Products(str(store.path), result)


def write_probabilities(
    order: Order, *, runner: Runner, block_shape: Sequence[int] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write one probability map per class; returns seconds and million voxels per second."""
    store, task = order.store, order.task
    products = [
        _begun(order, name, channel, overwrite=overwrite)
        for channel, name in enumerate(order.names)
    ]
    log.info("%s", task.note())
    started = time.monotonic()
    # The journal lies beside the first product, so that one is finished last.
    map_blocks(
        task, [store.raw(task.plan.level), *order.beside], [_target(p) for p in products],
        block_shape=block_shape or task.plan.block_shape(products[0].block_shape), runner=runner,
        journal=products[0].journal_path, fingerprint=order.inputs(), label=order.verb,
    )
    seconds = time.monotonic() - started
    for product in reversed(products):
        small = math.prod(store.shape) <= SOON_DONE
        finish_product(product, runner=None if small else runner)
    products[0].journal_path.unlink(missing_ok=True)
    rate = math.prod(store.shape) / max(seconds, 1e-9) / 1e6
    return {"seconds": round(seconds, 2), "megavoxels_per_second": round(rate, 3)}


def _begun(order: Order, name: str, channel: int, *, overwrite: bool) -> Product:
    """The product to be written: new, or as far as it is."""
    store, means = order.store, order.task.means()
    unfinished = Product(store.path / "probabilities" / name)
    if unfinished.path.exists() and not unfinished.complete:
        other = unfinished.info.attributes.get("backend")
        if other and other != means:
            log.warning("%s was begun by %s and is made anew.", name, other["name"])
            unfinished.discard()
    told = {"model": Path(order.task.folder).name, "model_digest": order.task.digest}
    return store.create_probabilities(
        name, inputs=order.inputs(channel), overwrite=overwrite,
        attributes=told | ({"backend": means} if means else {}),
    )


def refuse_early(
    verb: str, store: Volume, names: Sequence[str], *,
    postprocess: Mapping[str, Operator | None] | None, block_shape: Sequence[int] | None,
    overwrite: bool,
) -> None:
    """Refuse before the long work what would be refused after it.

    Raises
    ------
    UsageError
        If a name, a block shape or a clean-up step cannot be meant.
    ExistsError
        If labels of that name come from something else and may not be replaced.
    """
    for name in names:
        checked_name(name, what="probability map")
    if block_shape is not None:
        raw = store.raw()  # every product is cut up like it
        grid = Grid.over(store.shape, block_shape)
        check_shards(grid, raw.shards or raw.chunks, "the probabilities")
    if postprocess is None:
        return
    objects.check_chain(store, postprocess)
    for name in names:
        label_name(name, kind="labels", dtype=np.uint32)
    for name in set(names).intersection(store.label_names()):
        if store.labels_info(name).derived_from != f"probabilities/{name}" and not overwrite:
            raise ExistsError(
                f"labels/{name} of {store.path} stands already and was not made by fibseg {verb}. "
                "Choose another name=, or set overwrite=true to replace it."
            )


def refuse_other(order: Order) -> None:
    """Refuse names that stand already and come from something else.

    Raises
    ------
    ExistsError
        If probabilities of that name were made of other inputs.
    """
    store = order.store
    for channel, name in enumerate(order.names):
        if name not in store.probability_names():
            continue
        if store.probabilities_info(name).inputs != order.inputs(channel):
            raise ExistsError(
                f"probabilities/{name} stands already and comes from other data or settings. Use "
                "overwrite=true to replace it, or another name."
            )


@dataclass(frozen=True)
class _Finished:
    """Stands for a map that is finished: what is computed again for its sisters goes nowhere."""

    shape: tuple[int, ...]
    dtype: Any

    def __setitem__(self, key: Any, value: Any) -> None:
        """Drop the voxels: the very same ones are stored already."""


def _target(product: Product) -> Any:
    """Array to write to."""
    array = product.array
    return _Finished(array.shape, array.dtype) if product.complete else array
