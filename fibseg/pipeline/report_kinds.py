"""Which label images a report shows, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fibseg.pictures import NUCLEUS, OKABE_ITO, Color
from fibseg.volume import Volume

FEW = 3
"""Kinds of up to this many objects are bodies: one colour, no histogram."""
SHELL: Color = (158, 178, 204)
_BODIES = (NUCLEUS, *OKABE_ITO[1:], OKABE_ITO[0])


@dataclass(frozen=True)
class Kind:
    """One label image to show.

    Attributes
    ----------
    color
        Of a body; None where there are many objects, each in its own colour.
    shell
        Whether it is the largest body, around others: drawn as an outline, and translucent.
    """

    name: str
    color: Color | None
    shell: bool = False


def kinds_of(store: Volume, names: Sequence[str]) -> list[Kind]:
    """These label images, first those of many objects."""
    bodies = [name for name in names if _has_few(store, name)]
    shell = max(bodies, key=lambda n: _extent(store, n), default="") if len(names) > 1 else ""
    inner = [name for name in bodies if name != shell]
    return [
        *(Kind(name, None) for name in names if name not in bodies),
        *(Kind(shell, SHELL, shell=True) for _ in bodies[:1] if shell),
        *(Kind(name, _BODIES[i % len(_BODIES)]) for i, name in enumerate(inner)),
    ]


def _has_few(store: Volume, name: str) -> bool:
    if name in store.table_names():
        return int(store.table_info(name)["n_rows"]) <= FEW
    return len(np.unique(store.labels(name, store.n_levels - 1)[...])) <= FEW + 1


def _extent(store: Volume, name: str) -> int:
    """Voxels at the coarsest level."""
    return int(np.count_nonzero(store.labels(name, store.n_levels - 1)[...]))
