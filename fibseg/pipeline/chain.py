"""A chain of clean-up operators: checked before any work, local neighbours fused into one step."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fibseg.errors import UsageError
from fibseg.geometry import is_local, reach, reach_nm
from fibseg.postprocess import components, grow, hysteresis, split_objects
from fibseg.types import Spacing

Operator: TypeAlias = Callable[..., Any]

FARTHEST = 1000
"""Voxels that an operator may look at most, along the finest axis."""

AFTER_COMPONENTS: tuple[Operator, ...] = (split_objects, grow)
"""Operators on numbered objects."""


def planned(
    operators: Mapping[str, Operator | None], *, dtype: DTypeLike, known: Collection[Operator],
    spacing: Spacing,
) -> Iterator[tuple[str, Operator]]:
    """Yield the steps of a chain with names, local neighbours fused, spacing bound.

    Parameters
    ----------
    operators
        Name to operator, in order, None to leave it out.
    dtype
        Type of what the first one gets.
    known
        Global operators that can run over blocks.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If `components` is missing or others than `split_objects` and `grow` follow it, an operator
        is unknown here, the steps do not fit each other, or a setting is refused.
    """
    chain = {name: bound(fn, spacing=spacing) for name, fn in operators.items() if fn is not None}
    _check_order(chain)
    for name, fn in chain.items():
        if not is_local(fn) and function_of(fn) not in (components, *AFTER_COMPONENTS, *known):
            names = ", ".join(f.__name__ for f in (*known, components, *AFTER_COMPONENTS))
            raise UsageError(
                f"{name} is a global operator that cannot run over blocks. Known are {names}, and "
                "all that declare their reach."
            )
    _refuse_far(chain, spacing)
    _try_on_one_voxel(chain, dtype)
    local: list[str] = []
    for name, fn in chain.items():
        if is_local(fn) and function_of(fn) not in AFTER_COMPONENTS:
            local.append(name)
            continue
        if local:
            yield "-".join(local), fused([chain[n] for n in local], spacing=spacing)
            local = []
        yield name, fn


def fused(steps: Sequence[Operator], *, spacing: Spacing) -> Operator:
    """One local operator that does all `steps`; it looks as far as all of them together."""
    if len(steps) == 1:
        return steps[0]
    return functools.partial(in_sequence, steps=tuple(steps), spacing=spacing)


@reach(lambda steps: sum(reach_nm(step) for step in steps))
def in_sequence(
    array: NDArray[Any], *, steps: Sequence[Operator], spacing: Spacing
) -> NDArray[Any]:
    """Result of all `steps`, each already bound to its settings, one after the other."""
    for step in steps:
        array = step(array)
    return array


def bound(fn: Operator, *, spacing: Spacing) -> Operator:
    """`fn` with the spacing, if it takes one."""
    if "spacing" in inspect.signature(fn).parameters:
        return functools.partial(fn, spacing=tuple(float(s) for s in spacing))
    return fn


def settings(fn: Operator) -> dict[str, Any]:
    """Every keyword of an operator with the value it has, defaults included, but the spacing."""
    found = {
        name: p.default for name, p in inspect.signature(fn).parameters.items()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty and name != "spacing"
    }
    return found


def describe(operators: Mapping[str, Operator | None]) -> list[dict[str, Any]]:
    """The chain as plain data, in order: what its result depends on."""
    return [
        {"name": name, "function": function_of(fn).__qualname__, **_plain(settings(fn))}
        for name, fn in operators.items() if fn is not None
    ]


def _check_order(chain: Mapping[str, Operator]) -> None:
    """Objects are numbered once; what works on numbered objects comes after that, nothing else."""
    functions = [function_of(fn) for fn in chain.values()]
    at = functions.index(components) if components in functions else len(functions)
    if functions.count(components) != 1 or not set(functions[at + 1 :]) <= set(AFTER_COMPONENTS):
        raise UsageError(
            f"the operators {list(chain)} do not end in components, which numbers the objects and "
            "which only split_objects and grow may follow. Put it there, once."
        )
    for name, function in zip(chain, functions[:at], strict=False):
        if function in AFTER_COMPONENTS:
            raise UsageError(f"{name} needs numbered objects. Put it after components.")


def _refuse_far(chain: Mapping[str, Operator], spacing: Spacing) -> None:
    """Reaches that no memory holds come out before they are tried: nm taken for another unit."""
    for name, fn in chain.items():
        far = reach_nm(fn) / min(spacing) if is_local(fn) else 0.0
        if not far <= FARTHEST:
            raise UsageError(
                f"{name} looks {reach_nm(fn):g} nm far, which is {far:.3g} voxels; at most "
                f"{FARTHEST} are possible. Give its settings in nm: {settings(fn)}."
            )


def _try_on_one_voxel(chain: Mapping[str, Operator], dtype: DTypeLike) -> None:
    """Settings that an operator refuses, and steps that do not fit, come out before any work."""
    array = np.zeros((1, 1, 1), dtype=dtype)
    for name, fn in chain.items():
        is_mask = array.dtype == np.bool_
        if function_of(fn) is hysteresis and is_mask:
            raise UsageError(
                f"{name} needs probabilities, but gets a mask. Leave out the threshold before it."
            )
        if not (is_local(fn) or is_mask or function_of(fn) in (hysteresis, *AFTER_COMPONENTS)):
            raise UsageError(
                f"{name} needs a mask, but gets {array.dtype} values. Put a threshold before it."
            )
        array = np.asarray(fn(array))


def function_of(fn: Operator) -> Any:
    """The function inside of a partial."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Steps inside a fused operator are described too."""
    return {
        key: describe({str(i): fn for i, fn in enumerate(value)}) if key == "steps" else value
        for key, value in values.items()
    }
