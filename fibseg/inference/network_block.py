"""What blocks of a network have in common: a backend, which computes but does not decide."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.blocks import Block, usable_cores
from fibseg.export import ModelSpec
from fibseg.geometry import Box
from fibseg.inference.backends import Backend, Compiled
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


class BlockFunction(Protocol):
    """Probabilities of the classes in the write box of a block."""

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """The classes of one block."""
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

    @abstractmethod
    def with_network(self, network: Compiled, spec: ModelSpec) -> BlockFunction:
        """The block function with another network in the place of its own, the raw read only."""

    def seen_at(
        self, raw: Any, voxel: tuple[int, int, int], spec: ModelSpec
    ) -> list[Tensor]:
        """What the network sees for one voxel of level 0: windows (c, y, x), one or more.

        Parameters
        ----------
        raw
            Array of the level that the plan reads.
        """
        found: list[Tensor] = []

        def look(images: Tensor) -> Tensor:
            """Zeros for a batch, whose first window is kept."""
            found.append(images[0].clone())
            return images.new_zeros(len(images), spec.n_outputs, *images.shape[2:])

        write = Box(voxel, tuple(v + 1 for v in voxel))
        read = self.read_box(write, tuple(raw.shape))
        self.with_network(look, spec)(
            np.asarray(raw[read.slices]), block=Block(0, write, read)
        )
        return found

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
        return self.backend.record()


def threads_of(backend: Backend, batch: int) -> int:
    """How many threads a worker uses: each holds a network and blocks, one holds each GPU.

    Torch on a CPU has a thread for each window of a batch, and none for more.
    """
    if backend.device == "cuda":
        cores, gpus = usable_cores(), max(torch.cuda.device_count(), 1)
        return next(n for n in range(max(cores // gpus, 1), cores + 1) if cores // n <= gpus)
    return min(THREADS, batch) if backend.name in ("torch", "compile") else THREADS
