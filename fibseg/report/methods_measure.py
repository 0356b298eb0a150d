"""How objects were measured, in sentences for the methods section of a paper."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.measure.null import spatial_null
from fibseg.report.columns import column_title
from fibseg.report.methods import listed, plain_name

Facts = Mapping[str, Any]


def measurement_text(
    name: str, *, n_objects: int, n_cut: int, measured: Facts, settings: Facts | None = None
) -> str:
    """One paragraph; what was not measured, or is not recorded, is not told.

    Parameters
    ----------
    name
        Of the label image.
    n_objects, n_cut
        All objects, and those that a face of the volume cuts.
    measured
        What `fibseg measure` keeps with the table.
    settings
        What it was asked for, for the seed of the bootstrap.
    """
    sentences = [
        *_shape(plain_name(name), n_objects, n_cut, measured), _distances(measured),
        _neighbours(measured.get("neighbours")), _parts_of_the_cell(measured),
        _classes(measured.get("classes")),
        _correlations(measured, (settings or {}).get("correlations")), _null(measured.get("null")),
    ]
    return " ".join(s for s in sentences if s)


def _shape(what: str, n_objects: int, n_cut: int, measured: Facts) -> list[str]:
    sentences = [
        f"Of {what} ({_objects(n_objects)}) the volume is the number of "
        "voxels times that of a voxel; the surface is a weighted sum over pairs of an object's "
        "voxel and another one along fitted lattice directions (after Lang et al., J Microsc "
        "203:303, 2001), in which faces of the image volume do not count; principal axes are those "
        "of the second moments."
    ]
    if n_cut:
        sentences.append(_cut(n_cut, kept=measured.get("keep_border")))
    if n_small := measured.get("too_small"):
        sentences.append(f"Of {_objects(n_small)} with too few voxels no surface is stated.")
    return sentences


def _cut(n: int, *, kept: bool | None) -> str:
    """What became of objects at the faces of the volume; `kept` is None where nobody knows."""
    subject, many = f"{_objects(n)} cut by a face of the image volume", n != 1
    if kept is None:
        return f"{_objects(n)} {'are' if many else 'is'} cut by a face of the image volume."
    were = "were" if many else "was"
    if kept:
        return f"{subject} {were} kept in shape statistics, with the part that is seen."
    return f"{subject} {were} left out of shape statistics."


def _distances(measured: Facts) -> str:
    targets = measured.get("to") or ()
    if not targets:
        return ""
    text = (
        f"Distances to {_names(targets)} are Euclidean, unsigned, from the centre of geometry and "
        "from the centre of the nearest surface voxel to the centre of the nearest face between "
        "a voxel of the target and one outside of it"
    )
    nearest = measured.get("nearest") or ()
    if len(nearest) < 2:
        return text + "."
    which = "nearer" if len(nearest) == 2 else "nearest"
    return f"{text}; the nearest membrane is the {which} of {_names(nearest)}."


def _neighbours(k: int | None) -> str:
    if not k:
        return ""
    others = "nearest other object was" if k == 1 else f"{k} nearest other objects were"
    return (
        f"Of every object the {others} found, from centre of geometry to centre of geometry and "
        "from surface to surface."
    )


def _parts_of_the_cell(measured: Facts) -> str:
    """How cytoplasm and shares are defined, where they are stated."""
    profile = measured.get("profile") or {}
    wholes = [
        whole for whole in ("cell", "cytoplasm")
        if any(part.get(f"share_of_{whole}") is not None for part in profile.values())
    ]
    if not wholes:
        return ""
    text = (
        f"A share of {listed([f'the {whole}' for whole in wholes])} is the part of its voxels "
        "that belongs to an organelle"
    )
    if "cytoplasm" not in profile:
        return f"{text}."
    cell = plain_name(measured.get("cell") or "cell")
    nucleus = plain_name(measured.get("nucleus") or "nucleus")
    return f"{text}; the cytoplasm is the {cell} without the {nucleus}."


def _classes(classes: Facts | None) -> str:
    if not classes:
        return ""
    counts = [f"{n} {name}" for name, n in classes["counts"].items() if name]
    text = f"Spatial classes: {classes['rule']}"
    return f"{text} ({', '.join(counts)})." if counts else f"{text}."


def _correlations(measured: Facts, asked: Facts | None) -> str:
    found = measured.get("correlations")
    if not found or not found["column"]:
        return ""
    seed = (asked or {}).get("seed", (measured.get("null") or {}).get("seed"))
    drawn = f"{max(found['n_draws']):,} draws" + ("" if seed is None else f", seed {seed}")
    text = (
        f"Correlations of {_words(found['column'][0])} with "
        f"{listed([_words(c) for c in found['with_column']])} are Pearson's r and Spearman's ρ "
        f"with percentile bootstrap intervals ({drawn})"
    )
    if n := len(measured.get("correlated_without") or ()):
        text += (
            f", without {_objects(n)} that {'lie' if n != 1 else 'lies'} by more than half in the "
            f"nucleus or outside of the cell, or {'find' if n != 1 else 'finds'} no room in "
            "simulations"
        )
    return text + "."


def _null(null: Facts | None) -> str:
    if not null:
        return ""
    voxel = " × ".join(f"{v:g}" for v in null["voxel_nm"])
    treated = null["table"].get("with_column") or ()
    which = f"Those with {listed([_words(c) for c in treated])}" if treated else "Some of them"
    usual = inspect.signature(spatial_null).parameters
    text = (
        f"{which} were compared with a spatial null: {null['n_simulations']:,} simulations in "
        "which the objects that they are of, rigid, lie at random places in random orientations "
        "wholly inside the cytoplasm, without overlap; all other objects stay where they are, in "
        f"the way of these (working voxels of {voxel} nm, at most {usual['n_tries'].default:,} "
        f"tries for an object, {usual['n_sweeps'].default} sweeps in which each is placed anew, "
        f"seed {null['seed']}); p-values are two-sided ranks among the simulations."
    )
    if n := null.get("n_unplaced"):
        text += f" {_objects(n)} found no place in some of them."
    return text


def _objects(n: int) -> str:
    return f"{n:,} object{'s' * (n != 1)}"


def _names(labels: Sequence[str]) -> str:
    return listed([plain_name(name) for name in labels])


def _words(column: str) -> str:
    """Name of a column without its unit."""
    return column_title(column).partition(" (")[0]
