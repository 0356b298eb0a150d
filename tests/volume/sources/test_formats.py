"""Every format, written by its usual library, reads back voxel for voxel, whole and in boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagecodecs import png_encode

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume.sources import open_source

SHAPE = (5, 37, 29)


def stack(dtype: str = "uint8") -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 120, SHAPE)
    return values.astype(dtype)


def tiff_zlib(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path / "a.tif", data, compression="zlib", photometric="minisblack")
    return path / "a.tif"


def tiff_plain(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path / "a.tif", data, photometric="minisblack")
    return path / "a.tif"


def tiff_big_endian(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path / "a.tif", data, byteorder=">", photometric="minisblack")
    return path / "a.tif"


def tiff_imagej(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path / "a.tif", data, imagej=True, metadata={"axes": "ZYX"})
    return path / "a.tif"


def tiff_ome(path: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(path / "a.ome.tif", data, metadata={"axes": "ZYX"}, compression="lzw",
                     tile=(16, 16))  # fmt: skip
    return path / "a.ome.tif"


def tiff_folder(path: Path, data: np.ndarray) -> Path:
    for k, plane in enumerate(data):
        tifffile.imwrite(path / f"s_{k + 7}.tif", plane)  # 7 8 9 10 11: not in order of letters
    return path


def png_folder(path: Path, data: np.ndarray) -> Path:
    for k, plane in enumerate(data):
        (path / f"s_{k + 7}.png").write_bytes(png_encode(plane))
    (path / "notes.txt").write_text("ignored")
    return path


def hdf5(path: Path, data: np.ndarray) -> Path:
    with h5py.File(path / "a.h5", "w") as file:
        file.create_dataset("volumes/raw", data=data[..., None], chunks=(2, 8, 8, 1))
    return path / "a.h5"


def npy(path: Path, data: np.ndarray) -> Path:
    np.save(path / "a.npy", data)
    return path / "a.npy"


def npz(path: Path, data: np.ndarray) -> Path:
    np.savez_compressed(path / "a.npz", image=data)
    return path / "a.npz"


def zarr_2(path: Path, data: np.ndarray) -> Path:
    array = zarr.create_array(path / "a.zarr", shape=(1, *SHAPE), dtype=data.dtype,
                              chunks=(1, 2, 10, 10), zarr_format=2)  # fmt: skip
    array[:] = data[None]
    return path / "a.zarr"


def zarr_3(path: Path, data: np.ndarray) -> Path:
    zarr.create_array(path / "a.zarr" / "raw", data=data, chunks=(2, 10, 10))
    zarr.open_group(path / "a.zarr", mode="a")
    return path / "a.zarr"


WRITERS = [tiff_zlib, tiff_plain, tiff_big_endian, tiff_imagej, tiff_ome, tiff_folder, png_folder,
           hdf5, npy, npz, zarr_2, zarr_3]  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("write", WRITERS)
def test_voxels_come_back(
    write: Callable[[Path, np.ndarray], Path], dtype: str, tmp_path: Path
) -> None:
    data = stack(dtype)
    with open_source(write(tmp_path, data)) as source:
        assert source.shape == SHAPE
        assert source.dtype == np.dtype(dtype)
        whole = source.read(Box.whole(SHAPE))
        np.testing.assert_array_equal(whole, data)
        assert whole.dtype.isnative
        part = Box((1, 30, 3), (4, 37, 20))
        np.testing.assert_array_equal(source.read(part), data[part.slices])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("write", [tiff_zlib, tiff_folder, hdf5, npy, zarr_3])
def test_signed_and_float_voxels_come_back(
    write: Callable[[Path, np.ndarray], Path], dtype: str, tmp_path: Path
) -> None:
    data = stack(dtype) - np.asarray(50, dtype)
    with open_source(write(tmp_path, data)) as source:
        np.testing.assert_array_equal(source.read(Box.whole(SHAPE)), data)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(corners=st.tuples(*(st.tuples(st.integers(0, n), st.integers(0, n)) for n in SHAPE)))
def test_any_box_of_a_contiguous_file(corners: tuple[tuple[int, int], ...], tmp_path: Path) -> None:
    data = stack("uint16")
    box = Box(tuple(min(c) for c in corners), tuple(max(c) for c in corners))
    with open_source(npy(tmp_path, data)) as source:
        np.testing.assert_array_equal(source.read(box), data[box.slices])


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32"])
def test_mrc(dtype: str, tmp_path: Path) -> None:
    data = stack(dtype)
    mrcfile.write(tmp_path / "a.mrc", data, voxel_size=80.0)
    with open_source(tmp_path / "a.mrc") as source:
        assert source.spacing == pytest.approx((8.0, 8.0, 8.0))
        np.testing.assert_array_equal(source.read(Box.whole(SHAPE)), data)


def test_bytes_of_imod_are_unsigned(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    data = stack("uint8") + np.uint8(130)
    mrcfile.write(path, data.view(np.int8), voxel_size=80.0)
    content = bytearray(path.read_bytes())
    content[152:160] = (1146047817).to_bytes(4, "little") + (0).to_bytes(4, "little")
    path.write_bytes(content)
    with open_source(path) as source:
        np.testing.assert_array_equal(source.read(Box.whole(SHAPE)), data)


def test_one_plane_is_a_volume(tmp_path: Path) -> None:
    plane = stack()[0]
    (tmp_path / "a.png").write_bytes(png_encode(plane))
    tifffile.imwrite(tmp_path / "a.tif", plane)
    np.save(tmp_path / "a.npy", plane)
    for name in ("a.png", "a.tif", "a.npy"):
        with open_source(tmp_path / name) as source:
            assert source.shape == (1, 37, 29)
            np.testing.assert_array_equal(source.read(Box.whole((1, 37, 29)))[0], plane)


def test_painted_png_keeps_its_numbers(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    painted = image.fromarray(stack()[0] % 3).convert("P")
    painted.putdata(list((stack()[0] % 3).ravel()))
    painted.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    painted.save(tmp_path / "a.png")
    with open_source(tmp_path / "a.png") as source:
        assert source.palette
        np.testing.assert_array_equal(source.read(Box.whole(source.shape))[0], stack()[0] % 3)


def test_temporary_files_go_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path, stack())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_source(path) as source:
        source.read(Box.whole(SHAPE))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_choice_among_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=stack(), labels=stack(), z=np.arange(3))
    with pytest.raises(DataError, match=r"array= to one of: image \(5, 37, 29\), labels"):
        open_source(tmp_path / "a.npz")
    with open_source(tmp_path / "a.npz", array="labels") as source:
        assert source.shape == SHAPE
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"], file["seg/x"] = stack(), stack()
    with pytest.raises(DataError, match=r"no dataset 'nix'.*raw .*seg/x"):
        open_source(tmp_path / "a.h5", dataset="nix")
    with open_source(tmp_path / "a.h5", dataset="/seg/x") as source:
        assert source.shape == SHAPE
    with pytest.raises(DataError, match="leave array= out"):
        open_source(tmp_path / "a.h5", array="raw")
