"""Terms of a model: refused at the door, honest where nothing is said."""

from __future__ import annotations

import pytest
from bioimageio.spec.generic.v0_3 import LicenseId

from fibseg.errors import UsageError
from fibseg.export.terms import LICENCES, NOT_STATED, UNET, Terms


def test_by_default_nothing_is_claimed():
    assert Terms().record() == {
        "licence": "CC-BY-4.0", "authors": [NOT_STATED], "citations": [UNET]
    }


def test_what_is_given_is_told():
    terms = Terms("MIT", ["A. Author", " B. Author "], "A paper", "https://doi.org/10.1234/x.5")
    assert terms.record() == {
        "licence": "MIT", "authors": ["A. Author", "B. Author"],
        "citations": [{"text": "A paper", "doi": "10.1234/x.5"}, UNET],
    }


def test_every_licence_is_known_to_the_model_zoo():
    assert [str(LicenseId(licence)) for licence in LICENCES] == list(LICENCES)
    with pytest.raises(ValueError, match="GPL-3"):
        LicenseId("GPL-3")


@pytest.mark.parametrize(("wrong", "message"), [
    ({"licence": "free"}, "licence='free' is none"),
    ({"authors": ["A", " "]}, "empty name"),
    ({"authors": ["A\nB"]}, "empty name, or none"),
    ({"cite": "A paper"}, "belong together"),
    ({"doi": "10.1234/x"}, "belong together"),
    ({"cite": "A paper", "doi": "x"}, "doi='x' is no DOI"),
])
def test_what_cannot_be_meant_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Terms(**wrong)
