"""A network in torch: on a CPU a window per thread, on a GPU batches as large as it holds."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fibseg.errors import DataError, UsageError
from fibseg.inference.transfer import place_of

if TYPE_CHECKING:
    from fibseg.inference.backends import Compiled, Shape4

log = logging.getLogger("fibseg.inference")


def compile_torch(
    network: nn.Module, shape: Shape4, precision: str, device: str, *, optimised: bool = False
) -> Compiled:
    """Torch, channels last, under autocast where bfloat16 is asked for.

    Logits come back on the device that the images are on.

    Parameters
    ----------
    optimised
        Use ``torch.compile``: with CUDA graphs on a GPU, with a C++ compiler on a CPU.

    Raises
    ------
    UsageError
        If ``torch.compile`` does not work here.
    """
    place = place_of(device)
    ready: Compiled = network.eval().to(place).to(  # type: ignore[call-overload]
        memory_format=torch.channels_last
    )
    if optimised:
        mode = "reduce-overhead" if device == "cuda" else "default"
        with _quiet():
            ready = torch.compile(ready, dynamic=False, mode=mode)

    def run(images: Tensor) -> Tensor:
        """Logits of a batch."""
        home = images.device
        images = images.to(place, memory_format=torch.channels_last, non_blocking=True)
        with torch.inference_mode(), torch.autocast(
            place.type, torch.bfloat16, enabled=precision == "bfloat16"
        ):
            logits: Tensor = ready(images)
            # CUDA graphs write the next result where this one is, hence a copy in any case.
            return logits.to(home, torch.float32, copy=optimised).contiguous()

    spread = _window_per_thread(run) if device == "cpu" else halving(run)
    if optimised:
        _try(spread, shape)
    return spread


def halving(run: Compiled) -> Compiled:
    """`run`, but with half the batch, and half again, where the memory of the device is short.

    Once found, the size is kept.

    Raises
    ------
    DataError
        From what it returns, if not even one window fits.
    """
    most = [0]

    def careful(images: Tensor) -> Tensor:
        """Logits of a batch."""
        most[0] = most[0] or len(images)
        while True:
            try:
                return torch.cat([run(part) for part in torch.split(images, most[0])])
            except torch.OutOfMemoryError as error:
                if most[0] == 1:
                    raise DataError(
                        f"one window of {images.shape[2]} x {images.shape[3]} px does not fit into "
                        "the memory of the GPU. Free some, or use backend=openvino."
                    ) from error
            # Outside of `except`, whose traceback would hold on to what is to be freed.
            most[0] = -(-most[0] // 2)
            log.info("the GPU is short of memory: %d windows at once from now on", most[0])
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    return careful


def _try(run: Compiled, shape: Shape4) -> None:
    """Compile now, so that what is missing is one clear error and not one per block."""
    try:
        with _quiet():
            run(torch.zeros(shape))
    except Exception as error:  # its errors have no common class of their own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"backend=compile: torch.compile does not work here ({first[:200]}). It needs a C++ "
            "compiler such as g++, and on a GPU Triton. Use backend=auto."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Time in which torch does not warn of parts of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _window_per_thread(run: Compiled) -> Compiled:
    """Windows of a batch side by side, each on one thread.

    A convolution split over threads adds up in another order: its result would depend on the
    number of threads, hence of workers.
    """
    pool = ThreadPoolExecutor(
        torch.get_num_threads(), thread_name_prefix="window",
        initializer=torch.set_num_threads, initargs=(1,),
    )

    def spread(images: Tensor) -> Tensor:
        """Logits of a batch, a window per thread."""
        with _threads_of_one():
            return torch.cat(list(pool.map(run, (image[None] for image in images))))

    return spread


@contextlib.contextmanager
def _threads_of_one() -> Iterator[None]:
    """Time in which a matrix product uses one thread, and so do threads that are made in it.

    What `torch.set_num_threads` says in a thread of the pool holds there for convolutions, but for
    MKL, and for threads made later, in the whole process: left at 1, the engine would go on with
    one core.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
