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
from fibseg.pipeline.model_folders import model_folder
from fibseg.pipeline.pocket_job import POCKETS, SITES
from fibseg.pipeline.pore_network import (
    NAME,
    inferred_here,
    learned_from_older,
    refuse_foreign_probabilities,
    refuse_foreign_training,
)
from fibseg.pipeline.pore_products import refuse_foreign, refuse_foreign_tables
from fibseg.pipeline.pseudolabels import PAINTED, PAIRED, PSEUDO
from fibseg.pipeline.steps import Step
from fibseg.pseudolabel import require_fine, require_thick
from fibseg.volume import Volume


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
    step = _step("pockets", f"labels/{POCKETS}", "pockets", recipe, parts)
    refuse = _refusal(
        recipe, [POCKETS], f"labels/{recipe.nucleus}", tables={POCKETS: POCKETS, SITES: POCKETS},
    )

    def check() -> None:
        """Nothing, if there may be pores in the volume, and pockets of theirs may be written."""
        store = Volume.open(recipe.volume)
        require_fine(store.spacing)
        require_thick(store.shape, spacing=store.spacing)
        refuse()

    return replace(step, check=check)


def _pseudolabels(recipe: Recipe) -> Step:
    parts = _own("pseudolabels", recipe)
    step = _step("pseudolabels", f"labels/{PSEUDO}", "pseudolabels", recipe, parts)
    return replace(step, check=_refusal(
        recipe, [PSEUDO, PAINTED], f"labels/{POCKETS}", tables={PSEUDO: PSEUDO, PAIRED: PSEUDO},
    ))


def _train(recipe: Recipe) -> Step:
    """The network, of the pseudo-labels: the very verb."""
    folder = _folder(recipe)
    own = {"volume": recipe.volume, "annotation": NAME, "out": str(folder)}
    limit = _plain(recipe, "train").get("trainer", {}).get("max_time")
    words = [f"{k}={v}" for k, v in own.items()] + [
        f"trainer.max_time={_word(limit)}", "blocks=processes",  # of the verb alone it is serial
    ]
    typed = ["experiment=pores", *_typed_over(words, _verbs_own(recipe, "train"))]
    parts = {
        **own, **recipe.train, "blocks": recipe.blocks, "overwrite": recipe.overwrite,
        "overrides": typed,
    }
    return Step(
        "train", str(folder), parts, None, typed,
        replaces=lambda: learned_from_older(folder, Volume.open(recipe.volume)),
        check=lambda: refuse_foreign_training(
            folder, Volume.open(recipe.volume), overwrite=recipe.overwrite
        ),
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
        check=lambda: refuse_foreign_probabilities(
            Volume.open(recipe.volume), own["model"], overwrite=recipe.overwrite
        ),
    )


def _objects(recipe: Recipe) -> Step:
    """Numbered pores: the verb ``objects``, its threshold chosen before; recorded as that verb."""
    own = {
        "volume": recipe.volume, "name": NAME, "model": str(_folder(recipe)),
        "places": PSEUDO, "annotation": PAINTED,
    }
    parts = {**own, **recipe.objects, "blocks": recipe.blocks, "overwrite": recipe.overwrite}
    step = _step("objects", f"labels/{NAME}", "pore_objects", recipe, parts)
    return replace(
        step, config={**own, **_plain(recipe, "objects"), "steps": ["objects"]},
        check=_refusal(recipe, [NAME], f"probabilities/{NAME}", tables={NAME: NAME}),
    )


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


def _refusal(
    recipe: Recipe, names: Sequence[str], derived_from: str, *, tables: Mapping[str, str]
) -> Callable[[], None]:
    """What refuses labels and tables of these names that come from elsewhere.

    Parameters
    ----------
    derived_from
        What the labels are made of by this verb, with whatever settings.
    tables
        To each table its labels.
    """
    def refuse() -> None:
        """As the step would, after the work of those before it."""
        store = Volume.open(recipe.volume)
        refuse_foreign(store, names, None, derived_from, overwrite=recipe.overwrite)
        refuse_foreign_tables(store, tables, overwrite=recipe.overwrite)

    return refuse


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
        elif plain.startswith("blocks"):
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
    ExistsError
        If something from elsewhere stands where one of them writes, and is not to be replaced.
    UsageError
        If a step is unknown, or there is none.
    """
    unknown = [name for name in recipe.steps if name not in MAKERS]
    if unknown or not recipe.steps:
        raise UsageError(f"steps=[{','.join(recipe.steps)}]: choose some of {', '.join(MAKERS)}.")
    steps = [make(recipe) for name, make in MAKERS.items() if name in recipe.steps]
    for step in steps:
        if step.check is not None:
            step.check()
    return steps


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
