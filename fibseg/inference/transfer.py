"""Arrays to a device and back, so that a GPU never waits for the host, nor the host for it.

Work on a GPU is only put into a queue when it is asked for; what makes the host wait is to ask for
a result, or to send memory that is not locked. Hence arrays go there from locked memory, and planes
are taken from there while those of the next batch are computed. All is in one stream: a copy of a
plane takes a small part of the time that the network takes for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.blocks import worker_number
from fibseg.errors import DataError


def place_of(device: str) -> torch.device:
    """The device that this process computes on: of several GPUs the one of its worker."""
    if device != "cuda":
        return torch.device(device)
    return torch.device("cuda", worker_number() % max(torch.cuda.device_count(), 1))


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array on the device; on a CPU the very memory of `array`."""
    if device.type != "cuda":
        return torch.from_numpy(array).to(device)
    host = torch.from_numpy(np.ascontiguousarray(array))  # else a copy that is not locked is sent
    return host.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Computed:
    """A plane, and how many values of the network until then were no numbers.

    Parameters
    ----------
    plane
        uint8, on the device.
    bad
        Their number, on the device; None where that has been looked at.
    """

    plane: Tensor
    bad: Tensor | None = None


def landing(
    planes: Iterable[tuple[int, Computed]], *, behind: int = 0
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield numbered planes as they land on the host, so many behind what is computed.

    >>> planes = [(3, Computed(torch.tensor([1]))), (4, Computed(torch.tensor([2])))]
    >>> [(z, plane.tolist()) for z, plane in landing(planes, behind=1)]
    [(3, [1]), (4, [2])]

    Raises
    ------
    DataError
        If the network gave NaN or infinity; no plane since then is yielded.
    """
    under_way: deque[tuple[int, _Landing]] = deque()
    for z, computed in planes:
        under_way.append((z, _Landing(computed)))
        if len(under_way) > behind:
            number, first = under_way.popleft()
            yield number, first.wait()
    for number, last in under_way:
        yield number, last.wait()


def refuse_bad(n: int) -> None:
    """Nothing, if a network gave numbers only.

    Raises
    ------
    DataError
        If `n` of its values were none.
    """
    if n:
        raise DataError(
            f"the network gave {n} NaN or infinite values. Try precision=float32; if that does "
            "not help, train again with a lower learning rate."
        )


class _Landing:
    """A plane on its way to the host."""

    def __init__(self, computed: Computed) -> None:
        self._plane = _sent(computed.plane)
        self._bad = None if computed.bad is None else _sent(computed.bad)
        self._arrived: torch.cuda.Event | None = None
        if computed.plane.device.type == "cuda":
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record(torch.cuda.current_stream(computed.plane.device))

    def wait(self) -> NDArray[np.uint8]:
        """The plane."""
        if self._arrived is not None:
            self._arrived.synchronize()
        refuse_bad(0 if self._bad is None else int(self._bad))
        return self._plane.numpy()


def _sent(value: Tensor) -> Tensor:
    """Memory of the host that `value` is on its way to."""
    if value.device.type != "cuda":
        return value
    return torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(
        value, non_blocking=True
    )
