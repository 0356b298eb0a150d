"""Config by Hydra: found, composed, checked, and built into the parts that a verb takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import fibseg
from fibseg.cli.grammar import did_you_mean, full_key, quote_overrides, split_override
from fibseg.errors import UsageError


def conf_dir() -> Path:
    """Folder of the config: inside the package in a wheel, else at the top of the repository.

    Raises
    ------
    UsageError
        If neither is there.
    """
    package = Path(fibseg.__file__).parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "demo.yaml").is_file():
            return folder
    raise UsageError(f"No conf folder beside {package}. Install fibseg again.")


def search_path_override() -> list[str]:
    """Override that lets Hydra also search the user's own ``./conf``."""
    own = Path.cwd() / "conf"
    if not own.is_dir() or own.resolve() == conf_dir().resolve():
        return []
    return [f"hydra.searchpath=['{own.as_uri()}']"]


@contextlib.contextmanager
def _hydra() -> Iterator[None]:
    """Hydra on our folder, and whatever state it had before put back after."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before


def compose_verb(verb: str, arguments: list[str]) -> DictConfig:
    """Config of `verb` with the user's overrides, Hydra's own node included.

    Raises
    ------
    UsageError
        For a key that is not there (naming the nearest ones), a group choice that is not there,
        or a value that Hydra cannot read.
    """
    arguments = [full_key(a) for a in arguments]
    overrides = [_without_group(o) for o in quote_overrides(arguments)]
    groups = [o for o in overrides if _is_group(split_override(o)[0])]
    with _hydra(), _usage_errors():
        known = compose(verb, [*search_path_override(), *groups], return_hydra_config=True)
        check_keys(arguments, known)
        return compose(verb, [*search_path_override(), *overrides], return_hydra_config=True)


def check_keys(arguments: list[str], known: DictConfig) -> None:
    """Nothing, if every key of the overrides is in `known`, and those without default have a value.

    Raises
    ------
    UsageError
        For the first that is not, naming the nearest right ones.
    """
    keys = sorted({*flatten(known), *_group_names()})
    for argument in arguments:
        key, value = split_override(argument)
        if value == "" and OmegaConf.is_missing(known, key):
            raise UsageError(f"{key}= is empty. Write a value behind it; see --help.")
        if key.startswith(("+", "~", "hydra.", "hydra/")) or _is_group(key):
            continue
        if key not in keys and OmegaConf.select(known, key, default=None) is None:
            raise UsageError(f"There is no key {key!r}. {did_you_mean(key, keys)}")


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every leaf of a config under its dotted key; missing ones are ``'???'``."""
    plain = (
        OmegaConf.to_container(config, resolve=False) if isinstance(config, DictConfig) else config
    )
    leaves: dict[str, Any] = {}
    for key, value in dict(plain).items():  # type: ignore[arg-type]
        if prefix == "" and key == "hydra":
            continue
        if isinstance(value, dict) and value:
            leaves.update(flatten(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def resolved(config: DictConfig) -> dict[str, Any]:
    """The verb's own config as plain data, ready to be stored.

    Raises
    ------
    UsageError
        If a key that must be given is missing.
    """
    own = OmegaConf.create({k: v for k, v in config.items_ex(resolve=False) if k != "hydra"})
    with _usage_errors():  # looking for them resolves interpolations
        missing = sorted(OmegaConf.missing_keys(own))
    if missing:
        raise UsageError(f"Missing: {', '.join(f'{k}=…' for k in missing)}. See --help.")
    with _usage_errors():
        plain = OmegaConf.to_container(own, resolve=True)
    return {str(k): v for k, v in dict(plain).items()}  # type: ignore[arg-type]


def build_parts(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a verb: every ``_target_`` is built, everything else is plain data.

    Raises
    ------
    UsageError
        If a ``_target_`` leaves fibseg, or a part refuses its values.
    """
    refuse_foreign_targets(config)
    with _usage_errors():
        return dict(instantiate(dict(config), _convert_="all"))


def refuse_foreign_targets(node: Any) -> None:
    """Nothing, if every ``_target_`` in a config is fibseg's own.

    Raises
    ------
    UsageError
        For the first that is not.
    """
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if target is not None and not str(target).startswith("fibseg."):
            raise UsageError(
                f"_target_ {target!r} is not part of fibseg. Config builds fibseg only."
            )
        for value in node.values():
            refuse_foreign_targets(value)
    elif isinstance(node, list):
        for value in node:
            refuse_foreign_targets(value)


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    """Hydra's and OmegaConf's complaints as one line for the user."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__
        while cause is not None:
            if type(cause).__module__.startswith("fibseg."):
                raise cause from None
            cause = cause.__cause__
        text = " ".join(str(error).split())
        raise UsageError(text) from error


def _without_group(override: str) -> str:
    """``postprocess=null`` as Hydra writes it: ``~postprocess``."""
    key, value = split_override(override)
    return f"~{key}" if value == "null" and _is_group(key) else override


def _is_group(key: str) -> bool:
    return (conf_dir() / key.lstrip("+~").partition("@")[0]).is_dir()


def _group_names() -> list[str]:
    return [p.name for p in conf_dir().iterdir() if p.is_dir()]
