"""What a dry run of a sweep rehearses: one of its trainings."""

from __future__ import annotations

from typing import Any

from fibseg.pipeline import train


def run(*, n_trials: int, n_workers: int, **parts: Any) -> Any:
    """One training with the settings as they are; `n_trials` and `n_workers` scale its plan."""
    return train.run(**parts)
