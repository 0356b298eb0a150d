"""The passport: plain data, the same text for the same model, values in the units of the input."""

from __future__ import annotations

import json
from dataclasses import replace

from travelling import CONSTANTS, small_model

from fibseg.export.passport import channels, passport, passport_text

_, SPEC = small_model(n_classes=2)


def told(values: str, constants=CONSTANTS) -> dict[str, object]:
    return passport(SPEC, constants, name="m", digest="d", licence="MIT", values=values)


def test_background_comes_first():
    assert channels(SPEC) == ["background", "class0", "class1"]


def test_grey_values_are_in_the_units_of_what_goes_in():
    assert told("raw")["normalisation"]["low"] == 40
    assert told("unit")["normalisation"]["low"] == 40 / 255
    wide = replace(CONSTANTS, dtype="uint16")
    assert told("unit", wide)["normalisation"]["high"] == 200 / 65535


def test_it_is_json_that_comes_back():
    text = passport_text(told("raw"))
    assert json.loads(text) == told("raw")
    assert text == passport_text(dict(reversed(told("raw").items())))
