"""What a sweep may change: ranges and choices for settings of a training, checked at the door."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from fibseg.errors import UsageError

RANGE, CHOICES = {"low", "high", "log"}, {"choices"}
FIXED = {
    "data.split", "data.folds", "data.fold", "data.gap_nm", "data.held_out", "data.reserved",
    "data.region", "data.test_planes", "data.memory_gb", "trainer.devices", "trainer.strategy",
    "trainer.threads", "trainer.n_pictures", "trainer.tolerance_nm", "trainer.log_every",
    "trainer.checkpoint_every_s", "trainer.checkpoint_every_steps",
}
"""What a trial is scored on, and what changes no result: a search over it would mean nothing."""
DIGITS = 4
"""Of a drawn number: more would not be typed."""


@dataclass(frozen=True)
class Dimension:
    """A setting that is searched: a range, or choices.

    Parameters
    ----------
    key
        As it is typed behind ``fibseg train``.
    default
        Value without the sweep.
    low, high, log, whole
        Range, both ends included, whether drawn on a logarithmic scale, and of whole numbers.
    choices
        Values instead of a range.
    """

    key: str
    default: Any
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    def contains(self, value: Any) -> bool:
        """Whether a trial could have drawn that value."""
        if self.choices:
            return json.dumps(value) in self.labels
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    @property
    def labels(self) -> list[str]:
        """Choices as texts that can be compared."""
        return [json.dumps(c) for c in self.choices]

    def rounded(self, number: float) -> float | int:
        """A drawn number as it is typed.

        >>> Dimension("trainer.learning_rate", 0.003, 0.001, 0.01).rounded(0.00123456)
        0.001235
        """
        if self.whole:
            return round(number)
        return min(max(float(f"{number:.{DIGITS}g}"), self.low), self.high)

    def word(self, value: Any) -> str:
        """The setting as it is typed.

        >>> Dimension("network.features", [8]).word([16, 32])
        'network.features=[16,32]'
        """
        return f"{self.key}={typed(value)}"

    def text(self) -> str:
        """Range or choices in words."""
        if self.choices:
            return " or ".join(typed(c) for c in self.choices)
        return f"{self.low:g} to {self.high:g}{', logarithmic' * self.log}"


def typed(value: Any) -> str:
    """A value as it is typed behind ``key=``.

    >>> typed(True), typed([1, [2]]), typed(None), typed("batch"), typed(0.003)
    ('true', '[1,[2]]', 'null', 'batch', '0.003')
    """
    return value if isinstance(value, str) else json.dumps(value).replace(" ", "")


def read_space(
    space: Mapping[str, Any], parts: Mapping[str, Any], *, planes: bool = True
) -> tuple[Dimension, ...]:
    """Every dimension of a search space, in its order.

    Parameters
    ----------
    space
        Nested as the settings are; its leaves are ``{low, high, log}`` or ``{choices}``, or None
        for one that is not searched.
    parts
        The settings without the sweep: dataclasses by the name of their group.
    planes
        Whether whole planes are scored, which are the same for pixels of any size.

    Raises
    ------
    UsageError
        If a key is no setting, a leaf no range, or a value one that the setting refuses.
    """
    found = []
    for key, leaf in _leaves(space):
        if key in FIXED or (not planes and key in ("data.pixel_nm", "network.context")):
            raise UsageError(
                f"space.{key}: trials that differ in it cannot be compared. Set {key} itself for "
                f"all of them, and space.{key}=null."
            )
        try:
            default = plain(setting(parts, key))
        except (KeyError, AttributeError):
            raise UsageError(
                f"space.{key} is no setting of fibseg train. Take one of its network, data and "
                "trainer keys; see fibseg train --help."
            ) from None
        dimension = _dimension(key, dict(leaf), default)
        for value in dimension.choices or (dimension.low, dimension.high):
            with_setting(parts, key, value)
        found.append(dimension)
    if not found:
        raise UsageError("space is empty: there is nothing to search. Use e.g. space=default.")
    return tuple(found)


def setting(parts: Mapping[str, Any], key: str) -> Any:
    """Value of a dotted key.

    Raises
    ------
    KeyError, AttributeError
        If there is none.
    """
    group, *names = key.split(".")
    value = parts[group]
    for name in names:
        if not is_dataclass(value) or name not in value.__dataclass_fields__:
            raise AttributeError(key)
        value = getattr(value, name)
    if is_dataclass(value):
        raise AttributeError(key)
    return value


def with_setting(parts: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The settings with another value of a dotted key.

    Raises
    ------
    UsageError
        If the setting refuses the value.
    """

    def changed(node: Any, names: list[str]) -> Any:
        """`node` with the value put where the names lead."""
        inner = value if len(names) == 1 else changed(getattr(node, names[0]), names[1:])
        return replace(node, **{names[0]: inner})

    group, *names = key.split(".")
    return {**parts, group: changed(parts[group], names)}


