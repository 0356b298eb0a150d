"""Descriptions in JSON and YAML: plain data only, of limited size, depth and meaning."""

from __future__ import annotations

import re
from typing import Any

import yaml

from fibseg.errors import DataError
from fibseg.export.foreign.limits import DEPTH, TEXT_BYTES, YAML_EVENTS
from fibseg.export.schema import plain, read_json_text

_REMEDY = "Have the model exported again by what made it."


def read_json(data: bytes, where: str) -> Any:
    """Plain data of a JSON text.

    Raises
    ------
    DataError
        If it is something else, has a key twice, or a word that a program could act on.
    """
    try:
        return plain(read_json_text(_text(data, where)), where)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def read_yaml(data: bytes, where: str) -> Any:
    """Plain data of a YAML text, read by the few rules of YAML 1.2 that JSON has too.

    No tags, so that nothing is built; no anchors, so that a short text cannot stand for a long one.

    Raises
    ------
    DataError
        If it is something else, or has a key twice.
    """
    text = _text(data, where)
    try:
        _survey(text, where)
        return yaml.load(text, Loader=_Plain)  # a SafeLoader that knows less
    except yaml.YAMLError as error:
        first = ascii(" ".join(str(error).split())[:200])[1:-1]
        raise DataError(f"{where} is no YAML of plain data ({first}). {_REMEDY}") from error


def _text(data: bytes, where: str) -> str:
    """Text of limited length."""
    if len(data) > TEXT_BYTES:
        raise DataError(f"{where} has {len(data)} bytes, at most {TEXT_BYTES} are read. {_REMEDY}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not text. Copy the file again.") from error


def _survey(text: str, where: str) -> None:
    """Refuse what is large, deep, tagged or shared, before a single value is built."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DataError(f"{where} has anchors or aliases. {_REMEDY}")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise DataError(f"{where} has the tag {tag!r}: data needs none. {_REMEDY}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH or number > YAML_EVENTS:
            raise DataError(
                f"{where} is nested deeper than {DEPTH} levels or has more than {YAML_EVENTS} "
                f"parts. {_REMEDY}"
            )


class _Plain(yaml.SafeLoader):
    """Builds null, true and false, numbers, text, lists and mappings; dates stay text."""



_Plain.yaml_implicit_resolvers = {}


def _number(pattern: str, tag: str, first: str) -> None:
    _Plain.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_number(r"^(?:null|Null|NULL|~|)$", "null", "nN~")
_Plain.yaml_implicit_resolvers[""] = _Plain.yaml_implicit_resolvers["~"]
_number(r"^(?:true|True|TRUE|false|False|FALSE)$", "bool", "tTfF")
_number(r"^[-+]?[0-9]{1,18}$", "int", "-+0123456789")
_number(
    r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "float", "-+.0123456789"
)


def _mapping(loader: _Plain, node: yaml.MappingNode) -> dict[str, Any]:
    """Mapping whose keys are different texts."""
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str) or key in found:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is no text or stands twice", key_node.start_mark
            )
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _decimal(loader: _Plain, node: yaml.ScalarNode) -> int:
    """Whole number in tens: 010 is 10, and 1:30 is text."""
    return int(loader.construct_scalar(node))


def _float(loader: _Plain, node: yaml.ScalarNode) -> float:
    """Number with a point or an exponent; 1e-6 is one."""
    return float(loader.construct_scalar(node))


_Plain.add_constructor("tag:yaml.org,2002:map", _mapping)
_Plain.add_constructor("tag:yaml.org,2002:int", _decimal)
_Plain.add_constructor("tag:yaml.org,2002:float", _float)
