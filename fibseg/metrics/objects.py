"""Object scores of two label images, from one sparse contingency table that adds over blocks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.metrics.overlap import ratio, require_same_shape
from fibseg.types import Labels

IGNORED = 2**32 - 1
"""Label of truth that marks ground where nothing is known."""

THRESHOLDS = (0.5, 0.75)


def _none() -> NDArray[np.uint64]:
    return np.zeros(0, np.uint64)


def _nothing() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Contingency:
    """Number of voxels that every pair of (predicted, true) object shares; additive over blocks.

    >>> a = np.array([[[1, 1, 0, 2]]], np.uint32)
    >>> b = np.array([[[7, 7, 7, 0]]], np.uint32)
    >>> Contingency().update(a, b).pairs
    [(0, 7, 1), (1, 7, 2), (2, 0, 1)]
    """

    keys: NDArray[np.uint64] = field(default_factory=_none)  # predicted << 32 | true, ascending
    counts: NDArray[np.int64] = field(default_factory=_nothing)

    def update(self, prediction: Labels, truth: Labels) -> Contingency:
        """Return this table plus that of two label images of one shape; labels below 2**32.

        Label 0 is background; truth `IGNORED` is unknown ground.

        Raises
        ------
        DataError
            If the shapes differ or a label is negative, not an integer or too large.
        """
        require_same_shape(prediction, truth)
        keys = _as_uint64(prediction, "predicted") << np.uint64(32)
        keys |= _as_uint64(truth, "true")
        if keys.size == 0:
            return self
        starts = np.flatnonzero(keys[1:] != keys[:-1]) + 1  # runs are few: sort those only
        starts = np.concatenate([[0], starts])
        lengths = np.diff(starts, append=keys.size)
        return self + Contingency(*_summed(keys[starts], lengths))

    def __add__(self, other: Contingency) -> Contingency:
        return Contingency(
            *_summed(
                np.concatenate([self.keys, other.keys]),
                np.concatenate([self.counts, other.counts]),
            )
        )

    @property
    def pairs(self) -> list[tuple[int, int, int]]:
        """All (predicted, true, voxels) but those of background with background."""
        p, t = self.keys >> np.uint64(32), self.keys & np.uint64(0xFFFFFFFF)
        rows = zip(p.tolist(), t.tolist(), self.counts.tolist(), strict=True)
        return [row for row in rows if row[0] or row[1]]

    def score(self) -> ObjectScore:
        """Count matched, missed and invented objects; sum what entropy and Rand scores need.

        A predicted object that lies by more than half on ignored ground and matches nothing is
        left out; IoU is taken on known ground.
        """
        p = (self.keys >> np.uint64(32)).astype(np.int64)
        t = (self.keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
        known = t != IGNORED
        ignored = _sizes(p[~known], self.counts[~known])
        p, t, n = p[known], t[known], self.counts[known]
        size_p, size_t = _sizes(p, n), _sizes(t, n)
        both = (p > 0) & (t > 0)
        a, b = _look_up(size_p, p[both]), _look_up(size_t, t[both])
        iou = n[both] / (a + b - n[both]) if both.any() else np.zeros(0)
        matched = set(p[both][iou > THRESHOLDS[0]].tolist())
        every = (set(size_p[0].tolist()) | set(ignored[0].tolist())) - {0}
        seen = dict(zip(size_p[0].tolist(), size_p[1].tolist(), strict=True))
        hidden = dict(zip(ignored[0].tolist(), ignored[1].tolist(), strict=True))
        n_prediction = sum(i in matched or hidden.get(i, 0) <= seen.get(i, 0) for i in every)
        hits = iou > THRESHOLDS[0]
        return ObjectScore(
            n_prediction=n_prediction,
            n_truth=int(np.count_nonzero(size_t[0])),
            n_matched_50=int(np.count_nonzero(hits)),
            n_matched_75=int(np.count_nonzero(iou > THRESHOLDS[1])),
            iou_of_matched=float(iou[hits].sum()),
            volume_error_of_matched=float((np.abs(a - b) / np.maximum(b, 1))[hits].sum()),
            **_partition_sums(p, t, n),
        )


@dataclass(frozen=True)
class ObjectScore:
    """Sums over objects; ``+`` joins separate images (planes, volumes) whose labels differ."""

    n_prediction: int = 0
    n_truth: int = 0
    n_matched_50: int = 0
    n_matched_75: int = 0
    iou_of_matched: float = 0.0
    volume_error_of_matched: float = 0.0
    n_voxels: float = 0.0
    split_bits: float = 0.0
    merge_bits: float = 0.0
    pairs_in_both: float = 0.0
    pairs_in_prediction: float = 0.0
    pairs_in_truth: float = 0.0

    def __add__(self, other: ObjectScore) -> ObjectScore:
        return ObjectScore(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    def compute(self) -> dict[str, float]:
        """Object scores; fractions, entropies in bits; NaN where undefined.

        `object_precision_50`, `object_recall_50`, `object_f1_50` (and `_75`): objects match
        where IoU is above 0.5, which makes matches unique, or above 0.75. `panoptic_quality` is
        the sum of matched IoU / (matched + half of the unmatched), Kirillov et al. (CVPR 2019).
        `voi_split` = H(prediction | truth), `voi_merge` = H(truth | prediction), Meila (2007),
        and `adapted_rand_error`, Arganda-Carreras et al. (2015), over the voxels of true objects
        as in CREMI. `object_volume_error` is the mean |predicted - true| / true of matches.
        """
        out: dict[str, float] = {}
        total = self.n_prediction + self.n_truth
        for percent, n in ((50, self.n_matched_50), (75, self.n_matched_75)):
            out[f"object_precision_{percent}"] = ratio(n, self.n_prediction)
            out[f"object_recall_{percent}"] = ratio(n, self.n_truth)
            out[f"object_f1_{percent}"] = ratio(2 * n, total)
        out["panoptic_quality"] = ratio(2 * self.iou_of_matched, total)
        out["voi_split"] = ratio(self.split_bits, self.n_voxels)
        out["voi_merge"] = ratio(self.merge_bits, self.n_voxels)
        rand = ratio(2 * self.pairs_in_both, self.pairs_in_prediction + self.pairs_in_truth)
        out["adapted_rand_error"] = 1 - rand
        out["object_volume_error"] = ratio(self.volume_error_of_matched, self.n_matched_50)
        return out


def _partition_sums(
    p: NDArray[np.int64], t: NDArray[np.int64], n: NDArray[np.int64]
) -> dict[str, float]:
    """Entropies (in bits x voxels) and pairs over the voxels of true objects."""
    inside = t > 0
    p, t, n = p[inside], t[inside], n[inside]
    if n.size == 0:
        return {}
    size_p, size_t = _sizes(p, n), _sizes(t, n)
    a, b = _look_up(size_p, p), _look_up(size_t, t)
    return {
        "n_voxels": float(n.sum()),
        "split_bits": float((n * np.log2(b / n)).sum()),
        "merge_bits": float((n * np.log2(a / n)).sum()),
        "pairs_in_both": _pairs(n),
        "pairs_in_prediction": _pairs(size_p[1]),
        "pairs_in_truth": _pairs(size_t[1]),
    }


def _pairs(sizes: NDArray[np.int64]) -> float:
    """Twice the number of pairs of voxels within segments of these sizes."""
    return float((sizes.astype(float) * (sizes - 1)).sum())


def _sizes(
    labels: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels, ascending, and the voxels of each."""
    ids, where = np.unique(labels, return_inverse=True)
    sums = np.zeros(ids.size, np.int64)
    np.add.at(sums, where, counts)
    return ids, sums


def _look_up(
    sizes: tuple[NDArray[np.int64], NDArray[np.int64]], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    return sizes[1][np.searchsorted(sizes[0], labels)]


def _summed(
    keys: NDArray[np.uint64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Keys, ascending and unique, and the sum of the counts of each."""
    ids, where = np.unique(keys, return_inverse=True)
    sums = np.zeros(ids.size, np.int64)
    np.add.at(sums, where, counts)
    return ids, sums


def _as_uint64(labels: Labels, word: str) -> NDArray[np.uint64]:
    """Flat copy of a label image.

    Raises
    ------
    DataError
        If values are not whole numbers from 0 to 2**32 - 1.
    """
    flat = np.asarray(labels).ravel()
    if flat.dtype.kind not in "bui":
        raise DataError(
            f"{word} labels are {flat.dtype}, not whole numbers. Give a label image, not an image "
            "of probabilities."
        )
    low, high = (int(flat.min()), int(flat.max())) if flat.size else (0, 0)
    if low < 0 or high > IGNORED:
        raise DataError(
            f"{word} labels run from {low} to {high}. Number objects from 1 to {IGNORED - 1}."
        )
    return flat.astype(np.uint64)
