"""The steps of a profile: which verbs, with which arguments, found out before any work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.steps import Step
from fibseg.volume import Volume

VERBS = ("classify", "objects", "measure", "report")
"""In the order in which they rest on each other."""

OF_ORGANELLES = {"neighbours": 0, "classes": None, "correlations": None}
"""Settings of `measure` that mean nothing to a cell and its nucleus, switched off."""

_log = logging.getLogger("fibseg.pipeline")


@dataclass(frozen=True)
class Recipe:
    """What a profile is made of; attributes as in `fibseg.pipeline.profile.run`."""

    volume: str
    organelles: str | Sequence[str]
    clean: Mapping[str, Mapping[str, Operator | None]]
    measure: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    cell: str | None = "cell"
    nucleus: str | None = "nucleus"
    annotation: str | None = "cell"
    precision_nm: float | None = None
    steps: Sequence[str] = VERBS
    blocks: Runner | None = None
    overwrite: bool = False
    config: Mapping[str, Any] | None = None
    overrides: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """All label images, each once: the cell and the nucleus first, others rest on them."""
        kinds = [self.organelles] if isinstance(self.organelles, str) else self.organelles
        return list(dict.fromkeys([*self.membranes, *kinds]))

    @property
    def membranes(self) -> list[str]:
        """Cell and nucleus, if they are wanted."""
        return [name for name in (self.cell, self.nucleus) if name is not None]


def planned_steps(recipe: Recipe) -> list[Step]:
    """Steps of a profile, in order.

    Raises
    ------
    DataError
        If an organelle has neither probabilities nor labels.
    UsageError
        If a step is unknown, or there is none, or an organelle has no clean-up.
    """
    unknown = [verb for verb in recipe.steps if verb not in VERBS]
    if unknown or not recipe.steps:
        raise UsageError(f"steps=[{','.join(recipe.steps)}]: choose some of {', '.join(VERBS)}.")
    store = Volume.open(recipe.volume)
    painted = _painted(store, recipe)
    names = recipe.names if {"objects", "measure"} & set(recipe.steps) else []
    there = [n for n in names if _is_there(store, n, recipe, painted=painted)]
    makers: dict[str, Callable[[], Iterable[Step]]] = {
        "classify": lambda: [_classify(recipe, painted)] if painted else [],
        "objects": lambda: _objects(store, recipe, there, painted=painted),
        "measure": lambda: [
            measure_step(recipe, name, _targets(recipe, name, there)) for name in there
        ],
        "report": lambda: [_report(recipe)],
    }
    return [step for verb in VERBS if verb in recipe.steps for step in makers[verb]()]


def _painted(store: Volume, recipe: Recipe) -> str | None:
    """Painting to classify the cell from; None where its labels come from elsewhere."""
    cell, wanted = recipe.cell, recipe.annotation
    if "classify" not in recipe.steps or cell is None or wanted is None:
        return None
    painted = store.label_names(kind="annotation")
    if wanted not in painted and f"annotation_{wanted}" not in painted:
        return None
    if cell in store.label_names(kind="labels"):
        made_of = store.labels_info(cell).derived_from
        if made_of != f"probabilities/{cell}" and not recipe.overwrite:
            _log.info(
                "labels/%s was not made here and is taken as it is; overwrite=true classifies "
                "it anew from annotation_%s", cell, wanted,
            )
            return None
    return wanted


def _is_there(store: Volume, name: str, recipe: Recipe, *, painted: str | None) -> bool:
    """Whether there are, or will be, labels of that name.

    Raises
    ------
    DataError
        If an organelle has neither them nor probabilities.
    """
    known = {*store.label_names(kind="labels"), *store.probability_names()}
    if name in known or (name == recipe.cell and painted):
        return True
    if name not in recipe.membranes:
        raise DataError(
            f"{store.path} has neither probabilities nor labels {name!r}; it has "
            f"{', '.join(sorted(known)) or 'none'}. Make them with 'fibseg infer model=… "
            f"volume={store.path} name={name}', or choose others with organelles=[…]."
        )
    _log.info("there are no labels of the %s: distances to it and shares of it are left out", name)
    return False


def _classify(recipe: Recipe, annotation: str) -> Step:
    own = {
        "annotation": annotation, "name": str(recipe.cell), "precision_nm": recipe.precision_nm,
        "overwrite": recipe.overwrite,
    }
    return _with_clean_up("classify", recipe, str(recipe.cell), own)


def _objects(
    store: Volume, recipe: Recipe, names: Sequence[str], *, painted: str | None
) -> Iterator[Step]:
    for name in names:
        if name == recipe.cell and painted:
            continue  # cleaned up by classify
        if name in store.probability_names():
            own = {"name": name, "overwrite": recipe.overwrite}
            yield _with_clean_up("objects", recipe, name, own)
        else:
            _log.info("labels/%s has no probabilities: it is taken as it is", name)


def _with_clean_up(verb: str, recipe: Recipe, name: str, own: Mapping[str, Any]) -> Step:
    """Step of a verb that cleans up `name`.

    Raises
    ------
    UsageError
        If there are no operators for it.
    """
    if name not in recipe.clean:
        raise UsageError(
            f"There is no clean-up for {name!r}. Choose one with +postprocess@clean.{name}=default."
        )
    plain = ((recipe.config or {}).get("clean") or {}).get(name)
    typed = _typed(recipe, {f"clean.{name}.": "postprocess.", f"clean.{name}=": "postprocess="})
    if not any(word.startswith("postprocess=") for word in typed):
        typed = [f"postprocess={name}", *typed]
    return _step(
        verb, f"labels/{name}", recipe, {**own, "postprocess": recipe.clean[name]},
        {**own, "postprocess": plain}, [*_words(own), *typed],
    )


def _targets(recipe: Recipe, name: str, there: Sequence[str]) -> list[str]:
    """What the objects of `name` are measured to: what they do not themselves make up."""
    around = {recipe.nucleus: [recipe.cell], recipe.cell: []}.get(name, recipe.membranes)
    return [n for n in reversed(around) if n is not None and n in there]


def measure_step(recipe: Recipe, name: str, to: Sequence[str], *, extend: bool = True) -> Step:
    """Table of `name`, with distances to `to`.

    Parameters
    ----------
    extend
        As in `fibseg.pipeline.measure.run`.
    """
    own: dict[str, Any] = {
        "objects": name, "to": list(to), "cell": recipe.cell, "nucleus": recipe.nucleus,
        "extend": extend,
    }
    left_out = OF_ORGANELLES if name in recipe.membranes else {}
    plain = (recipe.config or {}).get("measure") or {}
    typed = [
        word for word in _typed(recipe, {"measure.": ""})
        if not word.lstrip("+~").startswith(tuple(left_out))
    ]
    return _step(
        "measure", f"tables/{name}", recipe, {**own, **(recipe.measure or {}), **left_out},
        {**own, **plain, **left_out}, [*_words(own), *_words(left_out), *typed],
    )


def _report(recipe: Recipe) -> Step:
    own = {"volume": recipe.volume, **(recipe.report or {})}
    typed = _typed(recipe, {"report.": ""}, blocks=False)
    return Step("report", "report", own, None, [f"volume={recipe.volume}", *typed])


def _step(
    verb: str, product: str, recipe: Recipe, parts: Mapping[str, Any], config: Mapping[str, Any],
    words: list[str],
) -> Step:
    volume = {"volume": recipe.volume}
    return Step(
        verb, product, {**volume, **parts, "blocks": recipe.blocks}, {**volume, **config},
        [f"volume={recipe.volume}", *words],
    )


def _words(own: Mapping[str, Any]) -> list[str]:
    """Settings as one types them; those that have their usual value need no word."""
    words = {k: f"[{','.join(v)}]" if isinstance(v, list) else v for k, v in own.items()}
    usual = {"cell": "cell", "nucleus": "nucleus", "precision_nm": None, "overwrite": False,
             "extend": True}
    return [
        f"{k}={'null' if v is None else str(v).lower() if isinstance(v, bool) else v}"
        for k, v in words.items() if k not in usual or usual[k] != v
    ]


def _typed(recipe: Recipe, prefixes: Mapping[str, str], *, blocks: bool = True) -> list[str]:
    """What the user typed for a step, in the words of its verb."""
    words = []
    for word in recipe.overrides:
        plain = word.lstrip("+~")
        sign = word.removesuffix(plain)
        if plain.startswith("postprocess@clean."):  # the verb has a clean-up to choose another for
            plain, sign = plain.removeprefix("postprocess@"), ""
        if blocks and plain.startswith("blocks"):
            words.append(sign + plain)
        words += [
            sign + new + plain.removeprefix(old)
            for old, new in prefixes.items() if plain.startswith(old)
        ]
    return words
