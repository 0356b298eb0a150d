"""Volumes as TIFF: what others read is what was written, with the size of a voxel."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tifffile

from fibseg.errors import UsageError
from fibseg.volume import tiff_volume
from fibseg.volume.tiff_volume import IMAGEJ, OME, ome_xml, style_of, write_volume

SPACING = (25.0, 8.0, 10.0)
SHAPE = (5, 40, 30)


def voxels(dtype):
    rng = np.random.default_rng(1)
    return rng.integers(0, np.iinfo(dtype).max, SHAPE, dtype=dtype, endpoint=True)


def written(path, data, **told):
    told = {"shape": data.shape, "dtype": data.dtype, "spacing": SPACING, **told}
    return write_volume(path, iter(data), **told)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_fiji_itself_reads_small_files(tmp_path, dtype):
    data = voxels(dtype)
    with tifffile.TiffFile(written(tmp_path / "a.tif", data, note="0123 labels/a")) as file:
        assert file.is_imagej
        assert not file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), data)
        told, page = file.imagej_metadata, file.pages[0]
        assert (told["unit"], told["spacing"], told["slices"]) == ("nm", 25.0, 5)
        assert told["fibseg"] == "0123 labels/a"
        x, y = (page.tags[t].value for t in ("XResolution", "YResolution"))
        assert (x[1] / x[0], y[1] / y[0]) == (pytest.approx(10), pytest.approx(8))
        # Pages are compressed, so ImageJ must not take them for one run of bytes.
        assert [p.compression.name for p in file.pages] == ["ADOBE_DEFLATE"] * 5
        assert page.tags["Orientation"].value == 1
        assert "DateTime" not in page.tags


@pytest.mark.parametrize(
    ("name", "dtype"), [("a.tif", "uint32"), ("a.ome.tif", "uint8"), ("A.OME.TIFF", "uint16")]
)
def test_ome_tells_the_size_of_the_rest(tmp_path, name, dtype):
    data = voxels(dtype)
    with tifffile.TiffFile(written(tmp_path / name, data, note="0123")) as file:
        assert file.is_ome
        assert not file.is_imagej
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), data)
        root = ET.fromstring(file.ome_metadata)
    space = {"o": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    pixels = root.find("o:Image/o:Pixels", space).attrib
    assert [float(pixels[f"PhysicalSize{a}"]) for a in "ZYX"] == list(SPACING)
    assert {pixels[f"PhysicalSize{a}Unit"] for a in "ZYX"} == {"nm"}
    assert [int(pixels[f"Size{a}"]) for a in "ZYXCT"] == [5, 40, 30, 1, 1]
    assert pixels["Type"] == dtype
    assert root.find("o:Image/o:Description", space).text == "0123"


def test_files_beyond_4_gb_are_bigtiff_by_ome(tmp_path, monkeypatch):
    big = (2000, 1500, 1500)
    assert style_of(tmp_path / "a.tif", shape=big, dtype=np.dtype("uint8")) == OME
    assert style_of(tmp_path / "a.tif", shape=SHAPE, dtype=np.dtype("uint8")) == IMAGEJ
    monkeypatch.setattr(tiff_volume, "LARGEST_FILE", 1000)
    data = voxels("uint16")
    with tifffile.TiffFile(written(tmp_path / "a.tif", data)) as file:
        assert file.is_bigtiff
        assert file.is_ome
        np.testing.assert_array_equal(file.asarray(), data)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_equal_voxels_make_equal_bytes(tmp_path, name):
    data = voxels("uint8")
    for folder in "xy":
        (tmp_path / folder).mkdir()
    first, second = (written(tmp_path / folder / name, data).read_bytes() for folder in "xy")
    assert first == second


def test_planes_are_taken_one_by_one(tmp_path):
    alive, most = 0, 0

    class Plane(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def planes():
        nonlocal alive, most
        for plane in voxels("uint8"):
            alive += 1
            most = max(most, alive)
            yield plane.copy().view(Plane)
            del plane

    write_volume(
        tmp_path / "a.tif", planes(), shape=SHAPE, dtype=np.dtype("uint8"), spacing=SPACING
    )
    assert most <= 3
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), voxels("uint8"))


def test_one_plane_is_a_volume_too(tmp_path):
    data = voxels("uint16")[:1]
    np.testing.assert_array_equal(tifffile.imread(written(tmp_path / "a.tif", data)), data[0])


@pytest.mark.parametrize(("told", "match"), [
    ({"shape": (4, 40, 30)}, "4 planes"),
    ({"shape": (6, 40, 30)}, "5 of its 6 planes"),
    ({"shape": (5, 40, 31)}, "Plane 0"),
    ({"dtype": np.dtype("uint16")}, "Plane 0 .* uint8"),
    ({"dtype": np.dtype("float32")}, "float32"),
    ({"shape": (0, 40, 30)}, "voxels"),
])
def test_what_is_not_as_told_is_refused_and_leaves_nothing(tmp_path, told, match):
    (tmp_path / "a.tif").write_text("mine")
    with pytest.raises(UsageError, match=match):
        written(tmp_path / "a.tif", voxels("uint8"), **told)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert (tmp_path / "a.tif").read_text() == "mine"


def test_a_name_of_any_letters_is_told_in_xml():
    text = ome_xml('é "<&>', shape=SHAPE, dtype=np.dtype("uint8"), spacing=SPACING)
    assert text.isascii()
    assert ET.fromstring(text)[0].attrib["Name"] == '? "<&>'
