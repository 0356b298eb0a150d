"""A chain of clean-up operators: checked before any work, local neighbours fused into one step.

An operator may take arrays beside the one it works on, such as the labels that `mask_by` looks
through. In a chain such a keyword names the array: ``"labels/cell"``, ``"raw"``, or
``"probabilities"``, which are those that the chain began with; and ``table`` names a table of the
store. The names are looked up before any block is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fibseg.errors import UsageError
from fibseg.geometry import is_local, reach_nm
from fibseg.pipeline.features import INTENSITY, no_objects
from fibseg.pipeline.fused import Operator, Taking, in_sequence
from fibseg.pipeline.order import ON_OBJECTS, check_fit, check_order
from fibseg.postprocess import components, filter_objects
from fibseg.types import Spacing

FARTHEST = 1000
"""Voxels that an operator may look at most, along the finest axis."""

OWN = "probabilities"
"""Name of the array that a chain begins with."""

TABLE, TABLES = "table", "tables/"
"""Keyword of an operator that takes a table, and how the names of tables begin in a store."""


@dataclass(frozen=True)
class Step:
    """One operator of a chain, or several fused ones, ready to run.

    Attributes
    ----------
    name
        Its name, or those of all.
    fn
        Operator with every setting and the spacing bound, but no array.
    arrays
        Keyword and name of every array that it takes after the first, in order.
    about
        Plain data of all that its result depends on.
    """

    name: str
    fn: Operator
    arrays: tuple[tuple[str, str], ...]
    about: list[dict[str, Any]]


def planned(
    operators: Mapping[str, Operator | None], *, dtype: DTypeLike, known: Collection[Operator],
    arrays: Mapping[str, Any] | None = None, spacing: Spacing,
) -> Iterator[Step]:
    """Yield the steps of a chain.

    Parameters
    ----------
    operators
        Name to operator, in order, None to leave it out.
    dtype
        Type of what the first one gets.
    known
        Global operators that can run over blocks.
    arrays
        Other arrays on the same grid, by the names that operators call them.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If `components` is missing or a step stands in the wrong place, an operator is unknown here,
        the steps do not fit each other, or a setting is refused.
    """
    chain = {
        name: fn for name, fn in operators.items() if fn is not None and not _lets_all_stay(fn)
    }
    check_order({name: function_of(fn) for name, fn in chain.items()})
    steps = [
        Step(name, without_arrays(fn, spacing=spacing), tuple(arrays_of(name, fn).items()),
             describe({name: fn}))
        for name, fn in chain.items()
    ]
    _refuse_unknown(steps, known)
    _refuse_far(steps, spacing)
    _try_on_one_voxel(steps, dtype, {OWN: np.zeros(0, dtype), **(arrays or {})}, spacing)
    local: list[Step] = []
    for step in steps:
        if is_local(step.fn) and function_of(step.fn) not in ON_OBJECTS:
            local.append(step)
            continue
        if local:
            yield fused(local, spacing=spacing)
            local = []
        yield step


def fused(steps: Sequence[Step], *, spacing: Spacing) -> Step:
    """One local step that does all `steps`; it looks as far as all of them together."""
    arrays = tuple(pair for step in steps for pair in step.arrays)
    if len(steps) == 1 and not arrays:
        return steps[0]
    parts: tuple[Taking, ...] = tuple(
        (step.fn, tuple(keyword for keyword, _ in step.arrays)) for step in steps
    )
    return Step(
        "-".join(step.name for step in steps),
        functools.partial(in_sequence, steps=parts, spacing=spacing), arrays,
        [row for step in steps for row in step.about],
    )


def arrays_of(name: str, fn: Operator) -> dict[str, str]:
    """Names of the arrays that an operator takes after the first, by keyword.

    Raises
    ------
    UsageError
        If something else is given than a name.
    """
    found = {}
    for keyword in _array_keywords(fn):
        value = _given(fn).get(keyword)
        if value is None:
            continue
        if not isinstance(value, str):
            what = (
                'name a table of the store, such as "mitochondria"' if keyword == TABLE
                else 'name an array, such as "labels/cell" or "raw"'
            )
            raise UsageError(f"{keyword}={value} of {name} cannot be used in a chain: {what}.")
        found[keyword] = value if keyword != TABLE else f"{TABLES}{value.removeprefix(TABLES)}"
    column = str(_given(fn).get("column"))
    if function_of(fn) is filter_objects and TABLE not in found and column.startswith(INTENSITY):
        found["image"] = "raw"
    return found


def without_arrays(fn: Operator, *, spacing: Spacing) -> Operator:
    """`fn` with the spacing, if it takes one, and without the names of arrays."""
    keywords = {k: v for k, v in _given(fn).items() if k not in _array_keywords(fn)}
    return bound(functools.partial(function_of(fn), **keywords), spacing=spacing)


def bound(fn: Operator, *, spacing: Spacing) -> Operator:
    """`fn` with the spacing, if it takes one."""
    if "spacing" in inspect.signature(fn).parameters:
        return functools.partial(fn, spacing=tuple(float(s) for s in spacing))
    return fn


def settings(fn: Operator) -> dict[str, Any]:
    """Every keyword of an operator with the value it has, defaults included, but the spacing."""
    return {
        name: p.default for name, p in inspect.signature(fn).parameters.items()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and name != "spacing"
    }


def describe(operators: Mapping[str, Operator | None]) -> list[dict[str, Any]]:
    """The chain as plain data, in order: what its result depends on."""
    return [
        {"name": name, "function": function_of(fn).__qualname__, **settings(fn)}
        for name, fn in operators.items() if fn is not None
    ]


def function_of(fn: Operator) -> Any:
    """The function inside of a partial."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _given(fn: Operator) -> dict[str, Any]:
    """Every keyword that was bound."""
    found: dict[str, Any] = {}
    while isinstance(fn, functools.partial):
        found, fn = {**fn.keywords, **found}, fn.func
    return found


