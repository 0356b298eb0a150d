"""How it was measured where objects lie on an envelope, in sentences for a methods section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fibseg.report.methods import plain_name

Facts = Mapping[str, Any]


def distribution_text(name: str, facts: Facts) -> str:
    """One paragraph; empty where nothing is known.

    Parameters
    ----------
    name
        Of the label image.
    facts
        What `fibseg distribution` keeps with the table.
    """
    if not facts:
        return ""
    sentences = [
        _envelope(plain_name(name), facts), _density(facts), _sections(facts), _pattern(facts),
    ]
    return " ".join(s for s in sentences if s)


def _envelope(what: str, facts: Facts) -> str:
    grid = " × ".join(f"{s:g}" for s in facts["working_spacing_nm"])
    text = (
        f"The envelope of the {plain_name(facts['on'])} ({facts['envelope_um2']:.4g} µm²) is the "
        f"border of its mask, smoothed by a Gaussian of one voxel of {grid} nm, by marching cubes "
        "(Lewiner et al., J Graph Tools 8:1, 2003), without faces of the image volume. "
        f"{facts['n_on_envelope']:,} of {facts['n_objects']:,} {what} stand on it."
    )
    if facts["cut_by"]:
        text += f" The image volume cuts it ({', '.join(facts['cut_by'])})."
    return text


def _density(facts: Facts) -> str:
    weight = "a weight that was given" if facts.get("self_weight_given") else (
        "a weight found from how far objects keep apart"
    )
    return (
        f"Density is the number of objects on the connected piece of envelope within "
        f"{facts['density_um']:g} µm of each object, by the area of that piece; an object counts "
        f"{facts['self_weight']:.2g} for itself, {weight}. "
        "Curvature is that of a paraboloid fitted to the envelope around each object. Mean "
        "distances are those from centre to centre of the nearest eight."
    )


def _sections(facts: Facts) -> str:
    split = facts["sections"]
    if split["plane"] is None:
        return f"It was not divided in sections: {split['why_none']}."
    neck = split["plane"]["neck"]
    how = "by a given plane" if neck is None else (
        "by the plane in its furrow, where the cut has the least area compared to those on both "
        f"sides ({neck:.2g} of the smaller)"
    )
    return (
        f"It was divided in two sections {how}. They are compared by compact blocks of envelope "
        "dealt at random and by Welch's t-test of the blocks' means, the larger p-value, median of "
        "several ways to cut the blocks; intervals draw patches of envelope anew. Welch's t-test "
        "of single objects is stated beside it, though objects of one nucleus are not independent."
    )


def _pattern(facts: Facts) -> str:
    curves = facts["pair_correlation"]
    if curves is None:
        return ""
    return (
        "Pair correlation and Ripley's K count pairs that the envelope connects, against "
        f"{curves['n_simulations']:,} random placements on it; bands and p-values are those of "
        "whole curves by extreme rank lengths (Myllymäki et al., J R Stat Soc B 79:381, 2017)."
    )
