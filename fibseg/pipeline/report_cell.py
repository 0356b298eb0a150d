"""The cell as a whole, for the report: what takes which share of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.pipeline.report_facts import measured_of
from fibseg.report import Fact
from fibseg.report.methods import plain_name
from fibseg.volume import Volume

Profile = dict[str, dict[str, Any]]


def whole_profile(store: Volume, names: Sequence[str]) -> Profile:
    """Volumes and shares from the tables of all these labels, as far as they are up to date.

    A part that several tables tell of is the same in all: each states the labels that it counted.
    """
    profile: Profile = {}
    for name in names:
        for part, facts in (measured_of(store, name).get("profile") or {}).items():
            profile[part] = {**profile.get(part, {}), **facts}
    return profile


def share_facts(profile: Mapping[str, Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Volume of every part, and its share of the cell and the cytoplasm."""
    # The sort keeps the order of equals: first what the cell consists of, then what lies in it.
    parts = sorted(profile.items(), key=lambda item: item[1].get("share_of_cytoplasm") is not None)
    return tuple(
        Fact(f"{facts['volume_um3']:.4g} µm³", plain_name(part), _shares(facts))
        for part, facts in parts
    )


def _shares(facts: Mapping[str, Any]) -> str:
    """Shares in words.

    >>> _shares({"share_of_cell": 0.081, "share_of_cytoplasm": 0.0988})
    '8.1 % of the cell, 9.9 % of the cytoplasm'
    """
    words = [
        f"{100 * facts[f'share_of_{whole}']:.1f} % of the {whole}"
        for whole in ("cell", "cytoplasm") if facts.get(f"share_of_{whole}") is not None
    ]
    if "literature_source" in facts:
        words.append(f"literature: {facts['literature_source']}")
    return ", ".join(words)
