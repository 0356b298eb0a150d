from __future__ import annotations

from typing import Any

import pytest
import yaml

from fibseg.cli.compose import conf_dir
from fibseg.data import SparseData
from fibseg.errors import UsageError
from fibseg.models import NetworkSpec
from fibseg.pipeline.sweep_space import read_space, setting, typed, with_setting
from fibseg.training import TrainerSettings

PARTS = {
    "network": NetworkSpec(features=(8, 16)), "data": SparseData(), "trainer": TrainerSettings(),
}


def space(key: str, **leaf: Any) -> dict[str, Any]:
    """A space with one dimension."""
    node: dict[str, Any] = leaf
    for name in reversed(key.split(".")):
        node = {name: node}
    return node


@pytest.mark.parametrize("name", sorted(p.stem for p in (conf_dir() / "sweep").glob("*.yaml")))
def test_ready_spaces_lie_around_what_is_typed_nowhere(name: str) -> None:
    found = read_space(yaml.safe_load((conf_dir() / "sweep" / f"{name}.yaml").read_text()), {
        **PARTS, "network": NetworkSpec(features=(16, 32, 64, 96, 128)),
    })
    assert len(found) >= 5
    for dimension in found:
        assert dimension.contains(dimension.default), dimension


def test_ranges_and_choices_are_read() -> None:
    rate, batch, features, context = read_space({
        "trainer": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "clip": None},
        "data": {"batch": {"low": 2, "high": 8}},
        "network": {"features": {"choices": [[8, 16], [8, 12]]},
                    "context": {"choices": [0, 1]}},
    }, PARTS)
    assert (rate.key, rate.default, rate.log, rate.whole) == (
        "trainer.learning_rate", 0.003, True, False,
    )
    assert rate.text() == "0.001 to 0.1, logarithmic"
    assert rate.rounded(0.09999999) == 0.1
    assert (batch.whole, batch.rounded(3.0)) == (True, 3)
    assert features.word([8, 16]) == "network.features=[8,16]"
    assert features.text() == "[8,16] or [8,12]"
    assert features.contains([8, 16])
    assert not features.contains([8])
    assert context.choices == (0, 1)
    assert not batch.contains(True)
    assert not batch.contains("3")


@pytest.mark.parametrize(("key", "leaf", "words"), [
    ("trainer.learning_rat", {"low": 0, "high": 1}, "no setting of fibseg train"),
    ("seed", {"low": 0, "high": 1}, "no setting of fibseg train"),
    ("data.augmentation", {"choices": [1, 2]}, "no setting of fibseg train"),
    ("data.batch", {"low": 1.5, "high": 3}, "is a whole number"),
    ("data.batch", {"low": 0, "high": 3}, r"data\.batch=0 is less than 1"),
    ("data.augmentation.noise", {"low": -1, "high": 3}, "augmentation.noise=-1 is negative"),
    ("trainer.dice", {"low": 2, "high": 1}, "is no range"),
    ("trainer.dice", {"low": "a", "high": 1}, "is no range"),
    ("trainer.dice", {"low": 0, "high": float("inf")}, "is no range"),
    ("trainer.dice", {"low": 0, "high": 1, "log": True}, "above 0 with log"),
    ("trainer.dice", {"low": 0, "high": 1, "step": 0.1}, "Write low, high"),
    ("trainer.dice", {"low": 0}, "Write low, high"),
    ("trainer.dice", {"choices": [0.5, 1], "low": 0}, "Write low, high"),
    ("trainer.dice", {"choices": [1]}, "two or more different"),
    ("trainer.dice", {"choices": [1, 1]}, "two or more different"),
    ("trainer.dice", {"choices": "ab"}, "two or more different"),
    ("trainer.dice", {"choices": [0.5, "much"]}, "much is not of the kind of trainer.dice=1.0"),
    ("trainer.dice", {"choices": [0.5, True]}, "true is not of the kind"),
    ("network.norm", {"choices": ["batch", "sorted"]}, "sorted"),
    ("data.folds", {"choices": [3, 5]}, "cannot be compared"),
    ("trainer.threads", {"choices": [1, 2]}, "cannot be compared"),
])
def test_what_cannot_be_meant_is_refused(key: str, leaf: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_space(space(key, **leaf), PARTS)


def test_a_space_needs_a_dimension_and_nothing_else() -> None:
    with pytest.raises(UsageError, match="nothing to search"):
        read_space({"trainer": {"dice": None}, "data": None}, PARTS)
    with pytest.raises(UsageError, match=r"space\.trainer\.dice=0\.5 is neither"):
        read_space({"trainer": {"dice": 0.5}}, PARTS)


def test_pixels_are_searched_only_where_whole_planes_are_scored() -> None:
    pixels = space("data.pixel_nm", low=10.0, high=40.0)
    assert read_space(pixels, PARTS)[0].default is None
    with pytest.raises(UsageError, match="cannot be compared"):
        read_space(pixels, PARTS, planes=False)


def test_settings_by_their_dotted_key() -> None:
    changed = with_setting(PARTS, "data.augmentation.noise", 0.5)
    assert setting(changed, "data.augmentation.noise") == 0.5
    assert setting(PARTS, "data.augmentation.noise") == 0.3
    assert typed([[1, 2], []]) == "[[1,2],[]]"
