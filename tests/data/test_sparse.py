from __future__ import annotations

import pytest

from fibseg.data import Augmentation, SparseData
from fibseg.errors import UsageError


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"split": "plane"}, "planes, boxes, none"), ({"folds": 1}, "folds"),
        ({"fold": 5}, "folds 0 to 4"), ({"patch": 0}, "patch"), ({"batch": 0}, "batch"),
        ({"unlabelled": -1}, "unlabelled"), ({"gap_nm": -1.0}, "gap_nm"),
        ({"memory_gb": -1.0}, "memory_gb"), ({"foreground": 1.5}, "foreground"),
        ({"pixel_nm": 0.0}, "pixel_nm"),
        ({"spacing": [20, 20]}, "three sizes"), ({"spacing": [20, 0, 20]}, "three sizes"),
    ],
)
def test_wrong_settings_are_refused(keywords: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SparseData(**keywords)  # type: ignore[arg-type]


def test_a_spacing_from_a_list() -> None:
    assert SparseData(spacing=[40, 20, 20]).spacing == (40.0, 20.0, 20.0)  # type: ignore[arg-type]


def test_negative_strengths_are_refused() -> None:
    with pytest.raises(UsageError, match=r"augmentation\.noise"):
        Augmentation(noise=-1)
