"""Whole configs of other verbs, inside the config of a verb that runs them for many stores."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from fibseg.cli.values import fitted, refuse_lacking
from fibseg.cli.verbs import VERBS
from fibseg.errors import UsageError

OF_EACH = "dry_run", "volume"
"""Keys that no inner config has a say in."""


def passed_on(
    verb: str, config: Mapping[str, Any], typed: Mapping[str, str]
) -> dict[str, Any]:
    """The config of a verb, those that it passes on checked as their own verbs would be.

    Those of verbs that ``steps`` has not become None: nothing of theirs has to be built.

    Raises
    ------
    UsageError
        For the first value that a verb cannot take, under the key that was typed.
    """
    found = dict(config)
    for inner in VERBS[verb].passes:
        found[inner] = _checked(inner, config, typed) if inner in config["steps"] else None
    return found


def _checked(
    inner: str, config: Mapping[str, Any], typed: Mapping[str, str]
) -> dict[str, Any]:
    """Config of an inner verb without what differs from store to store."""
    if config[inner] is None:
        raise UsageError(f"{inner}=null leaves nothing to do. Leave it out, or change steps=.")
    own = {key: value for key, value in config[inner].items() if key not in OF_EACH}
    run = importlib.import_module(f"fibseg.pipeline.{VERBS[inner].module}").run
    refuse_lacking(run, {**own, "volume": ""})
    return fitted(run, own, typed=typed, prefix=f"{inner}.")
