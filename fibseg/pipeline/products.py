"""What a verb made in a store, as it is printed: one line per product, then what to type next."""

from __future__ import annotations

import shlex
from typing import Any


class Products(dict[str, Any]):
    """Facts of each product by its path in the store; `text` is what the command prints."""

    def __init__(self, store: str, facts: dict[str, Any]) -> None:
        super().__init__(facts)
        self.store = store

    def text(self) -> str:
        """One line per probability map, label image and table; the next command."""
        rows: list[tuple[str, str]] = []
        for path, facts in self.items():
            if path.startswith("labels/"):
                n = facts["n_objects"]
                many = f"{n:,} object{'s' * (n != 1)}, {facts['volume_um3']:.4g} µm³"
                rows += [(path, many), (facts["table"], "a row per object")]
            else:
                rows.append((path, facts if isinstance(facts, str) else _speed(facts)))
        width = max((len(path) for path, _ in rows), default=0)
        lines = [f"{path:<{width}}  {what}" for path, what in rows]
        if any(path.startswith("labels/") for path in self):
            lines += ["", "next:", f"fibseg report {shlex.quote(f'volume={self.store}')}"]
        return "\n".join(lines)


def _speed(facts: dict[str, Any]) -> str:
    """How long the inference took."""
    return (
        f"made in {facts['seconds']:.3g} s, "
        f"{facts['megavoxels_per_second']:.3g} million voxels per second"
    )
