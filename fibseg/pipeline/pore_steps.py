"""The steps of ``fibseg pores``: what each makes, of what, found out before any work.

A step is a function that does nothing where its product stands, made of the same; so to add one is
to write such a function and a line in `MAKERS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.pipeline import pockets, pseudolabels


@dataclass(frozen=True)
class Recipe:
    """What was asked for; attributes as in `fibseg.pipeline.pores.run`."""

    volume: str
    pockets: Mapping[str, Any]
    pseudolabels: Mapping[str, Any]
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
        The same as plain data, for its record.
    overrides
        What a user would type behind the verb.
    verb
        Whose sample is rehearsed by a dry run.
    """

    name: str
    product: str
    function: Callable[..., Any]
    parts: dict[str, Any]
    config: dict[str, Any]
    overrides: list[str]
    verb: str = "pores"

    @property
    def command(self) -> str:
        """The step as it can be typed."""
        return f"fibseg {self.verb} {shlex.join(self.overrides)}"

    def run(self) -> Any:
        """Do it; returns what it returns."""
        return self.function(**self.parts, config=self.config, overrides=self.overrides)


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


MAKERS: dict[str, Callable[[Recipe], Step]] = {
    "pockets": _pockets,
    "pseudolabels": _pseudolabels,
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
    others = [f"{other}." for other in MAKERS if other != name]
    typed = [
        word for word in recipe.overrides
        if not word.lstrip("+~").startswith(("steps=", "volume=", *others))
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
