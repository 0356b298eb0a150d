"""Damaged, incomplete and unsuitable files are refused when they are opened, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
from imagecodecs import png_encode

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume.sources import missing_planes, open_source
from fibseg.volume.sources.folder import plane_numbers

DATA = np.random.default_rng(0).integers(0, 255, (12, 40, 50), dtype=np.uint8)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"}, {"compression": "zlib", "bigtiff": True},
        {"compression": "zlib", "byteorder": ">"}, {},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"metadata": {"axes": "ZYX"}, "ome": True, "compression": "lzw"},
        {"compression": "zlib", "metadata": None}, {"metadata": None},
    ],
)  # fmt: skip
def test_a_tiff_cut_anywhere_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, DATA, **{"photometric": "minisblack", **options})
    content = whole.read_bytes()
    with open_source(whole) as source:
        assert source.shape == DATA.shape
    for share in np.linspace(0.02, 0.995, 25):
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match=r"truncated|not a readable TIFF|no page"):
            open_source(cut)


def test_a_tiff_that_lost_its_last_pages(tmp_path: Path) -> None:
    """A well-formed chain of pages that is shorter than the description says."""
    path = tmp_path / "a.tif"
    text = "ImageJ=1.53t\nimages=12\nslices=12\n"
    with tifffile.TiffWriter(path) as writer:
        for plane in DATA[:9]:
            writer.write(plane, description=text, metadata=None, compression="zlib")
    with pytest.raises(DataError, match="metadata promises 12 planes, it holds 9"):
        open_source(path)


def test_a_flipped_bit_in_a_page_is_found_when_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DATA, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[7].dataoffsets[0] + 500
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)
    with (
        open_source(path) as source,
        pytest.raises(DataError, match="plane 7 cannot be decoded"),
    ):
        source.read(Box.whole(source.shape))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mrc", ".h5"])
def test_other_formats_cut_off(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, DATA)
    elif suffix == ".npz":
        np.savez_compressed(path, image=DATA)
    elif suffix == ".mrc":
        mrcfile.write(path, DATA.astype(np.int16))
    else:
        with h5py.File(path, "w") as file:
            file["raw"] = DATA
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"truncated|not a readable"):
        open_source(path)


def test_a_cut_png(tmp_path: Path) -> None:
    data = png_encode(DATA[0])
    (tmp_path / "p_1.png").write_bytes(data)
    (tmp_path / "p_2.png").write_bytes(data[: len(data) // 2])
    with open_source(tmp_path) as source, pytest.raises(DataError, match=r"p_2\.png cannot be"):
        source.read(Box.whole(source.shape))
    (tmp_path / "p_2.png").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"p_2\.png is not a readable PNG"):
        open_source(tmp_path)


def test_colours_are_refused(tmp_path: Path) -> None:
    rgb = np.zeros((20, 30, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    (tmp_path / "a.png").write_bytes(png_encode(rgb))
    np.save(tmp_path / "a.npy", rgb)
    folder = tmp_path / "folder"
    folder.mkdir()
    tifffile.imwrite(folder / "s1.tif", rgb, photometric="rgb")
    for path in (tmp_path / "a.tif", tmp_path / "a.png", tmp_path / "a.npy", folder):
        with pytest.raises(DataError, match="RGB"):
            open_source(path)


def test_channels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 4, 5, 6), np.uint8))
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((4, 2, 20, 30), np.uint8), imagej=True,
        metadata={"axes": "ZCYX"},
    )  # fmt: skip
    for name in ("a.npy", "a.tif"):
        with pytest.raises(DataError, match="one channel and one time point"):
            open_source(tmp_path / name)


def test_planes_of_different_shape_or_type(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s1.tif", DATA[0])
    tifffile.imwrite(tmp_path / "s2.tif", DATA[1][:, :-1])
    with pytest.raises(DataError, match=r"s2\.tif has shape \(40, 49\).*s1\.tif has \(40, 50\)"):
        open_source(tmp_path)
    tifffile.imwrite(tmp_path / "s2.tif", DATA[1].astype(np.uint16))
    with pytest.raises(DataError, match=r"type uint16.*and uint8"):
        open_source(tmp_path)
    with tifffile.TiffWriter(tmp_path / "both.tiff") as writer:
        writer.write(DATA[0])
        writer.write(DATA[1][:, :-1])
    with pytest.raises(DataError, match="2 series of images of different shape"):
        open_source(tmp_path / "both.tiff")


def test_folders_that_are_no_stack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only nothing"):
        open_source(tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DataError, match=r"only 1 \.jpg"):
        open_source(tmp_path)
    tifffile.imwrite(tmp_path / "a_1.tif", DATA[0])
    (tmp_path / "a_2.png").write_bytes(png_encode(DATA[0]))
    with pytest.raises(DataError, match=r"side by side: 1 \.\w+, 1 \.\w+"):
        open_source(tmp_path)
    (tmp_path / "a_2.png").unlink()
    tifffile.imwrite(tmp_path / "a_2.tif", DATA, photometric="minisblack")
    with pytest.raises(DataError, match="12 pages"):
        open_source(tmp_path)


def test_unknown_and_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "nowhere.tif")
    (tmp_path / "a.czi").touch()
    with pytest.raises(DataError, match=r"suffix '\.czi'"):
        open_source(tmp_path / "a.czi")
    np.save(tmp_path / "f.npy", np.asfortranarray(DATA))
    with pytest.raises(DataError, match="Fortran order"):
        open_source(tmp_path / "f.npy")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        open_source(tmp_path / "o.npy")
    np.save(tmp_path / "e.npy", np.zeros((0, 3, 3), np.uint8))
    with pytest.raises(DataError, match="no voxels"):
        open_source(tmp_path / "e.npy")


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["s1", "s2", "s10"], [1, 2, 10]),
        (["cell2_001_5kV", "cell2_002_5kV"], [1, 2]),
        (["2024-01-30_0009_z0.3", "2024-01-31_0010_z0.1"], [30, 31]),
        (["a", "b"], None),
        (["plane_45"], [45]),
        (["slice_00001_z=0.0500um", "slice_00002_z=0.1000um", "slice_00003_z=0.1500um"], [1, 2, 3]),
    ],
)
def test_numbers_in_names(names: list[str], numbers: list[int] | None) -> None:
    assert plane_numbers(names) == numbers


def test_equal_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="number 7: a_7, b_7"):
        plane_numbers(["a_7", "b_7", "c_8"])


def test_missing_numbers() -> None:
    assert missing_planes([1, 2, 3, 5, 6, 9]) == [4, 7, 8]
    assert missing_planes([0, 10, 20, 40]) == [30]
    assert missing_planes([5]) == []
