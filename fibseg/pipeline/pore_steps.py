"""The steps of ``fibseg pores``: what each makes, of what, found out before any work.

A step is a function that does nothing where its product stands, made of the same; so to add one is
to write such a function and a line in `MAKERS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.pipeline import pockets, pseudolabels
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


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    name
        As in ``steps=[…]``.
    product
        What it makes, for people.
    function, parts
        What does it, and its arguments.
    config
        The same as plain data, for its record; None where it keeps its own.
    overrides
        What a user would type behind the verb.
    verb
        Whose sample is rehearsed by a dry run.
    """

    name: str
    product: str
    function: Callable[..., Any]
    parts: dict[str, Any]
    config: dict[str, Any] | None
    overrides: list[str]
    verb: str = "pores"

    @property
    def command(self) -> str:
        """The step as it can be typed."""
        return f"fibseg {self.verb} {shlex.join(self.overrides)}"

    def run(self) -> Any:
        """Do it; returns what it returns."""
        own = {} if self.config is None else {"config": self.config}
        return self.function(**self.parts, **own, overrides=self.overrides)


def _own(name: str, recipe: Recipe) -> dict[str, Any]:
    """Settings of a step, and those that all steps have."""
    return {
        "volume": recipe.volume, "nucleus": recipe.nucleus, **getattr(recipe, name),
        "blocks": recipe.blocks, "overwrite": recipe.overwrite,
    }


def _pockets(recipe: Recipe) -> Step:
    return _step(
        "pockets", "labels/pockets", pockets.run, recipe,
        {**_own("pockets", recipe), "keep": recipe.keep},
    )


def _pseudolabels(recipe: Recipe) -> Step:
    return _step(
        "pseudolabels", "labels/pores_pseudo", pseudolabels.run, recipe,
        _own("pseudolabels", recipe),
    )


def _train(recipe: Recipe) -> Step:
    """The network, of the pseudo-labels: the very verb."""
    from fibseg.pipeline import train  # brings torch

    model = model_folder(recipe)
    own = {"volume": recipe.volume, "annotation": NAME, "out": model}
    words = [f"{key}={value}" for key, value in own.items()]
    return Step(
        "train", model, train.run, {**own, **recipe.train, "overwrite": recipe.overwrite}, None,
        ["experiment=pores", *words, *_verbs_own(recipe, "train")], verb="train",
    )


def _infer(recipe: Recipe) -> Step:
    """Probabilities near the envelope: the very verb."""
    from fibseg.pipeline import infer  # brings torch

    own = {
        "model": model_folder(recipe), "volume": recipe.volume, "name": NAME,
        "within": recipe.nucleus,
    }
    plain = (recipe.config or {}).get("infer") or {}
    usual = {"orientations": "orthogonal", "within_nm": "[-150,100]"}
    words = [f"{k}={v}" for k, v in {**own, **usual}.items()]
    return Step(
        "infer", f"probabilities/{NAME}", infer.run,
        {**own, **recipe.infer, "blocks": recipe.blocks, "overwrite": recipe.overwrite},
        {**own, **plain}, [*words, "postprocess=null", *_verbs_own(recipe, "infer")], verb="infer",
    )


def _objects(recipe: Recipe) -> Step:
    """Numbered pores: the verb ``objects``, its threshold chosen before; recorded as that verb."""
    from fibseg.pipeline import pore_objects

    own = {
        "volume": recipe.volume, "name": NAME, "model": model_folder(recipe),
        "places": pseudolabels.PSEUDO, "annotation": pseudolabels.PAINTED,
    }
    step = _step("objects", f"labels/{NAME}", pore_objects.run, recipe, {
        **own, **recipe.objects, "blocks": recipe.blocks, "overwrite": recipe.overwrite,
    })
    plain = (recipe.config or {}).get("objects") or {}
    return replace(step, config={**own, **plain, "steps": ["objects"]})


def _distribution(recipe: Recipe) -> Step:
    """How the pores lie on the envelope: the very verb."""
    from fibseg.pipeline import distribution

    own = {"volume": recipe.volume, "objects": NAME, "on": recipe.nucleus}
    plain = (recipe.config or {}).get("distribution") or {}
    return Step(
        "distribution", f"tables/{NAME}", distribution.run,
        {**own, **recipe.distribution, "blocks": recipe.blocks}, {**own, **plain},
        [*(f"{k}={v}" for k, v in own.items()), *_verbs_own(recipe, "distribution")],
        verb="distribution",
    )


def model_folder(recipe: Recipe) -> str:
    """Where the network of a store stands: beside the store."""
    path = Volume.open(recipe.volume).path
    return str(path.parent / f"{path.name.partition('.')[0]}.models" / NAME)


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
    name: str, product: str, function: Callable[..., Any], recipe: Recipe, parts: dict[str, Any]
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
    return Step(
        name, product, function, parts, config,
        [f"volume={recipe.volume}", f"steps=[{name}]", *typed],
    )
