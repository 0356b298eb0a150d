"""What a finished training says: where the model lies, how good it is, what to type next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fibseg.export import ModelSpec
from fibseg.metrics import SCORE_NAMES, score_text

SHOWN = ("iou", "dice", "precision", "recall", "boundary_f1", "object_f1_50")


class Summary(dict[str, Any]):
    """Model, classes, steps and held-out scores by name; `text` is what the command prints."""

    def text(self) -> str:
        """Facts, a table of the held-out scores, and the next commands to type."""
        finished = ", finished before" if self["already_finished"] else ""
        lines = [f"model: {self['model']}", f"steps: {self['steps']}{finished}"]
        if self["held_out"]:
            lines += ["", f"held out: {self['n_held_out']}, never trained on", *self._table()]
        if "note" in self:
            lines += ["", self["note"]]
        return "\n".join([*lines, "", "next:", *self["next"]])

    def _table(self) -> list[str]:
        """One line per class, one column per score."""
        heads = [f"{SCORE_NAMES[key].partition(',')[0]:>5}" for key in SHOWN]
        width = max(len(name) for name in self["classes"])
        rows = ["  ".join([" " * width, *heads])]
        for name in self["classes"]:
            scores = self["held_out"][name]
            cells = [_cell(scores.get(k), k, len(h)) for k, h in zip(SHOWN, heads, strict=True)]
            rows.append("  ".join([f"{name:<{width}}", *cells]))
        return rows


def summarise(
    folder: Path, spec: ModelSpec, stores: Sequence[str], *, resumed: bool
) -> Summary:
    """Summary of a model folder.

    Parameters
    ----------
    folder, spec
        The model folder and its description.
    stores
        Paths of the stores that it was trained on, as they were given.
    resumed
        Whether the model was finished before this command.
    """
    names = list(spec.classes)
    planes = len(spec.metrics.get("planes", []))
    what = "plane" if spec.metrics.get("split") in ("planes", "cell") else "plane (parts of it)"
    note = {"note": spec.metrics["note"]} if "note" in spec.metrics else {}
    return Summary({
        "model": str(folder), "classes": names, "steps": spec.training.get("n_steps"),
        "already_finished": resumed, "held_out": spec.metrics.get("classes", {}),
        "n_held_out": f"{planes} {what if planes == 1 else what.replace('plane', 'planes')}",
        **note, "next": _next_commands(folder, names, stores),
    })


def _next_commands(folder: Path, classes: Sequence[str], stores: Sequence[str]) -> list[str]:
    """Infer with the model on the first store, as it can be typed."""
    name = classes[0] if len(classes) == 1 else folder.name
    words = [f"model={folder}", f"volume={stores[0]}", f"name={name}"]
    return ["fibseg infer " + " ".join(shlex.quote(w) for w in words)]


def _cell(value: float | None, key: str, width: int) -> str:
    """A score in a column of a table."""
    return f"{score_text(math.nan if value is None else value, key):>{width}}"
