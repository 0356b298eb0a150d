from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fibseg.errors import UsageError
from fibseg.report import column_histogram, plane_scores, png_bytes, svg_text, write_figures

VALUES = np.random.default_rng(0).lognormal(size=50)


def test_plane_scores_have_a_gap_where_undefined() -> None:
    svg = plane_scores([3, 13, 23], {"IoU": [0.5, None, 0.7], "boundary F1": [0.1, 0.2, 0.3]})
    ET.fromstring(svg)
    assert "boundary F1" in svg


def test_files_are_the_same_bytes_when_written_again(tmp_path: Path) -> None:
    def files(folder: str) -> dict[str, bytes]:
        figures = {"volume": column_histogram(VALUES, title="volume (µm³)")}
        return {p.name: p.read_bytes() for p in write_figures(figures, tmp_path / folder / "new")}

    one, two = files("a"), files("b")
    assert one == two
    assert sorted(one) == ["volume.png", "volume.svg"]
    assert files("a") == one  # over those that are there
    assert b"volume (\xc2\xb5m\xc2\xb3)" in one["volume.svg"]
    ET.fromstring(one["volume.svg"])
    for trace in (b"dc:date", b"Matplotlib", b"matplotlib.org"):
        assert trace not in one["volume.svg"]
        assert trace not in one["volume.png"]


def test_what_is_drawn_already_is_not_drawn_again(tmp_path: Path) -> None:
    figures = {name: column_histogram(VALUES, title=name) for name in ("a", "b")}
    write_figures(figures, tmp_path, svgs={"a": "<svg>known</svg>"})
    assert (tmp_path / "a.svg").read_text() == "<svg>known</svg>"
    drawn = (tmp_path / "b.svg").read_text()
    assert "known" not in drawn
    ET.fromstring(drawn)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_svg_has_no_ground_and_png_a_white_one() -> None:
    figure = column_histogram(VALUES, title="volume (µm³)")
    picture = np.asarray(Image.open(io.BytesIO(png_bytes(figure, dpi=50))).convert("RGB"))
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture.shape[:2] == (150, 230)
    ground = svg_text(figure).split('id="patch_1"')[1].split("/>")[0]
    assert "fill: none" in ground or "opacity: 0" in ground


def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_figures({"../a": column_histogram(VALUES, title="x")}, tmp_path)
