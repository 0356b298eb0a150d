"""Steps outside a graph on arrays: bound to the intensities of a volume once, then voxel by voxel.

Percentiles and means are those of the whole volume, so that no window has its own. They come from
the histogram of the stored whole numbers, every one of which is taken through the steps before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.export.foreign import Step
from fibseg.export.foreign.steps import FLOATS

Floats = NDArray[np.float32]


def bound(
    steps: Sequence[Step], *, largest: int, counts: NDArray[np.int64] | None = None
) -> tuple[Step, ...]:
    """Steps that depend on nothing but the voxel.

    Parameters
    ----------
    steps
        As a file tells them.
    largest
        Largest value of the type of the stored raw.
    counts
        Voxels of the volume by their value, where a step needs them.

    Raises
    ------
    DataError
        If the volume has one value nearly everywhere, and a step would stretch that.
    """
    found: list[Step] = []
    values = np.arange(largest + 1, dtype=np.float32)
    for step in steps:
        if step.name == "unit":
            step = _linear(1 / largest, 0.0)
        elif step.of_volume:
            if counts is None:
                raise ValueError(f"{step.name} needs the histogram of the volume")
            step = _counted(step, values, counts)
        values = applied([step], values)
        found.append(step)
    return tuple(found)


def applied(steps: Sequence[Step], values: NDArray[Any]) -> Floats:
    """Values, float32, after all steps; channels are the first axis."""
    found = values.astype(np.float32)
    for step in steps:
        found = _one(step, found)
    return found


def _one(step: Step, v: Floats) -> Floats:
    """Values after one step."""
    match step.name:
        case "scale_linear":
            return v * np.float32(step["gain"]) + np.float32(step["offset"])
        case "fixed_zero_mean_unit_variance":
            return (v - np.float32(step["mean"])) / np.float32(step["std"])
        case "clip":
            ends = dict(step.numbers)
            return np.clip(v, ends.get("min"), ends.get("max")).astype(np.float32)
        case "binarize":
            return (v > np.float32(step["threshold"])).astype(np.float32)
        case "ensure_dtype":
            whole = step.dtype not in FLOATS
            return as_type(np.trunc(v), step.dtype).astype(np.float32) if whole else v
        case "sigmoid":
            return sigmoid(v)
        case "softmax":
            return softmax(v)
    raise ValueError(f"the step {step.name} was not bound to a volume")


def as_type(values: Floats, dtype: str) -> NDArray[Any]:
    """Values in another type; whole numbers are rounded and kept within what the type holds."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    ends = np.iinfo(kind)
    return np.clip(np.rint(values.astype(np.float64)), ends.min, ends.max).astype(kind)


def sigmoid(v: Floats) -> Floats:
    """Logistic function, without overflow.

    >>> sigmoid(np.array([-1000, 0, 1000], np.float32)).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(v))
    found: Floats = np.where(v >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return found


def softmax(v: Floats) -> Floats:
    """Shares along the first axis.

    >>> softmax(np.zeros((2, 1), np.float32)).ravel().tolist()
    [0.5, 0.5]
    """
    parts = np.exp(v - v.max(axis=0, keepdims=True))
    found: Floats = parts / parts.sum(axis=0, keepdims=True)
    return found


def _counted(step: Step, values: Floats, counts: NDArray[np.int64]) -> Step:
    """A step that counts over the volume, with what it counts."""
    n = dict(step.numbers)
    if step.name == "zero_mean_unit_variance":
        mean = float(np.average(values.astype(np.float64), weights=counts))
        var = float(np.average((values.astype(np.float64) - mean) ** 2, weights=counts))
        _refuse_flat(mean, mean + np.sqrt(var))
        gain = 1 / (np.sqrt(var) + n["eps"])
        return _linear(gain, -mean * gain)
    if step.name == "scale_range":
        low, high = (_percentile(values, counts, n[key]) for key in ("low", "high"))
        _refuse_flat(low, high)
        gain = 1 / (high - low + n["eps"])
        return _linear(gain, -low * gain)
    ends = {
        key.removesuffix("_percentile"):
            _percentile(values, counts, v) if key.endswith("percentile") else v
        for key, v in n.items()
    }
    return Step("clip", tuple(ends.items()))


def _percentile(values: Floats, counts: NDArray[np.int64], percent: float) -> float:
    """The same number as `numpy.percentile` of all voxels."""
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(counts[order])
    position = percent / 100 * (int(upto[-1]) - 1)
    below = int(position)
    low, high = (
        float(values[order[np.searchsorted(upto, min(k, int(upto[-1]) - 1), side="right")]])
        for k in (below, below + 1)
    )
    return low + (high - low) * (position - below)


def _refuse_flat(low: float, high: float) -> None:
    if not high > low:
        raise DataError(
            f"the volume has the intensity {low:g} nearly everywhere, so there is nothing to see. "
            "Check the import."
        )


def _linear(gain: float, offset: float) -> Step:
    return Step("scale_linear", (("gain", float(gain)), ("offset", float(offset))))
