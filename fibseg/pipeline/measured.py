"""What ``fibseg measure`` found, as it is printed: table, profile, classes and correlations."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from fibseg.measure.classes import NAMES


class Measured(dict[str, Any]):
    """Facts of the table by its path in the store; `text` is what the command prints."""

    def __init__(
        self, store: str, facts: Mapping[str, Any], *, files: tuple[str, ...] = ()
    ) -> None:
        super().__init__(facts)
        self.store, self.files = store, files

    def text(self) -> str:
        """The table, volumes and shares, classes, correlations, and the next command."""
        lines = []
        for path, facts in self.items():
            n, k = facts["n_objects"], facts["n_columns"]
            lines.append(f"{path}  {n:,} object{'s' * (n != 1)}, {k} columns")
            lines += [f"{file}  the same as text" for file in self.files[:1]]
            lines += [f"{file}  correlations as text" for file in self.files[1:]]
            lines += ["", *profile_lines(facts["profile"])]
            for part in (class_lines(facts["classes"]), correlation_lines(facts)):
                lines += ["", *part] if part else []
            if facts["left_out"]:
                lines.append("")
            lines += [f"{part} left out: {why}" for part, why in facts["left_out"].items()]
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


def class_lines(classes: Mapping[str, Any] | None) -> list[str]:
    """How many objects are in each class, and where the classes end.

    >>> counts = {"perinuclear": 7, "intermediate": 9, "peripheral": 4, "": 0}
    >>> class_lines({"counts": counts, "limits": [0.52, 1.913], "column": "distance_nucleus_um"})
    ['7 perinuclear, 9 intermediate, 4 peripheral: borders at 0.52 and 1.91 of distance_nucleus_um']
    """
    if classes is None:
        return []
    counts = ", ".join(f"{classes['counts'][name]:,} {name}" for name in NAMES)
    near, far = classes["limits"]
    return [f"{counts}: borders at {near:.3g} and {far:.3g} of {classes['column']}"]


def correlation_lines(facts: Mapping[str, Any]) -> list[str]:
    """Spearman's coefficient with each distance, and what the spatial null says to it."""
    found, null = facts["correlations"], facts["null"]
    if found is None:
        return []
    names = found["with_column"]
    lines = [f"{found['column'][0]}, Spearman's rank correlation ρ"]
    for row, name in enumerate(names):
        rho, low, high = (found[f"spearman_{part}"][row] for part in ("rho", "low", "high"))
        line = f"with {name:<{max(map(len, names))}}  ρ {_told(rho)}"
        line += "" if rho is None else f" ({_told(low)} to {_told(high)})"
        if null is not None and name in null["table"]["with_column"]:
            other = null["table"]["with_column"].index(name)
            low, high, p = (
                null["table"][f"spearman_null_{part}"][other] for part in ("low", "high", "p")
            )
            line += "  at random missing" if p is None else (
                f"  at random ρ {_told(low)} to {_told(high)}, p of ρ = {_told(p)}"
            )
        lines.append(line)
    return lines


def _told(number: float | None) -> str:
    return "missing" if number is None else f"{number:.2g}"
