"""What ``fibseg measure`` found, as it is printed: the table, and the profile of the cell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


class Measured(dict[str, Any]):
    """Facts of the table by its path in the store; `text` is what the command prints."""

    def __init__(self, store: str, facts: Mapping[str, Any], *, csv: str | None = None) -> None:
        super().__init__(facts)
        self.store, self.csv = store, csv

    def text(self) -> str:
        """The table, volumes and shares, and the next command."""
        lines = []
        for path, facts in self.items():
            n, k = facts["n_objects"], facts["n_columns"]
            lines.append(f"{path}  {n:,} object{'s' * (n != 1)}, {k} columns")
            if self.csv is not None:
                lines.append(f"{self.csv}  the same as text")
            lines += ["", *profile_lines(facts["profile"])]
        report = f"fibseg report {shlex.quote(f'volume={self.store}')}"
        return "\n".join([*lines, "", "next:", report])


def profile_lines(profile: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Volume and shares of every part, in columns.

    >>> print(*profile_lines({"cell": {"volume_um3": 20.0},
    ...                       "er": {"volume_um3": 2.0, "share_of_cell": 0.1}}), sep=chr(10))
    cell  20 µm³
    er     2 µm³  10.0 % of the cell
    """
    volumes = {name: f"{facts['volume_um3']:.4g} µm³" for name, facts in profile.items()}
    wide = max(map(len, volumes), default=0), max(map(len, volumes.values()), default=0)
    lines = []
    for name, facts in profile.items():
        shares = [
            f"{facts[f'share_of_{part}']:.1%}".replace("%", f" % of the {part}")
            for part in ("cell", "cytoplasm") if f"share_of_{part}" in facts
        ]
        if "literature_source" in facts:
            shares.append(f"literature: {facts['literature_source']}")
        lines.append("  ".join([f"{name:<{wide[0]}}", f"{volumes[name]:>{wide[1]}}", *shares]))
    return lines
