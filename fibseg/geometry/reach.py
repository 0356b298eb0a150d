"""How far an operator looks: declared once in nm, turned into a halo of voxels by the engine."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

from fibseg.errors import UsageError
from fibseg.types import Spacing

F = TypeVar("F", bound=Callable[..., Any])


def reach(rule: Callable[..., float]) -> Callable[[F], F]:
    """Mark an array function as local: `rule` takes some of its keywords and returns nm.

    >>> @reach(lambda radius_nm: 2 * radius_nm)
    ... def opening(mask, *, radius_nm, spacing): ...
    >>> reach_nm(functools.partial(opening, radius_nm=30))
    60.0
    """

    def mark(fn: F) -> F:
        """The function, marked."""
        fn.reach_rule = rule  # type: ignore[attr-defined]
        return fn

    return mark


def is_local(fn: Callable[..., Any]) -> bool:
    """Whether an operator (or a partial of one) has declared its reach."""
    return hasattr(_innermost(fn)[0], "reach_rule")


def reach_nm(fn: Callable[..., Any]) -> float:
    """How far in nm one output voxel of `fn`, usually a `functools.partial`, looks.

    Raises
    ------
    UsageError
        If the operator has declared no reach: it is a global one.
    """
    inner, bound = _innermost(fn)
    if not hasattr(inner, "reach_rule"):
        raise UsageError(
            f"{getattr(inner, '__name__', inner)} declares no reach, so it is a global operator. "
            "Run it through fibseg.pipeline.operators."
        )
    rule = inner.reach_rule
    wanted = inspect.signature(rule).parameters
    defaults = {
        name: p.default
        for name, p in inspect.signature(inner).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    return float(rule(**{name: {**defaults, **bound}[name] for name in wanted}))


def halo_voxels(distance_nm: float, spacing: Spacing) -> tuple[int, int, int]:
    """Number of voxels per axis that cover `distance_nm`.

    >>> halo_voxels(40.0, (30.0, 10.0, 10.0))
    (2, 4, 4)
    """
    z, y, x = (math.ceil(distance_nm / s - 1e-9) for s in spacing)
    return z, y, x


def _innermost(fn: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function inside nested partials and every keyword bound on the way."""
    bound: dict[str, Any] = {}
    while isinstance(fn, functools.partial):
        bound = {**fn.keywords, **bound}
        fn = fn.func
    return fn, bound
