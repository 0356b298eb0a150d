from __future__ import annotations

from fibseg.cli.help import verb_help


def line_of(text: str, key: str) -> str:
    (found,) = [line for line in text.splitlines() if line.split()[:1] == [key]]
    return found


def test_keys_of_a_group_under_another_name_have_their_comments() -> None:
    text = verb_help("profile")
    line = line_of(text, "clean.mitochondria.closing.radius_nm")
    assert "20.0" in line
    assert "radius of the ball, nm" in line
    assert "ready sets: cell, default" in line_of(text, "postprocess@clean.nucleus=…")


def test_columns_stay_in_line_however_long_the_keys_are() -> None:
    keys = [
        line for line in verb_help("profile").splitlines()
        if line.startswith("  clean.") and "nm" not in line.split()[1]
    ]
    assert len({line.index(line.split()[1], line.index(" ", 2)) for line in keys}) == 1
