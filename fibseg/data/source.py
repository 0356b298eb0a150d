"""What a network is trained on: batches of every step, how much is labelled, what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fibseg.data.normalise import Normalisation
from fibseg.data.patches import ALL, Batches, Patches
from fibseg.data.planes import PlaneStack
from fibseg.data.share import Share
from fibseg.data.sparse import SparseData
from fibseg.data.split import Split


@dataclass(frozen=True, eq=False)
class HeldOutPlane:
    """A plane that is held out, or what of it is.

    Parameters
    ----------
    name
        For people.
    image
        In the raw's own units, (c, y, x): the plane and its neighbours.
    annotation
        What is painted where it is held out, else 0; (y, x).
    normalisation
        That of the whole volume.
    """

    name: str
    image: NDArray[Any]
    annotation: NDArray[np.uint8]
    normalisation: Normalisation


class Source(Protocol):
    """Anything that a network can be trained on."""

    def counts(self) -> NDArray[np.int64]:
        """Labelled voxels of background and of each class."""
        ...

    def batches(self, *, seed: int, share: Share = ALL) -> Batches:
        """Batches of one process."""
        ...

    def held_out(self, most: int) -> Sequence[HeldOutPlane]:
        """At most so many held-out planes."""
        ...


@dataclass(frozen=True, eq=False)
class PaintedPlanes:
    """Sparsely painted planes as a source.

    Parameters
    ----------
    stacks, split
        Planes with the held-out parts set to 0, and what those are.
    n_channels
        Background and classes.
    data
        Patch, batch, balance.
    """

    stacks: Sequence[PlaneStack]
    split: Split
    n_channels: int
    data: SparseData

    def counts(self) -> NDArray[np.int64]:
        """Painted pixels of background and of each class."""
        planes = (plane for stack in self.stacks for plane in stack.annotation)
        return labelled(planes, self.n_channels)

    def batches(self, *, seed: int, share: Share = ALL) -> Patches:
        """Patches around painted pixels."""
        return Patches(
            self.stacks, n_channels=self.n_channels, data=self.data, seed=seed, share=share
        )

    def held_out(self, most: int) -> list[HeldOutPlane]:
        """Held-out planes, evenly taken."""
        pairs = list(zip(self.split.held_out, self.split.annotation, strict=True))
        found = []
        for held, annotation in pairs[:: max(1, -(-len(pairs) // most))]:
            stack = self.stacks[held.store]
            image = stack.image[stack.rows[stack.z.index(held.z)]]
            found.append(HeldOutPlane(
                f"{stack.name}, plane {held.z}", image, annotation, stack.normalisation
            ))
        return found


def labelled(planes: Any, n_channels: int) -> NDArray[np.int64]:
    """Voxels of background and of each class in some planes of an annotation."""
    counts = [np.bincount(p.ravel(), minlength=256)[1 : n_channels + 1] for p in planes]
    return np.asarray(np.sum([np.zeros(n_channels, np.int64), *counts], axis=0), np.int64)
