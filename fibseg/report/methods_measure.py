"""How objects were measured, in sentences for the methods section of a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.report.columns import column_title
from fibseg.report.methods import listed, plain_name


def measurement_text(name: str, *, n_objects: int, n_cut: int, measured: Mapping[str, Any]) -> str:
    """One paragraph; what was not measured is not told.

    Parameters
    ----------
    name
        Of the label image.
    n_objects, n_cut
        All objects, and those that a face of the volume cuts.
    measured
        What `fibseg measure` keeps with the table: ``to``, ``classes``, ``correlations`` and
        ``null``.
    """
    what = plain_name(name)
    sentences = [_shape(what, n_objects, n_cut), _distances(measured.get("to") or ())]
    sentences.append(_classes(measured.get("classes")))
    sentences.append(_correlations(measured.get("correlations")))
    sentences.append(_null(measured.get("null")))
    return " ".join(s for s in sentences if s)


def _shape(what: str, n_objects: int, n_cut: int) -> str:
    text = (
        f"Of {what} ({n_objects:,} object{'s' * (n_objects != 1)}) the volume is the number of "
        "voxels times that of a voxel; the surface is a weighted sum over pairs of an object's "
        "voxel and another one along fitted lattice directions (after Lang et al., J Microsc "
        "203:303, 2001), in which faces of the image volume do not count; principal axes are those "
        "of the second moments."
    )
    if n_cut:
        text += (
            f" {n_cut:,} object{'s' * (n_cut != 1)} cut by a face of the image volume "
            f"{'were' if n_cut != 1 else 'was'} left out of shape statistics."
        )
    return text


def _distances(targets: Sequence[str]) -> str:
    if not targets:
        return ""
    names = listed([plain_name(t) for t in targets])
    text = (
        f"Distances to {names} are Euclidean, unsigned, from the centre of geometry and from the "
        "nearest point of the surface to the interface between voxels"
    )
    return text + ("; the nearest is the least of them." if len(targets) > 1 else ".")


def _classes(classes: Mapping[str, Any] | None) -> str:
    if not classes:
        return ""
    counts = [f"{n} {name}" for name, n in classes["counts"].items() if name]
    text = f"Spatial classes: {classes['rule']}"
    return f"{text} ({', '.join(counts)})." if counts else f"{text}."


def _correlations(correlations: Mapping[str, Sequence[Any]] | None) -> str:
    if not correlations or not correlations["column"]:
        return ""
    others = listed([_words(c) for c in correlations["with_column"]])
    return (
        f"Correlations of {_words(correlations['column'][0])} with "
        f"{others} are Pearson's r and Spearman's ρ with percentile bootstrap intervals "
        f"({max(correlations['n_draws']):,} draws)."
    )


def _null(null: Mapping[str, Any] | None) -> str:
    if not null:
        return ""
    voxel = " × ".join(f"{v:g}" for v in null["voxel_nm"])
    text = (
        f"They were compared with a spatial null: {null['n_simulations']:,} simulations in which "
        "all objects, rigid, lie at random places in random orientations wholly inside the "
        f"cytoplasm, without overlap (working voxels of {voxel} nm, seed {null['seed']}); p-values "
        "are two-sided ranks among the simulations."
    )
    if null.get("n_unplaced"):
        text += f" {null['n_unplaced']} objects found no place in some of them."
    return text


def _words(column: str) -> str:
    """Name of a column without its unit."""
    return column_title(column).partition(" (")[0]
