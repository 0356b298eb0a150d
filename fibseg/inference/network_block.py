"""What blocks of a network have in common: a backend, which computes but does not decide."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

import torch

from fibseg.blocks import usable_cores
from fibseg.inference.backends import Backend
from fibseg.inference.choice import THREADS
from fibseg.inference.folder_block import BlockPlan, FolderBlocks


class WindowPlan(BlockPlan, Protocol):
    """How a network runs on a volume, as far as a backend needs to know."""

    @property
    def batch(self) -> int:
        """Windows that the network sees at once."""
        ...

    def batch_shape(self, channels: int) -> tuple[int, int, int, int]:
        """What the network sees at once, (b, c, y, x)."""
        ...


N_co = TypeVar("N_co", bound=WindowPlan, covariant=True)


@dataclass(frozen=True)
class NetworkBlocks(FolderBlocks[N_co]):
    """The folder of a network as a block function.

    Parameters
    ----------
    backend
        What runs the network.
    """

    backend: Backend

    @property
    def threads(self) -> int:
        """How many a worker uses: those of `threads_of`."""
        return threads_of(self.backend, self.plan.batch)

    def settings(self) -> dict[str, Any]:
        """As of every folder, but of the backend only the precision.

        Which of two backends rounds a sum does not make it another product: the same command is
        done with, also where another backend would be the fastest today.
        """
        return {**super().settings(), "backend": self.backend.precision}

    def means(self) -> dict[str, Any]:
        """The backend, which all blocks of one product are computed by."""
        return asdict(self.backend)


def threads_of(backend: Backend, batch: int) -> int:
    """How many threads a worker uses: each holds a network and blocks, one holds each GPU.

    Torch on a CPU has a thread for each window of a batch, and none for more.
    """
    if backend.device == "cuda":
        return math.ceil(usable_cores() / max(torch.cuda.device_count(), 1))
    return min(THREADS, batch) if backend.name in ("torch", "compile") else THREADS
