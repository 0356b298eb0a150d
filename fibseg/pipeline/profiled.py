"""What ``fibseg profile`` made, as it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fibseg.pipeline.measured import profile_lines

Profile = dict[str, dict[str, Any]]


class Profiled(dict[str, Any]):
    """What every step returned, by what it made; `text` is what the command prints."""

    def text(self) -> str:
        """Objects, the shares of the cell, and where the page lies."""
        made = {path: facts for found in self.values() for path, facts in found.items()
                if isinstance(facts, Mapping)}
        blocks = [
            [f"{path}  {facts['n_objects']:,} object{'s' * (facts['n_objects'] != 1)}"
             for path, facts in made.items()
             if path.startswith("tables/") or not facts.get("n_objects", 1)],
            profile_lines(merged(facts.get("profile") or {} for facts in made.values())),
            [f"open {self['report']['report']}"] if "report" in self else [],
        ]
        return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def merged(profiles: Iterable[Mapping[str, Mapping[str, Any]]]) -> Profile:
    """What several tables tell of the parts of a cell.

    A part that several of them tell of is the same in all: each states the labels that it counted.

    >>> merged([{"cell": {"volume_um3": 9.0}}, {"cell": {"volume_um3": 9.0}, "er": {}}])
    {'cell': {'volume_um3': 9.0}, 'er': {}}
    """
    profile: Profile = {}
    for told in profiles:
        for part, facts in told.items():
            profile[part] = {**profile.get(part, {}), **facts}
    return profile
