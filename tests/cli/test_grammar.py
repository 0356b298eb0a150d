"""The grammar key=value: what a user types is what Hydra reads."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from fibseg.cli.grammar import did_you_mean, nearest, quote_overrides, quote_value, split_override
from fibseg.errors import UsageError

typed_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="$"), min_size=1
).filter(lambda s: s.strip() == s)


def read_by_hydra(override: str) -> object:
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize(
    "path",
    [
        "my cell.ome.zarr",
        "cell (2).ome.zarr",
        "a=b/cell.ome.zarr",
        "f(n)",
        "it's here/cell",
        "x,y",
        "C:\\scans\\cell",
        "zelle_ä.ome.zarr",
        "00:00:05:00",
        "{half",
        "trailing\\",
        "trailing (1)\\",
        "it's\\'s\\\\",
        "cell~1/backup~",
        "\\\\server\\share",
    ],
)
def test_a_bare_value_reaches_hydra_as_typed(path: str) -> None:
    assert read_by_hydra(quote_overrides([f"volume={path}"])[0]) == path


@given(typed_text)
def test_any_text_that_is_no_number_or_structure_survives(text: str) -> None:
    quoted = quote_value(text)
    if quoted != text and not text.startswith("~/"):
        assert read_by_hydra(f"key={quoted}") == text


@pytest.mark.parametrize("sign", "./+-%@?|*~\\:;&<>!#^()")
@pytest.mark.parametrize("form", ["a{}b", "a{}", "{}{}a", "a/{}b"])
def test_a_path_with_any_sign_is_read_as_typed(sign: str, form: str) -> None:
    path = form.format(sign, sign)
    if not path.startswith("~/"):
        assert read_by_hydra(f"key={quote_value(path)}") == path


def test_the_home_folder_is_meant_even_where_the_shell_leaves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/my self")
    assert read_by_hydra(quote_overrides(["volume=~/a.zarr"])[0]) == "/home/my self/a.zarr"
    assert read_by_hydra(quote_overrides(["volume=a~/b"])[0]) == "a~/b"


@pytest.mark.parametrize(
    ("typed", "meaning"),
    [("3", 3), ("0.5", 0.5), ("true", True), ("null", None), ("[20,20,20]", [20, 20, 20])],
)
def test_numbers_lists_and_null_keep_their_type(typed: str, meaning: object) -> None:
    assert read_by_hydra(quote_overrides([f"key={typed}"])[0]) == meaning


def test_a_sweep_keeps_several_values_apart_but_quotes_one_path() -> None:
    overrides = quote_overrides(["network.features=[8,16],[16,32]", "out=a b"], sweep=True)
    assert overrides == ["network.features=[8,16],[16,32]", "out='a b'"]


def test_a_word_without_a_sign_is_refused_with_an_example() -> None:
    with pytest.raises(UsageError, match=r"'cell.ome.zarr' is not key=value. Write e.g. volume="):
        split_override("cell.ome.zarr")


def test_the_nearest_key_is_named_even_by_its_last_part() -> None:
    keys = ["volume", "postprocess.closing.radius_nm", "trainer.max_time"]
    assert nearest("volum", keys) == ["volume"]
    assert "trainer.max_time" in nearest("max_tim", keys)
    assert did_you_mean("qqqq", keys) == "See --help for all of them."
