"""What blocks of a network have in common: a backend, which computes but does not decide."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fibseg.blocks import usable_cores
from fibseg.inference.backends import Backend
from fibseg.inference.fastest import THREADS
from fibseg.inference.folder_block import FolderBlocks, P_co


@dataclass(frozen=True)
class NetworkBlocks(FolderBlocks[P_co]):
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
        return threads_of(self.backend)

    def settings(self) -> dict[str, Any]:
        """As of every folder, but of the backend only the precision.

        Which of two backends rounds a sum does not make it another product: the same command is
        done with, also where another backend would be the fastest today.
        """
        return {**super().settings(), "backend": self.backend.precision}

    def means(self) -> dict[str, Any]:
        """The backend, which all blocks of one product are computed by."""
        return asdict(self.backend)


def threads_of(backend: Backend) -> int:
    """How many threads a worker uses: each holds a network and blocks, one holds a GPU."""
    return usable_cores() if backend.device == "cuda" else THREADS
