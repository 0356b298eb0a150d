"""Voxel sizes as programs write them, in nm; and what happens when they are missing or wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from fibseg.errors import DataError, UsageError
from fibseg.volume.sources import expected_spacing, folder, open_source, tiff_metadata
from fibseg.volume.sources.expect import refuse_contradiction
from fibseg.volume.sources.tiff import tiff_file
from fibseg.volume.sources.units import nm_per_unit

DATA = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)


def spacing_of(path: Path, **keys: Any) -> Any:
    with open_source(path, **keys) as source:
        return source.spacing


@pytest.mark.parametrize(
    ("unit", "nm"), [("nm", 1), ("µm", 1e3), ("\u03bcm", 1e3), ("\\u00B5m", 1e3), ("Å", 0.1),
                     ("Micrometer", 1e3), ("mm", 1e6), ("pixel", None), ("", None), (None, None)],
)  # fmt: skip
def test_units(unit: str | None, nm: float | None) -> None:
    assert nm_per_unit(unit) == nm


@pytest.mark.parametrize("unit", ["nm", "µm", "mm"])
def test_ome_tiff(unit: str, tmp_path: Path) -> None:
    factor = nm_per_unit(unit)
    assert factor is not None
    sizes = {f"PhysicalSize{a}": v / factor for a, v in zip("ZYX", (30, 12, 10), strict=True)}
    units = {f"PhysicalSize{a}Unit": unit for a in "XYZ"}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, DATA, metadata={"axes": "ZYX", **sizes, **units})
    assert spacing_of(path) == pytest.approx((30, 12, 10))


def test_ome_tiff_without_z(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 0.01, "PhysicalSizeY": 0.01}
    tifffile.imwrite(path, DATA, metadata={"axes": "ZYX", **sizes})
    with open_source(path) as source:
        assert source.spacing == pytest.approx((None, 10, 10))
        with pytest.raises(DataError, match=r"along z \(only y = 10 nm, x = 10 nm\)"):
            expected_spacing(source, None)
        assert expected_spacing(source, (25, 10, 10)) == (25, 10, 10)


@pytest.mark.parametrize(("unit", "nm"), [("micron", 1000), ("um", 1000), ("nm", 1)])
def test_imagej_tiff(unit: str, nm: float, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DATA, imagej=True, resolution=(nm / 8, nm / 10),
                     metadata={"spacing": 25 / nm, "unit": unit, "axes": "ZYX"})  # fmt: skip
    assert spacing_of(path) == pytest.approx((25, 10, 8))


def test_dots_per_inch_are_no_voxel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DATA, resolution=(300, 300), resolutionunit="INCH",
                     photometric="minisblack")  # fmt: skip
    assert spacing_of(tmp_path / "a.tif") is None
    tifffile.imwrite(tmp_path / "b.tif", DATA, resolution=(1e6, 1e6), resolutionunit="CENTIMETER",
                     photometric="minisblack")  # fmt: skip
    assert spacing_of(tmp_path / "b.tif") == pytest.approx((None, 10, 10))


def test_mrc_in_angstrom(tmp_path: Path) -> None:
    mrcfile.write(tmp_path / "a.mrc", DATA.astype(np.int16), voxel_size=(80.0, 100.0, 250.0))
    assert spacing_of(tmp_path / "a.mrc") == pytest.approx((25, 10, 8))
    for unknown in (0.0, 1.0):
        mrcfile.write(
            tmp_path / "b.mrc", DATA.astype(np.int16), voxel_size=unknown, overwrite=True
        )
        assert spacing_of(tmp_path / "b.mrc") is None


def test_hdf5_attributes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fiji"], file["cremi"], file["bare"] = DATA, DATA, DATA
        file["fiji"].attrs["element_size_um"] = np.array([0.03, 0.01, 0.01])
        file["cremi"].attrs["resolution"] = (40, 4, 4)
    path = tmp_path / "a.h5"
    assert spacing_of(path, dataset="fiji") == pytest.approx((30, 10, 10))
    assert spacing_of(path, dataset="cremi") == (40, 4, 4)
    assert spacing_of(path, dataset="bare") is None


def ome_zarr(path: Path, *, version: str, unit: str, names: str = "czyx") -> None:
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    group.create_array("s0", data=DATA[None], chunks=(1, 2, 4, 4))
    group.create_array("s1", data=DATA[None, :, ::2, ::2], chunks=(1, 2, 4, 4))
    kinds = {"c": "channel", "t": "time"}
    axes = [{"name": a, "type": kinds.get(a, "space")} for a in names]
    axes = [{**a, "unit": unit} if a["type"] == "space" else a for a in axes]
    levels = [
        {"path": f"s{k}", "coordinateTransformations": [
            {"type": "scale", "scale": [1, 1.5, 2**k, 2**k]},
            {"type": "translation", "translation": [0, 0, 0, 0]}]}
        for k in range(2)
    ]  # fmt: skip
    entry = {"axes": axes, "datasets": levels,
             "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2, 2]}]}  # fmt: skip
    group.attrs.update(
        {"ome": {"version": version, "multiscales": [entry]}} if version == "0.5"
        else {"multiscales": [{**entry, "version": version}]}
    )  # fmt: skip


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(version: str, tmp_path: Path) -> None:
    ome_zarr(tmp_path / "a.zarr", version=version, unit="micrometer")
    assert spacing_of(tmp_path / "a.zarr") == pytest.approx((3000, 2000, 2000))
    with open_source(tmp_path / "a.zarr", dataset="s1") as source:
        assert source.shape == (4, 3, 3)
        assert source.spacing == pytest.approx((3000, 4000, 4000))


def test_ome_zarr_with_other_axes(tmp_path: Path) -> None:
    ome_zarr(tmp_path / "a.zarr", version="0.5", unit="nanometer", names="cxyz")
    with pytest.raises(DataError, match=r"axes \['x', 'y', 'z'\].*Transpose"):
        open_source(tmp_path / "a.zarr")


def test_given_against_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    mrcfile.write(path, DATA.astype(np.int16), voxel_size=80.0)
    with open_source(path) as source:
        assert expected_spacing(source, None) == pytest.approx((8, 8, 8))
        assert expected_spacing(source, [8.05, 8, 8]) == (8.05, 8, 8)
        with pytest.raises(DataError, match=r"states 8 nm along y, spacing= says 8\.2 nm"):
            expected_spacing(source, [8, 8.2, 8])
        with pytest.raises(DataError, match=r"0\.008 nm, which looks like a mistaken unit"):
            expected_spacing(source, [0.008, 0.008, 0.008])
        assert expected_spacing(source, [9, 9, 9], trust_given=True) == (9, 9, 9)


@pytest.mark.parametrize("given", [[0, 1, 1], [1, 1], [-1, 1, 1], [np.inf, 1, 1], [np.nan, 1, 1]])
def test_given_nonsense(given: list[float], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DATA)
    with open_source(tmp_path / "a.npy") as source:
        with pytest.raises(UsageError, match=r"above 0, \(z, y, x\)"):
            expected_spacing(source, given)
        with pytest.raises(DataError, match=r"along z, y, x\. Give it in nm"):
            expected_spacing(source, None)


def planes(path: Path, *spacings: tuple[float, float] | None) -> Path:
    """A TIFF for each spacing (y, x) in nm, or one that states none."""
    for number, spacing in enumerate(spacings):
        stated: dict[str, Any] = {}
        if spacing is not None:
            y, x = spacing
            stated = {"resolution": (1e7 / x, 1e7 / y), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(path / f"plane_{number}.tif", DATA[number], **stated)
    return path


def test_planes_of_different_spacing(tmp_path: Path) -> None:
    planes(tmp_path, (10, 8), (10.04, 8), (12, 8), (10, 9))
    with open_source(tmp_path) as source:
        told = r"plane_2\.tif states 12 nm along y, but plane_0\.tif states 10 nm.*trust_spacing"
        with pytest.raises(DataError, match=told):
            expected_spacing(source, None)
        with pytest.raises(DataError, match=told):
            expected_spacing(source, (20, 10, 8))
        with pytest.raises(DataError, match=told):
            refuse_contradiction(source, (20, 10, 8), trust_given=False, what="the raw image")
        assert expected_spacing(source, (20, 10, 8), trust_given=True) == (20, 10, 8)


def test_planes_that_state_nothing_contradict_nothing(tmp_path: Path) -> None:
    planes(tmp_path, None, (10, 8), None, (10.04, 8))
    with open_source(tmp_path) as source:
        assert source.spacing == pytest.approx((None, 10, 8))
        assert expected_spacing(source, (20, 10, 8)) == (20, 10, 8)
        with pytest.raises(DataError, match="states 10 nm along y, spacing= says 11 nm"):
            expected_spacing(source, (20, 11, 8))


def test_planes_are_opened_once_and_ome_xml_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set of OME-TIFF files repeats the list of all its files in each of them."""
    files = "".join(f'<TiffData FirstZ="{k}" IFD="0"/>' for k in range(20_000))
    head = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    xml = (f'{head}<Image ID="Image:0"><Pixels SizeZ="3" PhysicalSizeX="0.01" '
           f'PhysicalSizeY="0.01" PhysicalSizeZ="0.02">{files}</Pixels></Image></OME>')
    for k in range(3):
        tifffile.imwrite(tmp_path / f"{k}.ome.tif", DATA[k], description=xml, metadata=None)
    opened: list[Any] = []
    n_read: list[int] = []
    parse = tiff_metadata.ET.iterparse

    def counted(text: Any, events: Any) -> Any:
        for found in parse(text, events=events):
            n_read.append(1)
            yield found

    monkeypatch.setattr(tiff_metadata.ET, "iterparse", counted)
    monkeypatch.setattr(folder, "tiff_file", lambda path: opened.append(path) or tiff_file(path))
    with open_source(tmp_path) as source:
        assert source.spacing == pytest.approx((20, 10, 10))
    assert len(opened) == 3
    assert len(n_read) == 3 * 3, "OME, Image, Pixels"
