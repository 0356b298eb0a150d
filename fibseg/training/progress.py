"""Scores of held-out planes during training, line by line, for whoever looks on from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

FILE = "held_out.jsonl"


def note_scores(
    folder: str | Path, scores: Mapping[str, float], *, step: int, total: int
) -> None:
    """Append a line with the scores at a step; nothing where there are no scores.

    Parameters
    ----------
    folder
        Of the training.
    scores
        By name, 0 to 1; undefined ones become null.
    step, total
        Steps done, and those of the whole training.
    """
    if not scores:
        return
    known = {name: None if math.isnan(value) else value for name, value in scores.items()}
    line = json.dumps({"step": step, "total": total, "scores": known})
    path = Path(folder) / FILE
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + line + "\n")


def noted_scores(folder: str | Path) -> dict[float, float]:
    """Mean score by share of the training done, in order; of a step that was repeated the last.

    A torn line, as a kill leaves it, is passed over, and so is a mean of nothing that is defined.

    Parameters
    ----------
    folder
        Of the training; without any notes there are no scores.
    """
    path = Path(folder) / FILE
    found: dict[float, float] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        try:
            noted = json.loads(line)
            known = [v for v in noted["scores"].values() if v is not None]
            share = noted["step"] / noted["total"]
        except (ValueError, KeyError, TypeError):
            continue
        if known:
            found[share] = sum(known) / len(known)
    return dict(sorted(found.items()))
