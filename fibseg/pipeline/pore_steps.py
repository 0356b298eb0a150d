"""The steps of ``fibseg pores``: what each makes, of what, found out before any work.

A step is a function that does nothing where its product stands, made of the same; so to add one is
to write such a function and a line in `MAKERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.pipeline import pseudolabels
from fibseg.pipeline.model_folders import model_folder
from fibseg.pipeline.steps import Step
from fibseg.volume import Volume

NAME = "pores"
"""Of the model, the probabilities, the objects and their table."""


@dataclass(frozen=True)
class Recipe:
    """What was asked for; attributes as in `fibseg.pipeline.pores.run`."""

    volume: str
    pockets: Mapping[str, Any]
    pseudolabels: Mapping[str, Any]
    train: Mapping[str, Any]
    infer: Mapping[str, Any]
    objects: Mapping[str, Any]
    distribution: Mapping[str, Any]
    nucleus: str = "nucleus"
    steps: Sequence[str] = ()
    keep: str = "products"
    blocks: Runner | None = None
    overwrite: bool = False
    config: Mapping[str, Any] | None = None
    overrides: Sequence[str] = ()


def _own(name: str, recipe: Recipe) -> dict[str, Any]:
    """Settings of a step, and those that all steps have."""
    return {
        "volume": recipe.volume, "nucleus": recipe.nucleus, **getattr(recipe, name),
        "blocks": recipe.blocks, "overwrite": recipe.overwrite,
    }


def _pockets(recipe: Recipe) -> Step:
    parts = {**_own("pockets", recipe), "keep": recipe.keep}
    return _step("pockets", "labels/pockets", "pockets", recipe, parts)


def _pseudolabels(recipe: Recipe) -> Step:
    parts = _own("pseudolabels", recipe)
    return _step("pseudolabels", "labels/pores_pseudo", "pseudolabels", recipe, parts)


def _train(recipe: Recipe) -> Step:
    """The network, of the pseudo-labels: the very verb."""
    folder = _folder(recipe)
    own = {"volume": recipe.volume, "annotation": NAME, "out": str(folder)}
    limit = _plain(recipe, "train").get("trainer", {}).get("max_time")
    words = [f"{k}={v}" for k, v in own.items()] + [f"trainer.max_time={_word(limit)}"]
    typed = ["experiment=pores", *_typed_over(words, _verbs_own(recipe, "train"))]
    parts = {**own, **recipe.train, "overwrite": recipe.overwrite, "overrides": typed}
    return Step(
        "train", str(folder), parts, None, typed,
        replaces=lambda: learned_from_older(folder, Volume.open(recipe.volume)),
    )


def _infer(recipe: Recipe) -> Step:
    """Probabilities near the envelope: the very verb."""
    own = {
        "model": str(_folder(recipe)), "volume": recipe.volume, "name": NAME,
        "within": recipe.nucleus,
    }
    plain = _plain(recipe, "infer")
    words = [f"{k}={_word(v)}" for k, v in {**own, **plain}.items()]
    return Step(
        "infer", f"probabilities/{NAME}",
        {**own, **recipe.infer, "blocks": recipe.blocks, "overwrite": recipe.overwrite},
        {**own, **plain},
        [*_typed_over(words, _verbs_own(recipe, "infer")), "postprocess=null"],
        replaces=lambda: inferred_here(Volume.open(recipe.volume), own["model"]),
    )


def _objects(recipe: Recipe) -> Step:
    """Numbered pores: the verb ``objects``, its threshold chosen before; recorded as that verb."""
    own = {
        "volume": recipe.volume, "name": NAME, "model": str(_folder(recipe)),
        "places": pseudolabels.PSEUDO, "annotation": pseudolabels.PAINTED,
    }
    parts = {**own, **recipe.objects, "blocks": recipe.blocks, "overwrite": recipe.overwrite}
    step = _step("objects", f"labels/{NAME}", "pore_objects", recipe, parts)
    return replace(step, config={**own, **_plain(recipe, "objects"), "steps": ["objects"]})


def _distribution(recipe: Recipe) -> Step:
    """How the pores lie on the envelope: the very verb."""
    own = {"volume": recipe.volume, "objects": NAME, "on": recipe.nucleus}
    words = [f"{k}={v}" for k, v in own.items()]
    return Step(
        "distribution", f"tables/{NAME}",
        {**own, **recipe.distribution, "blocks": recipe.blocks},
        {**own, **_plain(recipe, "distribution")},
        [*words, *_verbs_own(recipe, "distribution")],
    )


def learned_from_older(folder: Path, store: Volume) -> bool:
    """Whether a training in that folder has learned from pseudo-labels of before."""
    from fibseg.pipeline.train_folder import recorded_sources

    sources = recorded_sources(folder)
    if len(sources) != 1 or sources[0].get("annotation") != pseudolabels.PAINTED:
        return False
    now = store.labels_info(pseudolabels.PAINTED).digest
    same = sources[0].get("raw_digest") == store.raw_digest
    return same and sources[0].get("annotation_digest") != now


def inferred_here(store: Volume, model: str) -> bool:
    """Whether the probabilities that stand there were made with the model of that folder.

    Store and folder may have moved together since.
    """
    made = [
        run for run in store.runs(skip_damaged=True)
        if f"probabilities/{NAME}" in (run.get("products") or {})
    ]
    return bool(made) and (
        Path(str(made[-1]["config"].get("model"))).parts[-2:] == Path(model).parts[-2:]
    )


def _folder(recipe: Recipe) -> Path:
    """Where the network of a store stands."""
    return model_folder(Volume.open(recipe.volume), NAME)


def _plain(recipe: Recipe, name: str) -> dict[str, Any]:
    """Settings of a step as plain data."""
    return dict((recipe.config or {}).get(name) or {})


def _word(value: Any) -> str:
    """A value as one types it."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_word, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _typed_over(words: Sequence[str], typed: Sequence[str]) -> list[str]:
    """Words, those that the user typed in place of the usual ones."""
    given = {word.lstrip("+~").partition("=")[0] for word in typed}
    return [*(word for word in words if word.partition("=")[0] not in given), *typed]


