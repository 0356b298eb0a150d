"""The cell as a whole, for the report: what takes which share of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.pipeline.measured import profile_lines
from fibseg.pipeline.profiled import Profile, merged
from fibseg.pipeline.report_facts import measured_of
from fibseg.report import Fact
from fibseg.report.methods import plain_name
from fibseg.volume import Volume


def whole_profile(store: Volume, names: Sequence[str]) -> Profile:
    """Volumes and shares from the tables of all these labels, as far as they are up to date."""
    return merged(measured_of(store, name).get("profile") or {} for name in names)


def roles(store: Volume, names: Sequence[str]) -> tuple[str, str | None]:
    """Names of the label images that stand for the cell and its nucleus, as they were measured.

    The first table that tells of a role counts; where none does, they have their usual names.
    """
    told = [measured_of(store, name) for name in names]
    cell = next((m["cell"] for m in told if m.get("cell")), "cell")
    nucleus = next((m["nucleus"] for m in told if m.get("nucleus")), "nucleus")
    return cell, nucleus


def share_facts(profile: Mapping[str, Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Volume of every part, and its share of the cell and the cytoplasm."""
    # The sort keeps the order of equals: first what the cell consists of, then what lies in it.
    parts = sorted(profile.items(), key=lambda item: item[1].get("share_of_cytoplasm") is not None)
    return tuple(
        Fact(f"{facts['volume_um3']:.4g} µm³", plain_name(part), _shares(facts))
        for part, facts in parts
    )


def _shares(facts: Mapping[str, Any]) -> str:
    """Shares in words, those that `fibseg measure` prints.

    >>> _shares({"volume_um3": 1.0, "share_of_cell": 0.081, "share_of_cytoplasm": 0.0988})
    '8.1 % of the cell, 9.9 % of the cytoplasm'
    """
    known = {key: value for key, value in facts.items() if value is not None}
    _, _, *words = profile_lines({"": known})[0].split("  ")
    return ", ".join(words)
