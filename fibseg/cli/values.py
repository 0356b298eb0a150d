"""Values as the functions want them, checked against their annotations before any work begins."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from hydra.utils import get_object

from fibseg.errors import UsageError

_WORDS = {
    float: "a number", int: "a whole number", bool: "true or false", str: "text", Path: "a path",
    types.NoneType: "null",
}  # fmt: skip


def fitted(
    function: Callable[..., Any], values: Mapping[str, Any], *, typed: Mapping[str, str],
    prefix: str = "",
) -> dict[str, Any]:  # fmt: skip
    """`values` for the keywords of `function`; what must be text and looks like a number is text.

    Parameters
    ----------
    function
        Function or class; values without an annotation are taken as they are.
    values
        Plain values, and mappings with ``_target_``, whose own keywords are checked likewise.
    typed
        What the user typed, by key: ``out=1e3`` is the folder 1e3, not 1000.0.
    prefix
        Dotted name of `values` in the config, for messages.

    Raises
    ------
    UsageError
        For the first value of a type that the function cannot take.
    """
    start = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    # The start of a dataclass knows the names of its own module only, not of those above it.
    hints = typing.get_type_hints(function if is_dataclass(function) else start)
    if values.get("_partial_"):  # of an operator arrays come first: a chain gives them by name
        parameters = inspect.signature(start).parameters.values()
        hints |= {p.name: Any for p in parameters if p.kind is not p.KEYWORD_ONLY}
    return {
        key: _fitted(value, hints.get(key, Any), prefix + key, typed)
        for key, value in values.items()
    }


def refuse_lacking(function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Nothing, if every keyword without default is in `values`, and no other word.

    Raises
    ------
    UsageError
        If one is not, as after ``postprocess=null`` where there has to be one, or after ``+x=1``.
    """
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in values:
        if key not in parameters:
            raise UsageError(f"There is no key {key!r}. See --help.")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in values:
            raise UsageError(f"{key} cannot be left out: choose one with {key}=…. See --help.")


def _fitted(value: Any, hint: Any, key: str, typed: Mapping[str, str]) -> Any:
    """One value for a keyword annotated with `hint`."""
    if isinstance(value, Mapping) and "_target_" in value:
        target = str(value["_target_"])
        if not target.startswith("fibseg."):  # refused when it would be built; not imported here
            return value
        return fitted(_loaded(target), value, typed=typed, prefix=f"{key}.")
    if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
        return {k: _fitted(v, Any, f"{key}.{k}", typed) for k, v in value.items()}
    if _takes(hint, value):
        return value
    if isinstance(value, int | float) and _takes(hint, ""):
        return typed.get(key, str(value))
    raise UsageError(f"{key}={typed.get(key, value)} is not {_wanted(hint)}. See --help.")


def _loaded(target: str) -> Callable[..., Any]:
    """The function or class of that dotted name; whatever is missing is told when it is built."""
    try:
        found: Callable[..., Any] = get_object(target)
    except Exception:
        return lambda: None
    return found


def _takes(hint: Any, value: Any) -> bool:
    """Whether a value of a config can be passed where `hint` is annotated."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_takes(one, value) for one in inner)
    if origin is Literal:  # which of the words: the function says it better
        return any(type(value) is type(one) for one in inner)
    if hint in (int, float):
        number = int if hint is int else int | float
        return isinstance(value, number) and not isinstance(value, bool)
    if hint in (str, Path):
        return isinstance(value, str)
    if hint in (bool, types.NoneType):
        return isinstance(value, hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_takes(inner[1], v) for v in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and all(_takes(inner[0], v) for v in value)
    return True


def _wanted(hint: Any) -> str:
    """In words, what may be given."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_wanted(one) for one in inner))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping of name to {_WORDS.get(inner[1], 'value')}, e.g. {{a:2}}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {_WORDS.get(inner[0], 'value').removeprefix('a ')}s [a,b,…]"
    return _WORDS.get(hint, "a value that fits")
