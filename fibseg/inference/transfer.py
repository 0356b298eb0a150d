"""Planes to a device and back, so that a GPU never waits for the host, nor the host for it.

Work on a GPU is only ordered when it is asked for; what makes the host wait is to ask for a result.
Hence planes go there from locked memory, and come back while the next one is computed. All is in
one stream: a copy of a plane takes a small part of the time that the network takes for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.blocks import worker_number


def place_of(device: str) -> torch.device:
    """The device that this process computes on: of several GPUs the one of its worker."""
    if device != "cuda":
        return torch.device(device)
    return torch.device("cuda", worker_number() % max(torch.cuda.device_count(), 1))


def to_device(plane: NDArray[Any], device: torch.device) -> Tensor:
    """The plane on the device; on a CPU the very memory of `plane`."""
    host = torch.from_numpy(plane)
    if device.type == "cuda":
        return host.pin_memory().to(device, non_blocking=True)
    return host.to(device)


def landing(planes: Iterable[tuple[int, Tensor]]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield numbered planes as they land on the host, one behind what is computed.

    >>> [(z, p.tolist()) for z, p in landing([(3, torch.tensor([1])), (4, torch.tensor([2]))])]
    [(3, [1]), (4, [2])]
    """
    before: tuple[int, _Landing] | None = None
    for z, plane in planes:
        under_way = z, _Landing(plane)
        if before is not None:
            yield before[0], before[1].wait()
        before = under_way
    if before is not None:
        yield before[0], before[1].wait()


class _Landing:
    """A plane on its way to the host."""

    def __init__(self, plane: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._host = plane
        if plane.device.type == "cuda":
            self._host = torch.empty(plane.shape, dtype=plane.dtype, pin_memory=True)
            self._host.copy_(plane, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            stream = torch.cuda.current_stream(plane.device)
            self._arrived.record(stream)

    def wait(self) -> NDArray[np.uint8]:
        """The plane."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host.numpy()
