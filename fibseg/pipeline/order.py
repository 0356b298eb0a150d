"""Which operator may follow which: what each one takes, and what senseless orders are told.

A chain begins with an image (probabilities), makes a mask of it, numbers what hangs together, and
may work on the numbered objects after that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg import postprocess as p
from fibseg.errors import UsageError

ON_IMAGES: tuple[Any, ...] = (
    p.hysteresis_threshold, p.adaptive_threshold, p.preserve_bright_particles, p.enhance_particles,
)
"""Operators on probabilities or intensities, which make no sense of a mask."""

ON_MASKS: tuple[Any, ...] = (
    p.closing, p.opening, p.dilation, p.erosion, p.fill_holes, p.remove_small, p.keep_largest,
    p.smooth_surface, p.components,
)
"""Operators that would take any grey value but 0 for inside."""

ON_OBJECTS: tuple[Any, ...] = (p.watershed, p.split_large, p.grow_regions, p.filter_objects)
"""Operators on numbered objects."""


def check_order(functions: Mapping[str, Any]) -> None:
    """Nothing, if objects are numbered once and what works on them comes after that, nothing else.

    Parameters
    ----------
    functions
        Function of each step by its name, in order.

    Raises
    ------
    UsageError
        Naming the step that stands in the wrong place, and where it belongs.
    """
    names, steps = list(functions), list(functions.values())
    if p.components not in steps:
        raise UsageError(
            f"the operators {names} lack components, which numbers the objects. Put it after the "
            "steps that make the mask."
        )
    at = steps.index(p.components)
    for name, step in zip(names[:at], steps[:at], strict=True):
        if step in ON_OBJECTS:
            raise UsageError(f"{name} needs numbered objects. Put it after components.")
    for name, step in zip(names[at + 1 :], steps[at + 1 :], strict=True):
        if step is p.components:
            raise UsageError(f"{name} numbers the objects again. Have components once.")
        if step not in ON_OBJECTS:
            raise UsageError(
                f"{name} cannot work on numbered objects. Put it before components; after it may "
                f"come {_named(ON_OBJECTS)}."
            )


def check_fit(name: str, function: Any, array: NDArray[Any]) -> None:
    """Nothing, if a step before `components`, or itself, can make sense of what it gets.

    Raises
    ------
    UsageError
        If it gets a mask and needs grey values, or the other way round.
    """
    is_mask = array.dtype == np.bool_
    if function in ON_IMAGES and is_mask:
        raise UsageError(
            f"{name} needs probabilities, but gets a mask. Put it before the threshold, or leave "
            "that out."
        )
    if function in ON_MASKS and not is_mask:
        raise UsageError(
            f"{name} needs a mask, but gets {array.dtype} values. Put a threshold before it."
        )


def _named(functions: Sequence[Any]) -> str:
    return ", ".join(f.__name__ for f in functions)
