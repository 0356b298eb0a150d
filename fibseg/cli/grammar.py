"""The grammar key=value: bare values are quoted for Hydra, misspelt keys find the right ones."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable

from fibseg.errors import UsageError

SHORT = {"space": "sweep@space"}
"""Short names of groups: conf/sweep holds the spaces of fibseg sweep."""

# What Hydra's own grammar reads as one plain word, number, list or mapping.
_PLAIN = re.compile(r"[\w./+\-%@?|*]*", re.ASCII)
# Backslashes count only before a quote, the closing one included.
_ESCAPED_BY_HYDRA = re.compile(r"""(\\*)('|$)""")


def split_override(argument: str) -> tuple[str, str]:
    """Key and value of ``key=value``.

    Raises
    ------
    UsageError
        If there is no ``=``.

    >>> split_override("volume=my cell=2.zarr")
    ('volume', 'my cell=2.zarr')
    """
    key, sign, value = argument.partition("=")
    if not sign and argument.startswith("~"):
        return argument, ""
    if not sign or not key:
        raise UsageError(f"{argument!r} is not key=value. Write e.g. volume=cell.ome.zarr.")
    return key, value


def full_key(argument: str) -> str:
    """The word with a short name of a group as Hydra knows it.

    >>> full_key("space=mine"), full_key("space.data=null"), full_key("out=a")
    ('sweep@space=mine', 'space.data=null', 'out=a')
    """
    key, sign, value = argument.partition("=")
    if value.startswith("{"):  # a value for the group's place, not one of its files
        return argument
    sign_before, bare = ("~", key[1:]) if key.startswith("~") else ("", key)
    return f"{sign_before}{SHORT.get(bare, bare)}{sign}{value}"


def quote_value(value: str) -> str:
    """Value that Hydra reads as the very text typed; lists, mappings and quoted text stay.

    >>> quote_value("scans/cell (2).zarr")
    "'scans/cell (2).zarr'"
    >>> quote_value("[20,20,20]"), quote_value("0.5"), quote_value("null")
    ('[20,20,20]', '0.5', 'null')
    """
    if value.startswith("~/"):  # some shells leave it to the command behind key=
        value = os.path.expanduser(value)  # noqa: PTH111 - a path keeps no trailing slash
    first, last = value[:1], value[-1:]
    structured = (first, last) in {("[", "]"), ("{", "}"), ("'", "'"), ('"', '"')}
    if (structured and len(value) > 1) or value == "" or _PLAIN.fullmatch(value):
        return value
    return "'" + _ESCAPED_BY_HYDRA.sub(lambda m: m[1] * 2 + m[2].replace("'", "\\'"), value) + "'"


def quote_overrides(arguments: Iterable[str], *, sweep: bool = False) -> list[str]:
    """Overrides for Hydra; with `sweep`, values with a comma keep their meaning of several values.

    >>> quote_overrides(["out=a b", "seed=1,2"], sweep=True)
    ["out='a b'", 'seed=1,2']
    """
    quoted = []
    for argument in arguments:
        key, value = split_override(argument)
        several = sweep and re.search(r"[,(]", value)
        if "=" in argument:
            quoted.append(f"{key}={value if several else quote_value(value)}")
        else:
            quoted.append(key)
    return quoted


def nearest(word: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The known words most like `word`, best first; a dotted key is also compared by its last part.

    >>> nearest("volme", ["volume", "out", "seed"])
    ['volume']
    """
    known = list(known)
    whole = difflib.get_close_matches(word, known, n=most, cutoff=0.6)
    tails = {k: k.rsplit(".", 1)[-1] for k in known}
    tail_hits = difflib.get_close_matches(
        word.rsplit(".", 1)[-1], list(tails.values()), n=most, cutoff=0.8
    )
    by_tail = [k for k in known if tails[k] in tail_hits]
    return list(dict.fromkeys([*whole, *by_tail]))[:most]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest right words, or says where to find them all."""
    hits = nearest(word, known)
    return f"Did you mean {' or '.join(hits)}?" if hits else "See --help for all of them."
