"""The cells of a cohort: a YAML file with name, store and condition of each, taken as data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fibseg.errors import DataError, UsageError
from fibseg.measure.compared_groups import FEWEST
from fibseg.volume import Volume
from fibseg.volume.files import checked_name

KEYS = ("name", "volume", "condition")
MOST_BYTES = 10_000_000
"""No list of cells is larger; another file was meant."""
EXAMPLE = "cells: [{name: a1, volume: a1.ome.zarr, condition: control}, …]"


@dataclass(frozen=True)
class Cell:
    """One cell: its name in the cohort, its store (a whole path), and what was done to it."""

    name: str
    volume: str
    condition: str

    @property
    def store(self) -> Volume:
        """Its store."""
        return Volume.open(self.volume)

    @property
    def n_voxels(self) -> int:
        """Size of its volume."""
        z, y, x = self.store.shape
        return z * y * x


def read_cells(path: str | Path) -> list[Cell]:
    """Cells of a file, in their order; paths of stores are seen from the folder of the file.

    Raises
    ------
    UsageError
        If the file is not there, is no YAML, or says what cannot be meant.
    DataError
        If stores are missing or damaged; all of them are named.
    """
    rows = _rows(Path(path))
    cells = [_cell(Path(path), number, row) for number, row in enumerate(rows, 1)]
    # Names become folders: on some systems capitals make no difference there.
    _refuse_twice(path, "name", [cell.name for cell in cells], [c.name.lower() for c in cells])
    volumes = [cell.volume for cell in cells]
    _refuse_twice(path, "volume", volumes, [str(Path(v).resolve()) for v in volumes])
    _refuse_lacking(path, cells)
    return cells


def conditions(cells: Sequence[Cell]) -> list[str]:
    """Conditions in the order in which they come first: the first is what others differ from."""
    return list(dict.fromkeys(cell.condition for cell in cells))


def too_few(cells: Sequence[Cell]) -> dict[str, int]:
    """Conditions with fewer cells than a test needs, and how many they have."""
    counts = {
        name: sum(cell.condition == name for cell in cells) for name in conditions(cells)
    }
    return {name: n for name, n in counts.items() if n < FEWEST}


def _rows(path: Path) -> list[Any]:
    """Entries of the list ``cells`` in the file."""
    if not path.is_file():
        raise UsageError(f"cells={path} is no file. Give a YAML file: {EXAMPLE}")
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(f"cells={path} is larger than any list of cells. Give a YAML file.")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise UsageError(f"cells={path} is no YAML that can be read: {text}.") from error
    if not isinstance(found, Mapping) or list(found) != ["cells"]:
        there = f"the keys {[*found]}" if isinstance(found, Mapping) else type(found).__name__
        raise UsageError(f"cells={path} holds {there}; it has to hold one list: {EXAMPLE}")
    rows = found["cells"]
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"cells={path}: cells is no list of any. Write {EXAMPLE}")
    return rows


def _cell(path: Path, number: int, row: Any) -> Cell:
    """One entry, checked."""
    where = f"cell {number} of {path}"
    if not isinstance(row, Mapping):
        raise UsageError(f"{where} is {row!r}. Write {{{', '.join(f'{k}: …' for k in KEYS)}}}.")
    unknown, lacking = [k for k in row if k not in KEYS], [k for k in KEYS if k not in row]
    if unknown or lacking:
        said = [f"does not know {unknown[0]!r}"] if unknown else []
        said += [f"lacks {lacking[0]!r}"] if lacking else []
        raise UsageError(f"{where} {' and '.join(said)}. Each has {', '.join(KEYS)}.")
    for key in KEYS:
        value = row[key]
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(
                f"{where}: {key} is {value!r}, which YAML takes for {type(value).__name__}. Give "
                f"text, in quotes where it might be taken for something else: {key}: \"no\"."
            )
    try:
        name = checked_name(row["name"], what="cell")
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return Cell(name, str(path.absolute().parent / row["volume"]), row["condition"].strip())


def _refuse_twice(
    path: str | Path, key: str, shown: Sequence[str], values: Sequence[str]
) -> None:
    twice = [text for text, value in zip(shown, values, strict=True) if values.count(value) > 1]
    if twice:
        raise UsageError(
            f"cells={path}: {len(twice)} cells have the {key} {twice[0]}, and a cell counts once. "
            "Leave the others out, or give each its own."
        )


def _refuse_lacking(path: str | Path, cells: Sequence[Cell]) -> None:
    wrong = []
    for cell in cells:
        try:
            Volume.open(cell.volume)
        except DataError as error:
            wrong.append(f"{cell.name}: {error}")
    if wrong:
        raise DataError(f"cells={path}: {len(wrong)} of {len(cells)} stores: {'; '.join(wrong)}")


class _Strict(yaml.SafeLoader):
    """Plain data only, and no key twice: YAML itself would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping, each key of which is there once."""
        keys = [key.value for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
