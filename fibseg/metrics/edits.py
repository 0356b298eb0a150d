"""What a person has to do to turn predicted objects into the true ones, and how long that takes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from fibseg.metrics.objects import IGNORED, Contingency
from fibseg.types import Labels

SECONDS_PER_EDIT = 20.0
"""An assumption: to find an object, to change it, to look once more. Time a few of your own."""

LIMIT_HOURS = 16.0
"""Two person-days, which the study allows for the proof-editing of a cell."""


@dataclass(frozen=True)
class Edits:
    """Smallest number of edits of each kind; ``+`` joins separate volumes.

    A predicted and a true object belong together where they share more than half of either one.
    Every true object in several pieces is merged from them, every predicted one that belongs to
    several true ones is split, one that belongs to none is deleted, and a true one that nothing
    belongs to is added. As in the tolerant edit distance of Funke et al. (Methods 115, 2017, 119),
    shifted borders cost nothing; they are what the boundary scores tell.

    >>> truth = np.array([[[1, 1, 1, 0, 2, 2, 0, 3, 3]]])
    >>> found = np.array([[[1, 1, 4, 0, 5, 5, 5, 5, 5]]])
    >>> Edits.between(found, truth)
    Edits(n_merges=1, n_splits=1, n_additions=0, n_deletions=0)
    """

    n_merges: int = 0
    n_splits: int = 0
    n_additions: int = 0
    n_deletions: int = 0

    @classmethod
    def between(cls, prediction: Labels, truth: Labels) -> Edits:
        """Edits of one label image into another; truth `IGNORED` is unknown ground.

        Raises
        ------
        DataError
            As `Contingency.update`.
        """
        return cls.of(Contingency().update(prediction, truth))

    @classmethod
    def of(cls, table: Contingency) -> Edits:
        """Edits, from the voxels that every pair of objects shares.

        A predicted object that lies by more than half on ignored ground and belongs to nothing is
        left alone; halves are taken on known ground.
        """
        p, t = (table.keys >> np.uint64(32)), table.keys & np.uint64(0xFFFFFFFF)
        known = t != IGNORED
        there, row = np.unique(p, return_inverse=True)
        true, column = np.unique(t[known], return_inverse=True)
        hidden = np.bincount(row[~known], table.counts[~known], len(there))
        row, n = row[known], table.counts[known]
        seen = np.bincount(row, n, len(there))
        both = (p[known] > 0) & (t[known] > 0)
        size = np.minimum(seen[row], np.bincount(column, n, len(true))[column])
        tied = both & (2 * n > size)
        of_predicted = np.bincount(row[tied], minlength=len(there))[there > 0]
        of_true = np.bincount(column[tied], minlength=len(true))[true > 0]
        counted = (hidden <= seen)[there > 0]
        return cls(
            n_merges=int(np.maximum(of_true - 1, 0).sum()),
            n_splits=int(np.maximum(of_predicted - 1, 0).sum()),
            n_additions=int(np.count_nonzero(of_true == 0)),
            n_deletions=int(np.count_nonzero((of_predicted == 0) & counted)),
        )

    def __add__(self, other: Edits) -> Edits:
        return Edits(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def n_edits(self) -> int:
        """All of them."""
        return self.n_merges + self.n_splits + self.n_additions + self.n_deletions


def hours(n_edits: float, *, seconds_per_edit: float) -> float:
    """Time of so many edits in hours.

    >>> hours(180, seconds_per_edit=20)
    1.0
    """
    return n_edits * seconds_per_edit / 3600

