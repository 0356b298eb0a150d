"""Which backend is fastest for a network on this machine: measured once, then remembered.

What the choice changes is stated: float32 backends agree to 1e-4 in probability, bfloat16 ones
within what bfloat16 rounds. The window is the model's, whoever computes it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from fibseg.blocks import usable_cores
from fibseg.export import ModelSpec
from fibseg.inference.backends import Backend, Compiled, Shape4, Wish
from fibseg.inference.rates import Rates, keep_rates, kept_rates, machine

log = logging.getLogger("fibseg.inference")

THREADS = 4
"""So many share a window well on a CPU."""
WORTH = 2**26
"""A volume of fewer voxels is computed about as soon as all backends are measured: the rule."""
CLEARLY = 1.1
"""So many times faster must one be to be taken instead of the one that the rule prefers."""

_SIDE = 512
_SECONDS = 1.0


def fastest(
    wish: Wish, spec: ModelSpec, shape: Shape4, *, n_voxels: int, load: Callable[[], nn.Module]
) -> Backend:
    """Backend for a wish: the only one there is, or the one that measured fastest.

    Measuring takes some seconds, once for each architecture and window on a machine, and is left
    out for small volumes.

    Parameters
    ----------
    spec
        The model.
    shape
        Batches that it will get, (b, c, y, x).
    n_voxels
        Of the volume.
    load
        Gives the network.

    Raises
    ------
    UsageError
        If no backend can be meant.
    """
    candidates = wish.candidates()
    if len(candidates) == 1:
        return candidates[0]
    facts = {
        **machine(), "threads": _threads(), "network": architecture(spec), "window": list(shape)
    }
    rates = kept_rates(facts)
    missing = [b for b in candidates if str(b) not in rates]
    if missing and n_voxels >= WORTH:
        log.info(
            "which backend is fastest is measured, once for this network on this machine: %s",
            ", ".join(map(str, missing)),
        )
        rates = {**rates, **measured(load(), missing, _trial_shape(spec, shape))}
        keep_rates(facts, rates)
        told = ", ".join(f"{name} {rate:.3g}" for name, rate in rates.items())
        log.info("megapixels a second: %s", told)
    return best(candidates, rates)


def best(candidates: tuple[Backend, ...], rates: Rates) -> Backend:
    """The first of the candidates, unless another was clearly faster.

    >>> two = Backend("openvino", "float32"), Backend("torch", "float32")
    >>> best(two, {"openvino float32": 1.0, "torch float32": 1.05}).name
    'openvino'
    """
    first = candidates[0]
    if str(first) not in rates:
        return first
    top = max(candidates, key=lambda b: rates.get(str(b), 0.0))
    return top if rates[str(top)] > CLEARLY * rates[str(first)] else first


def measured(network: nn.Module, backends: list[Backend], shape: Shape4) -> Rates:
    """Megapixels a second of each backend with images of `shape`; 0 for one that fails."""
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rates: Rates = {}
    with _as_a_worker():
        for backend in backends:
            try:
                seconds = _seconds(backend.compile(network, shape), images)
            except Exception as error:  # whatever ails one, others can do the work
                log.warning("backend=%s does not work here: %s", backend.name, error)
                rates[str(backend)] = 0.0
                continue
            rates[str(backend)] = shape[0] * shape[2] * shape[3] / seconds / 1e6
    return rates


def architecture(spec: ModelSpec) -> dict[str, Any]:
    """What of a model decides about its speed: all but its weights."""
    return {"network": spec.network, "in": spec.in_channels, "out": spec.n_outputs}


def _seconds(run: Compiled, images: torch.Tensor) -> float:
    """Seconds of the fastest of a few rounds; the first, which sets up, does not count."""
    run(images)
    taken: list[float] = []
    while sum(taken) < _SECONDS and len(taken) < 3:
        begin = time.perf_counter()
        run(images)
        taken.append(max(time.perf_counter() - begin, 1e-9))
    return min(taken)


def _trial_shape(spec: ModelSpec, shape: Shape4) -> Shape4:
    """A part of the batch that a few rounds of take about a second."""
    multiple = spec.stride_multiple
    side = max(_SIDE // multiple, 1) * multiple
    return min(shape[0], _threads()), shape[1], min(shape[2], side), min(shape[3], side)


def _threads() -> int:
    """Threads of a worker."""
    return min(usable_cores(), THREADS)


@contextlib.contextmanager
def _as_a_worker() -> Iterator[None]:
    """Time in which torch has the threads of a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)
