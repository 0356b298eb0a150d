"""What ``fibseg distribution`` found, as it is printed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


class Distributed(dict[str, Any]):
    """Facts of the distribution; `text` is what the command prints."""

    def __init__(
        self, store: str, path: str, facts: Mapping[str, Any], *, file: str | None = None
    ) -> None:
        super().__init__(facts)
        self.store, self.path, self.file = store, path, file

    def text(self) -> str:
        """Counts, sections and what compares them, the pattern, and the next command."""
        lines = [
            f"{self.path}  {self['n_objects']:,} objects, {self['n_on_envelope']:,} of them on "
            f"{self['envelope_um2']:.4g} µm² of envelope: {self['objects_per_um2']:.3g} per µm²",
        ]
        if self.file:
            lines.append(f"{self.file}  the same as text")
        for part in (quality_lines(self), section_lines(self), pattern_lines(self)):
            lines += ["", *part] if part else []
        report = f"fibseg report {shlex.quote(f'volume={self.store}')}"
        return "\n".join([*lines, "", "next:", report])


def quality_lines(facts: Mapping[str, Any]) -> list[str]:
    """Signs of split and missed pores.

    >>> quality_lines({"n_objects": 60, "quality": {"n_nearest_below": 1, "nearest_below_um": 0.12,
    ...     "n_mean_8_above": 0, "mean_8_above_um": 0.5}})[0]
    '1 of 60 is nearer than 0.12 µm to its nearest (split pores), 0 have a mean-8 above 0.5 µm (missed ones nearby)'
    """  # noqa: E501
    q = facts["quality"]
    near, far = q["n_nearest_below"], q["n_mean_8_above"]
    return [
        f"{near:,} of {facts['n_objects']:,} {'is' if near == 1 else 'are'} nearer than "
        f"{q['nearest_below_um']} µm to {'its' if near == 1 else 'their'} nearest (split pores), "
        f"{far:,} {'has' if far == 1 else 'have'} a mean-8 above {q['mean_8_above_um']} µm (missed "
        "ones nearby)"
    ]


def section_lines(facts: Mapping[str, Any]) -> list[str]:
    """Both sections, and how likely their differences are by chance."""
    split = facts["sections"]
    if split["plane"] is None:
        return [f"sections left out: {split['why_none']}"]
    lines = [
        f"section {row['section']}  {row['n_objects']:,} objects on {row['area_um2']:.4g} µm²: "
        f"{told(row['objects_per_um2'])} per µm², mean-8 {told(row['mean_mean_distance_8_um'])} "
        "µm" for row in split["rows"]
    ]
    for name, found in facts["comparisons"].items():
        lines.append(
            f"{name}  difference {told(found['difference'])} ({told(found['low'])} to "
            f"{told(found['high'])}), g {told(found['hedges_g'])}, p = "
            f"{told(found['blocks_p'])} by blocks of envelope; Welch's t-test of "
            f"{'patches' if name == 'objects_per_um2' else 'objects'}: {told(found['welch_p'])}"
        )
    return lines


def pattern_lines(facts: Mapping[str, Any]) -> list[str]:
    """Order or crowding, clusters and islands."""
    curves, crowds, free = (facts[k] for k in ("pair_correlation", "clusters", "islands"))
    lines = []
    if curves is not None:
        lines.append(f"Ripley's L against random placement: p = {told(curves['p_value'])}")
    lines.append(
        f"{crowds['n_clusters']:,} clusters with {_percent(crowds['share'])} of the objects, at "
        f"random {_percent(crowds['share_at_random'])}; {free['n_islands']:,} islands of "
        f"{free['area_um2']:.3g} µm² farther than {free['radius_um']:g} µm from any object"
    )
    return lines


def told(number: float | None) -> str:
    """A number to three digits, or that it is missing."""
    return "missing" if number is None else f"{number:.3g}"


def _percent(number: float | None) -> str:
    return "missing" if number is None else f"{number:.1%}".replace("%", " %")
