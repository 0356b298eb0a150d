"""What ``fibseg profile`` made, as it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fibseg.pipeline.measured import profile_lines


class Profiled(dict[str, Any]):
    """What every step returned, by what it made; `text` is what the command prints."""

    def text(self) -> str:
        """Objects, the shares of the cell, and where the page lies."""
        lines, profile = [], {}
        for product, found in self.items():
            for path, facts in found.items() if isinstance(found, Mapping) else ():
                if isinstance(facts, Mapping) and "n_objects" in facts:
                    n = facts["n_objects"]
                    lines.append(f"{path}  {n:,} object{'s' * (n != 1)}")
                    profile.update(facts.get("profile") or {})
            if product == "report":
                lines += ["", *profile_lines(profile), "", f"open {found['report']}"]
        if "report" not in self:
            lines += ["", *profile_lines(profile)]
        return "\n".join(lines)