def plain(value: Any) -> Any:
    """A value as YAML and JSON hold it: lists instead of tuples."""
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def _leaves(space: Any, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted key and range of every leaf."""
    for name, node in space.items():
        key = f"{prefix}{name}"
        if node is None:
            continue
        if not isinstance(node, Mapping):
            raise UsageError(
                f"space.{key}={node} is neither a range {{low:0,high:1}} nor {{choices:[a,b]}}."
            )
        if {"low", "high", "choices"} & set(node):
            yield key, node
        else:
            yield from _leaves(node, f"{key}.")


def _dimension(key: str, leaf: dict[str, Any], default: Any) -> Dimension:
    """One leaf, checked."""
    unknown = sorted(set(leaf) - (CHOICES if "choices" in leaf else RANGE))
    if unknown or not ({"low", "high"} <= set(leaf) or "choices" in leaf):
        raise UsageError(
            f"space.{key} has {sorted(leaf)}. Write low, high and, if need be, log: true; or "
            "choices alone."
        )
    if "choices" in leaf:
        return _choices(key, leaf["choices"], default)
    low, high, log = leaf["low"], leaf["high"], leaf.get("log", False)
    numbers = all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
        for v in (low, high)
    )
    if not numbers or not isinstance(log, bool) or not low < high or (log and low <= 0):
        raise UsageError(
            f"space.{key}: low={low}, high={high}, log={log} is no range. low has to be less than "
            "high, and above 0 with log: true."
        )
    _refuse_other_kind(key, low, default)
    both = isinstance(low, int) and isinstance(high, int)
    whole = both and (default is None or isinstance(default, int))
    if isinstance(default, int) and not whole:
        raise UsageError(f"space.{key}: {key} is a whole number, {low} to {high} are not both.")
    return Dimension(key, default, low=low, high=high, log=log, whole=whole)


def _choices(key: str, values: Any, default: Any) -> Dimension:
    """Choices, at least two of them."""
    several = isinstance(values, list | tuple)
    if not several or len({json.dumps(plain(v)) for v in values}) < max(2, len(values)):
        raise UsageError(f"space.{key}: choices={values} are not two or more different values.")
    for value in values:
        _refuse_other_kind(key, value, default)
    return Dimension(key, default, choices=tuple(plain(v) for v in values))


def _refuse_other_kind(key: str, value: Any, default: Any) -> None:
    """Refuse words for numbers and the like; what is None by default takes anything."""
    kinds = {bool: bool, int: int | float, float: int | float, str: str, list: list | tuple}
    wanted: Any = kinds.get(type(default))
    wrong = value is not None and wanted is not None and not isinstance(value, wanted)
    if wrong or (isinstance(value, bool) and not isinstance(default, bool | None)):
        raise UsageError(
            f"space.{key}: {typed(value)} is not of the kind of {key}={typed(default)}."
        )
