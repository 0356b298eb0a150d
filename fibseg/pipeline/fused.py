"""Local operators that follow each other, as one that looks as far as all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

from fibseg.geometry import reach, reach_nm
from fibseg.types import Spacing

Operator: TypeAlias = Callable[..., Any]

Taking: TypeAlias = tuple[Operator, Sequence[str]]
"""An operator, all but arrays bound, and the keywords by which it takes arrays after the first."""


@reach(lambda steps: sum(reach_nm(step) for step, _ in steps))
def in_sequence(
    array: NDArray[Any], *others: NDArray[Any], steps: Sequence[Taking], spacing: Spacing
) -> NDArray[Any]:
    """Result of all `steps`, one after the other, each with those of the `others` that it takes."""
    rest = iter(others)
    for step, keywords in steps:
        array = step(array, **{keyword: next(rest) for keyword in keywords})
    return array
