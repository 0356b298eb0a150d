"""What ``fibseg profile`` made, as it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fibseg.pipeline.measured import profile_lines


class Profiled(dict[str, Any]):
    """What every step returned, by what it made; `text` is what the command prints."""

    def text(self) -> str:
        """Objects, the shares of the cell, and where the page lies."""
        made = {path: facts for found in self.values() for path, facts in found.items()
                if isinstance(facts, Mapping)}
        blocks = [
            [f"{path}  {facts['n_objects']:,} object{'s' * (facts['n_objects'] != 1)}"
             for path, facts in made.items() if path.startswith("tables/")],
            profile_lines(_together(made.values())),
            [f"open {self['report']['report']}"] if "report" in self else [],
        ]
        return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _together(measured: Any) -> dict[str, Any]:
    """Volumes and shares from all tables: what is told of a part is the same in each."""
    profile: dict[str, Any] = {}
    for facts in measured:
        for part, told in (facts.get("profile") or {}).items():
            profile[part] = {**profile.get(part, {}), **told}
    return profile
