"""``dry_run=true``: what a verb, or each of its steps, will do and need; nothing is done."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from fibseg.errors import DataError, RoomError

Echo = Callable[[str], None]


def print_plan(
    verb: str, module: ModuleType, parts: Mapping[str, Any], record: Mapping[str, Any], echo: Echo
) -> None:
    """Print the plan of a verb; one whose module names steps (``planned``) has one for each.

    Parameters
    ----------
    parts, record
        Arguments of the verb, and what a run of it would record about itself.

    Raises
    ------
    RoomError
        If there is no room for it.
    """
    if not hasattr(module, "planned"):
        _print_forecast(verb, module.run, parts, echo)
        return
    steps = module.planned(**parts, **record)
    for number, step in enumerate(steps, start=1):
        echo(f"\n[{number}/{len(steps)}] {step.command}")
        with after_those_before(echo):
            arguments = _with_defaults(step.function, step.parts)
            _print_forecast(step.verb, step.function, arguments, echo)


@contextlib.contextmanager
def after_those_before(echo: Echo) -> Iterator[None]:
    """Say of a step whose input is not there that it has to wait for the steps before it."""
    try:
        yield
    except DataError as error:
        if isinstance(error, RoomError):
            raise
        echo(f"cannot be planned before the steps that it rests on: {error}")


def _print_forecast(
    verb: str, run: Callable[..., Any], parts: Mapping[str, Any], echo: Echo
) -> None:
    from fibseg.pipeline.forecast import forecast

    found = forecast(verb, run, parts)
    echo(found.text())
    found.refuse_without_room()


def _with_defaults(run: Callable[..., Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a verb, those that were left out too."""
    bound = inspect.signature(run).bind(**parts)
    bound.apply_defaults()
    return dict(bound.arguments)
