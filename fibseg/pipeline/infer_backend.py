"""Which backend computes a product: the one that began it, else the fastest of this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from fibseg.export import ModelSpec
from fibseg.inference import Backend, Wish, fastest
from fibseg.pipeline.infer_task import Task
from fibseg.pipeline.probabilities import Order
from fibseg.volume import Product, Volume

log = logging.getLogger("fibseg.infer")


def settled(
    task: Task, wish: Wish, *, store: Volume, names: Sequence[str], spec: ModelSpec,
    load: Callable[[], nn.Module], overwrite: bool = False,
) -> Task:
    """The task with its backend.

    A product that was begun, or is finished, keeps its own where the wish allows that: blocks of
    two backends differ in how they round, and a finished product is no other one because another
    backend is the fastest today.

    Parameters
    ----------
    task
        With any backend.
    names
        Names of the products.
    load
        Gives the network, in case that backends have to be measured.
    overwrite
        Whether ranges of int8 are measured anew, as those that stand may be what is wrong.

    Raises
    ------
    UsageError
        If no backend can be meant.
    """
    for channel, name in enumerate(names):
        begun = _begun(store, name)
        if begun is None or not wish.allows(begun[0]):
            continue
        if overwrite and begun[0].int8 is not None:
            continue
        same = _with(task, begun[0])
        if Order("infer", store, same.blocks, names).inputs(channel) == begun[1]:
            return same
    n_voxels = store.shape[0] * store.shape[1] * store.shape[2]
    shape = task.blocks.plan.batch_shape(spec.in_channels)
    return _with(task, fastest(wish, spec, shape, n_voxels=n_voxels, load=load))


def _with(task: Task, backend: Backend) -> Task:
    return replace(task, blocks=replace(task.blocks, backend=backend))


def _begun(store: Volume, name: str) -> tuple[Backend, str] | None:
    """Backend and inputs of the product that stands, finished or not."""
    product = Product(store.path / "probabilities" / name)
    if not product.path.exists():
        return None
    info = product.info
    backend = Backend.read(info.attributes.get("backend"))
    return None if backend is None else (backend, info.inputs)
