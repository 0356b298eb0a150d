"""Sentences for the methods section of a paper, from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fibseg.types import Shape, Spacing


@dataclass(frozen=True)
class ModelFacts:
    """What is known of the model behind some labels; None or empty where it is not recorded."""

    name: str
    network: Mapping[str, Any] = field(default_factory=dict)
    n_planes: int | None = None
    n_volumes: int = 1
    n_steps: int | None = None
    spacing: Spacing | None = None


@dataclass(frozen=True)
class ClassifierFacts:
    """What is known of the pixel classifier behind some labels; None or empty where it is not."""

    n_painted: int | None = None
    n_trees: int | None = None
    seed: int | None = None
    precision_nm: float | None = None
    sigmas_nm: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectFacts:
    """What is known of one kind of object.

    Parameters
    ----------
    postprocess
        Steps in order, name to settings.
    """

    name: str
    n_objects: int | None = None
    model: ModelFacts | ClassifierFacts | None = None
    postprocess: Mapping[str, Any] = field(default_factory=dict)


def methods_text(
    *, shape: Shape, dtype: str, version: str, objects: Sequence[ObjectFacts],
    scores: Sequence[tuple[str, str, Mapping[str, float | None]]],
    measurements: Sequence[str] = (), versions: Mapping[str, str] | None = None, spacing: Spacing,
) -> tuple[str, ...]:
    """Paragraphs ready to paste.

    Parameters
    ----------
    version
        Of fibseg.
    objects
        Every kind of object that was segmented.
    scores
        What was compared, with what, and the scores.
    measurements
        A paragraph for each kind of object that was measured.
    versions
        Of what it was computed with.
    """
    z, y, x = shape
    paragraphs = [
        f"The image stack of {z} × {y} × {x} voxels (z × y × x, {dtype}, voxel size "
        f"{spacing_text(spacing)}) was stored as OME-Zarr and analysed with fibseg {version}."
    ]
    paragraphs += [_segmentation(o) for o in objects if o.model or o.postprocess or o.n_objects]
    found = [_scores(*s) for s in scores]
    if any(found):
        paragraphs.append(" ".join(s for s in found if s))
    paragraphs += measurements
    if versions:
        words = ", ".join(f"{name} {version}" for name, version in versions.items())
        paragraphs.append(f"Computed with {words}.")
    return tuple(paragraphs)


def spacing_text(spacing: Spacing) -> str:
    """Voxel size in words.

    >>> spacing_text((50.0, 8.0, 8.0)), spacing_text((20.0, 20.0, 20.0))
    ('50 × 8 × 8 nm', '20 nm, isotropic')
    """
    if len(set(spacing)) == 1:
        return f"{spacing[0]:g} nm, isotropic"
    return " × ".join(f"{s:g}" for s in spacing) + " nm"


def plain_name(name: str) -> str:
    """Name as part of a sentence.

    >>> plain_name("nuclear_envelope")
    'nuclear envelope'
    """
    return name.replace("_", " ")


def listed(words: Sequence[str]) -> str:
    """Words as a part of a sentence.

    >>> listed(["20", "40", "80"]), listed(["one"])
    ('20, 40 and 80', 'one')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _segmentation(facts: ObjectFacts) -> str:
    what = plain_name(facts.name)
    sentences = []
    if isinstance(facts.model, ClassifierFacts):
        sentences.append(_forests(what, facts.model))
    elif facts.model is not None:
        sentences.append(_training(what, facts.model))
    taken = {k: v for k, v in facts.postprocess.items() if not _does_nothing(k, v)}
    if taken:
        steps = "; ".join(_step(k, v) for k, v in taken.items())
        sentences.append(f"Probabilities were turned into objects by {steps}.")
    if facts.n_objects is not None:
        n = facts.n_objects
        verb = "This gave" if taken else "There was" if n == 1 else "There were"
        sentences.append(f"{verb} {n:,} object{'s' * (n != 1)} ({what}).")
    return " ".join(sentences)


def _does_nothing(name: str, settings: Any) -> bool:
    """Whether a step leaves everything as it was.

    >>> _does_nothing("closing", {"radius_nm": 0.0}), _does_nothing("threshold", {"level": 0.5})
    (True, False)
    """
    if settings is None:
        return True
    if not isinstance(settings, Mapping):
        return False
    operator = str(settings.get("_target_", name)).rpartition(".")[2]
    if operator == "filter_objects" and settings.get("column") is None:
        return True
    return any(settings.get(size) == 0 for size in ("radius_nm", "sigma_nm"))


def _forests(what: str, model: ClassifierFacts) -> str:
    trees = f"{model.n_trees} extremely randomised trees" if model.n_trees else "random trees"
    text = f"The class {what} was told apart voxel by voxel with forests of {trees}"
    if model.n_painted:
        text += f", trained on {model.n_painted:,} painted voxels"
    if model.seed is not None:
        text += f" (seed {model.seed})"
    volume, border = (model.sigmas_nm.get(k) or () for k in ("volume", "border"))
    if volume:
        text += (
            "; features were mean, gradient, Laplacian and standard deviation under 3D Gaussians "
            f"of {_sizes(volume)} nm"
        )
    if model.precision_nm:
        text += f" on voxels of at most {model.precision_nm:g} nm"
    if border:
        text += f", and near borders of {_sizes(border)} nm on the next finer pyramid level"
    return text + "."


def _sizes(sigmas_nm: Sequence[float]) -> str:
    return listed([f"{s:g}" for s in sigmas_nm])


def _training(what: str, model: ModelFacts) -> str:
    network = model.network
    kind = "2D U-Net" if str(network.get("name", "unet")).startswith("unet") else network["name"]
    features = network.get("features")
    context = int(network.get("context", 0) or 0)
    text = f"The class {what} was segmented with a {kind}"
    if features:
        text += f" (features {', '.join(map(str, features))})"
    if context:
        planes = "plane" if context == 1 else "planes"
        text += f" that sees {context} neighbouring {planes} on each side as channels"
    if model.n_planes:
        text += f", trained on sparse painting of {model.n_planes} planes"
        text += f" of {model.n_volumes} volumes" if model.n_volumes > 1 else ""
    if model.n_steps:
        text += f" for {model.n_steps:,} steps with a masked Dice and cross-entropy loss"
    if model.spacing is not None:
        text += f", at a working voxel size of {spacing_text(model.spacing)}"
    return text + "."


def _step(name: str, settings: Any) -> str:
    words = plain_name(name)
    if not isinstance(settings, Mapping):
        return words
    shown = [f"{plain_name(k)} {v:g}" if isinstance(v, float) else f"{plain_name(k)} {v}"
             for k, v in settings.items() if not k.startswith("_") and v is not None]
    return f"{words} ({', '.join(shown)})" if shown else words


def _scores(what: str, against: str, scores: Mapping[str, float | None]) -> str:
    words = {"iou": "IoU", "dice": "Dice", "boundary_f1": "boundary F1",
             "object_f1_50": "F1 of objects"}
    shown = [f"{text} {scores[k]:.3f}" for k, text in words.items() if scores.get(k) is not None]
    return f"{what} agreed with {against} ({'; '.join(shown)})." if shown else ""
