"""Help texts: the verbs, and every key of a verb with its default and the comment beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fibseg import __version__
from fibseg.cli.grammar import SHORT
from fibseg.cli.verbs import EXIT_CODES, VERBS

_KEY = re.compile(r"^(\s*)\"?([A-Za-z_][\w]*)\"?:(?:\s|$)")
_COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")


def overview() -> str:
    """Help of the command itself."""
    width = max(map(len, VERBS))
    lines = [
        f"fibseg {__version__}: from a FIB-SEM stack and a few painted planes to measured biology",
        "",
        "usage: fibseg VERB key=value …        fibseg VERB --help        fibseg --version",
        "",
        *(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()),
        "",
        "start with: fibseg demo",
        EXIT_CODES,
    ]
    return "\n".join(lines)


def verb_help(name: str) -> str:
    """Help of one verb: every key, its default, its comment; two examples."""
    from fibseg.cli.compose import compose_verb, conf_dir, flatten

    verb = VERBS[name]
    config = compose_verb(name, [])
    choices = {k: v for k, v in config.hydra.runtime.choices.items() if not k.startswith("hydra/")}
    comments = key_comments(conf_dir() / f"{name}.yaml")
    groups: dict[str, str | None] = {}
    for group, chosen in choices.items():
        if chosen in (None, "null"):
            groups[group] = None
        else:
            groups[group] = chosen
            folder, package = _place(group)
            found = group_comments(conf_dir() / folder / f"{chosen}.yaml")
            comments.update({f"{package}{key}": comment for key, comment in found.items()})
    lines = [f"fibseg {name}: {verb.summary}", "", f"usage: fibseg {name} key=value …", ""]
    lines += ["examples:", *(f"  {example}" for example in verb.examples), ""]
    passed = tuple(f"{key}." for key in verb.passes)
    groups = {g: chosen for g, chosen in groups.items() if not _place(g)[1].startswith(passed)}
    # The verb's own keys first, those of the groups below them.
    below = tuple(package for _, package in map(_place, groups) if package)
    leaves = sorted(flatten(config).items(), key=lambda leaf: leaf[0].startswith(below))
    lines += _key_lines({k: v for k, v in leaves if not k.startswith(passed)}, comments)
    lines += [
        f"  {f'{key}.KEY=…':<34} {'':<22} any key of fibseg {key}: fibseg {key} --help"
        for key in verb.passes
    ]
    for group in sorted({*groups, *_offered_groups(name, conf_dir())}):
        folder, package = _place(group)
        if package:
            names = ", ".join(sorted(p.stem for p in (conf_dir() / folder).glob("*.yaml")))
            choice = groups.get(group) or "none"
            short = {long: name for name, long in SHORT.items()}.get(group, group)
            lines.append(f"  {short + '=…':<34} {choice}   ready sets: {names}")
    return "\n".join([*lines, "", EXIT_CODES])


def _place(group: str) -> tuple[str, str]:
    """Folder of a group, and what its keys begin with.

    >>> _place("blocks"), _place("postprocess@clean.cell"), _place("measure@_here_")
    (('blocks', 'blocks.'), ('postprocess', 'clean.cell.'), ('measure', ''))
    """
    folder, _, package = group.partition("@")
    return folder, "" if package in ("_here_", "_global_") else f"{package or folder}."


def key_comments(file: Path) -> dict[str, str]:
    """Trailing comment of every key of a YAML file, under its dotted key.

    Parameters
    ----------
    file
        A config file with two-space indentation, as all of ours.
    """
    comments: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in file.read_text().splitlines():
        match = _KEY.match(line)
        if not match:
            continue
        indent, key = len(match[1]), match[2]
        path = [(i, k) for i, k in path if i < indent] + [(indent, key)]
        comment = _COMMENT.search(line)
        if comment:
            comments[".".join(k for _, k in path)] = comment[1].strip()
    return comments


def group_comments(file: Path) -> dict[str, str]:
    """Comments of a group's file, those of the sibling files that its defaults list names first."""
    siblings = re.findall(r"^\s*-\s+(\w+)\s*$", file.read_text(), flags=re.MULTILINE)
    comments: dict[str, str] = {}
    for name in siblings:
        if name != "_self_":
            comments.update(group_comments(file.with_name(f"{name}.yaml")))
    return {**comments, **key_comments(file)}


def _key_lines(leaves: dict[str, Any], comments: dict[str, str]) -> list[str]:
    lines = ["keys:"]
    wide = max(34, *map(len, leaves))
    for key, default in leaves.items():
        if key.rsplit(".", 1)[-1] in ("_target_", "_partial_"):
            continue
        value = "required" if default == "???" else _as_typed(default)
        # A comment behind several keys in one line is for all of them.
        said = comments.get(key) or comments.get(key.rpartition(".")[0], "")
        lines.append(f"  {key:<{wide}} {value:<22} {said}".rstrip())
    return lines


def _as_typed(value: Any) -> str:
    """A default as one would type it behind ``key=``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_as_typed(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_as_typed(v)}" for k, v in value.items()) + "}"
    return str(value)


def _offered_groups(name: str, folder: Path) -> list[str]:
    """Groups that the verb's defaults list names, chosen or not."""
    text = (folder / f"{name}.yaml").read_text()
    named = re.findall(
        r"^\s*-\s+(?:optional\s+|override\s+/?)?([\w@.]+):", text, flags=re.MULTILINE
    )
    return [g for g in named if (folder / _place(g)[0]).is_dir()]
