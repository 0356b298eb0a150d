"""Strict reading of a model description: plain JSON in, checked plain values out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fibseg.errors import DataError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_MAX_DEPTH = 32


def read_json_text(text: str) -> Any:
    """Data of a `model.json`: strict JSON, no key twice, no NaN.

    Raises
    ------
    DataError
        If the text is something else.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise DataError(f"model.json is not JSON ({error}). {_REMEDY}") from error


def exact_keys(data: Any, wanted: Iterable[str], where: str) -> dict[str, Any]:
    """Return `data` as a dict with exactly the keys `wanted`.

    Raises
    ------
    DataError
        If it is no object, or a key is missing or unknown.
    """
    if not isinstance(data, Mapping):
        raise DataError(f"{where} is {type(data).__name__}, not a JSON object. {_REMEDY}")
    keys = set(wanted)
    missing, unknown = sorted(keys - set(data)), sorted(set(data) - keys)
    if missing or unknown:
        raise DataError(
            f"{where} lacks the keys {missing} and has the unknown keys {unknown}. {_REMEDY}"
        )
    return dict(data)


def whole_number(value: Any, where: str, *, least: int = 0) -> int:
    """`value` as an int of at least `least`.

    Raises
    ------
    DataError
        If it is not a whole number or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(f"{where} is {value!r}, not a whole number >= {least}. {_REMEDY}")
    return int(value)


def positive_numbers(value: Any, where: str, *, n: int) -> tuple[float, ...]:
    """`value` as `n` floats above 0.

    Raises
    ------
    DataError
        If the count is another one, or a number is not finite and above 0.
    """
    ok = isinstance(value, list | tuple) and len(value) == n
    if not ok or not all(is_number(v) and v > 0 for v in value):
        raise DataError(f"{where} is {value!r}, not {n} numbers above 0. {_REMEDY}")
    return tuple(float(v) for v in value)


def names(value: Any, where: str) -> tuple[str, ...]:
    """`value` as different names, each fit for a folder name.

    Raises
    ------
    DataError
        If there is none, one twice, or one with characters a store cannot take.
    """
    ok = (
        isinstance(value, list | tuple)
        and len(value) > 0
        and len(set(map(str, value))) == len(value)
    )
    if not ok or not all(isinstance(v, str) and NAME.fullmatch(v) for v in value):
        raise DataError(
            f"{where} is {value!r}, not a list of different names made of letters, digits, "
            f"'_', '-' and '.'. {_REMEDY}"
        )
    return tuple(value)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite int or float (a bool is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def plain(value: Any, where: str, *, depth: int = 0) -> Any:
    """`value` rebuilt from dicts, lists, strings, finite numbers, booleans and None only.

    Tuples become lists. A model folder travels between people, so words that a configuration
    system would act on (``_target_``, ``${…}``) are refused wherever they stand.

    Raises
    ------
    DataError
        If something else is inside, a number is not finite, or a word could be acted on.
    """
    if depth > _MAX_DEPTH:
        raise DataError(f"{where} is nested deeper than {_MAX_DEPTH} levels. {_REMEDY}")
    if value is None or isinstance(value, bool) or is_number(value):
        return value
    if isinstance(value, str):
        if "${" in value or "_target_" in value:
            raise DataError(f"{where} holds {value!r}: a model may only hold plain data. {_REMEDY}")
        return value
    if isinstance(value, list | tuple):
        return [plain(v, f"{where}[{i}]", depth=depth + 1) for i, v in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DataError(f"{where} has the key {key!r}, which is no string. {_REMEDY}")
            plain(key, f"the key {key!r} of {where}")
        return {k: plain(v, f"{where}.{k}", depth=depth + 1) for k, v in value.items()}
    raise DataError(f"{where} is {value!r}, which is not plain finite JSON data. {_REMEDY}")


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [k for k, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"a key stands twice among {keys}")
    return dict(pairs)


_REMEDY = "Export the model again with fibseg train."


def refuse_newer(data: Any, latest: int) -> None:
    """Nothing, unless the data of a `model.json` says that a newer fibseg wrote it.

    Raises
    ------
    DataError
        If its format version is above `latest`.
    """
    found = data.get("format_version") if isinstance(data, Mapping) else None
    if isinstance(found, int) and not isinstance(found, bool) and found > latest:
        raise DataError(
            f"model.json has format_version {found}, this fibseg reads up to {latest}. "
            "Install a newer fibseg."
        )