def _verbs_own(recipe: Recipe, name: str) -> list[str]:
    """What the user typed for a step that is a verb, in the words of that verb."""
    words = []
    for word in recipe.overrides:
        plain = word.lstrip("+~")
        sign = word.removesuffix(plain)
        group, _, rest = plain.partition(f"@{name}.")
        if plain.startswith(f"{name}."):
            words.append(sign + plain.removeprefix(f"{name}."))
        elif rest.startswith(f"{group}="):
            words.append(sign + rest)
        elif plain.startswith("blocks") and name != "train":
            words.append(word)
    return words


MAKERS: dict[str, Callable[[Recipe], Step]] = {
    "pockets": _pockets,
    "pseudolabels": _pseudolabels,
    "train": _train,
    "infer": _infer,
    "objects": _objects,
    "distribution": _distribution,
}
"""In the order in which they rest on each other."""


def planned_steps(recipe: Recipe) -> list[Step]:
    """Steps that are asked for, in order.

    Raises
    ------
    UsageError
        If a step is unknown, or there is none.
    """
    unknown = [name for name in recipe.steps if name not in MAKERS]
    if unknown or not recipe.steps:
        raise UsageError(f"steps=[{','.join(recipe.steps)}]: choose some of {', '.join(MAKERS)}.")
    return [make(recipe) for name, make in MAKERS.items() if name in recipe.steps]


def _step(
    name: str, product: str, module: str, recipe: Recipe, parts: dict[str, Any]
) -> Step:
    """A step of this verb, with its settings alone in its record."""
    others = [start for other in MAKERS if other != name for start in (f"{other}.", f"@{other}.")]
    typed = [
        word for word in recipe.overrides
        if not word.lstrip("+~").startswith(("steps=", "volume="))
        and not any(start in word.partition("=")[0] for start in others)
    ]
    plain = recipe.config or {}
    config = {
        "volume": recipe.volume, "nucleus": recipe.nucleus, "steps": [name],
        name: plain.get(name), "keep": recipe.keep, "blocks": plain.get("blocks"),
        "overwrite": recipe.overwrite,
    }
    words = [f"volume={recipe.volume}", f"steps=[{name}]", *typed]
    return Step("pores", product, parts, config, words, module=module)
