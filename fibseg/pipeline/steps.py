"""A step of a verb that is made of several, such as ``profile`` and ``pores``."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step: a verb, or a part of one.

    Attributes
    ----------
    verb
        What a user would type, and whose sample a dry run rehearses.
    product
        What it makes, for people.
    parts
        Its arguments.
    config
        The same as plain data, for its record; None where it keeps none, or its own.
    overrides
        What a user would type behind the verb.
    module
        Of `fibseg.pipeline`, whose ``run`` does it; that of the verb if left out.
    replaces
        Whether what stands there was made here of something older, and may be replaced.
    check
        Refuses what can be known before any step works: that one stands in the way of this one.
    """

    verb: str
    product: str
    parts: dict[str, Any]
    config: dict[str, Any] | None
    overrides: list[str]
    module: str | None = None
    replaces: Callable[[], bool] | None = None
    check: Callable[[], None] | None = None

    @property
    def command(self) -> str:
        """The step as it can be typed."""
        return f"fibseg {self.verb} {shlex.join(self.overrides)}"

    @property
    def function(self) -> Callable[..., Any]:
        """What does it. Looked up late: some bring torch, others do without."""
        module = importlib.import_module(f"fibseg.pipeline.{self.module or self.verb}")
        run: Callable[..., Any] = module.run
        return run

    def run(self) -> Any:
        """Do it; returns what it returns."""
        parts = dict(self.parts)
        if self.replaces is not None and self.replaces():
            parts["overwrite"] = True
        if self.config is not None:
            parts |= {"config": self.config, "overrides": self.overrides}
        return self.function(**parts)