def _lets_all_stay(fn: Operator) -> bool:
    """Whether it is a filter that is given no column."""
    return function_of(fn) is filter_objects and _given(fn).get("column", "") is None


def _array_keywords(fn: Operator) -> list[str]:
    """Arrays come first in a signature, and keywords after them."""
    parameters = inspect.signature(function_of(fn)).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]


def _refuse_unknown(steps: Sequence[Step], known: Collection[Operator]) -> None:
    for step in steps:
        if not is_local(step.fn) and function_of(step.fn) not in (components, *ON_OBJECTS, *known):
            names = ", ".join(f.__name__ for f in (*known, components, *ON_OBJECTS))
            raise UsageError(
                f"{step.name} is a global operator that cannot run over blocks. Known are {names}, "
                "and all that declare their reach."
            )


def _refuse_far(steps: Sequence[Step], spacing: Spacing) -> None:
    """Reaches that no memory holds come out before they are tried: nm taken for another unit."""
    for step in steps:
        far = reach_nm(step.fn) / min(spacing) if is_local(step.fn) else 0.0
        if not far <= FARTHEST:
            raise UsageError(
                f"{step.name} looks {reach_nm(step.fn):g} nm far, which is {far:.3g} voxels; at "
                f"most {FARTHEST} are possible. Give its settings in nm: {settings(step.fn)}."
            )


def _try_on_one_voxel(
    steps: Sequence[Step], dtype: DTypeLike, arrays: Mapping[str, Any], spacing: Spacing
) -> None:
    """Settings that an operator refuses, and steps that do not fit, come out before any work."""
    array = np.zeros((1, 1, 1), dtype=dtype)
    for step in steps:
        lacking = [name for _, name in step.arrays if name not in arrays]
        if lacking:
            raise UsageError(
                f"{step.name} needs {lacking[0]}, which is not among {', '.join(arrays)}."
            )
        others: dict[str, Any] = {
            key: np.zeros((1, 1, 1), dtype=arrays[name].dtype) for key, name in step.arrays
        }
        if function_of(step.fn) is filter_objects:
            named = dict(step.arrays).get(TABLE)
            others = {TABLE: arrays[named].no_rows() if named else no_objects(spacing)}
        check_fit(step.name, function_of(step.fn), array)
        array = np.asarray(step.fn(array, **others))
