"""What a network and a pixel classifier have in common as functions of blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.data import Normalisation
from fibseg.geometry import Box
from fibseg.types import Shape


class BlockPlan(Protocol):
    """How a model runs on a volume, as far as blocks need to know."""

    @property
    def level(self) -> int:
        """Pyramid level that is read."""
        ...

    def block_shape(self, shards: Sequence[int]) -> Shape:
        """Voxels per block, where nobody asks for others."""
        ...

    def read_box(self, write: Box) -> Box:
        """Box of the pyramid level that is read for the voxels `write` of level 0."""
        ...


P_co = TypeVar("P_co", bound=BlockPlan, covariant=True)


@dataclass(frozen=True)
class FolderBlocks(ABC, Generic[P_co]):
    """A model folder as a block function for `fibseg.blocks.map_blocks`, picklable.

    It returns one uint8 array per class, so it takes one target per class. What is in the folder is
    loaded once per process.

    Parameters
    ----------
    folder
        The model folder.
    digest
        Of all in it that decides about the output, so that a folder that changed is loaded again.
    plan
        How the model runs on the volume.
    normalisation
        That of the volume.
    """

    folder: str
    digest: str
    plan: P_co
    normalisation: Normalisation

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Box of the pyramid level that is read for the voxels `write` of level 0."""
        return self.plan.read_box(write)

    def settings(self) -> dict[str, Any]:
        """All that the output depends on but the model and the raw, as plain data."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in named.items() if name not in ("folder", "digest")
        }

    def means(self) -> dict[str, Any]:
        """What computes it, where that may differ without making another product."""
        return {}

    @abstractmethod
    def note(self) -> str:
        """How it works, in words, for the log."""

    @abstractmethod
    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
