"""TIFF for Fiji: size in nm, planes streamed, equal bytes."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from fibseg.errors import UsageError
from fibseg.volume import write_tiff, write_tiff_stack

SPACING = (25.0, 8.0, 10.0)


def image(dtype="uint8"):
    return (np.random.default_rng(0).random((5, 20, 30)) * 200).astype(dtype)


def check_size(page, tags):
    assert tags["unit"] == "nm"
    assert tags["spacing"] == 25.0
    x, y = (page.tags[t].value for t in ("XResolution", "YResolution"))
    assert x[1] / x[0] == pytest.approx(10.0)
    assert y[1] / y[0] == pytest.approx(8.0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_one_file(tmp_path, dtype):
    data = image(dtype)
    path = write_tiff(tmp_path / "new" / "a.tif", data, spacing=SPACING)
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert len(file.pages) == 5
        np.testing.assert_array_equal(file.asarray(), data)
        check_size(file.pages[0], file.imagej_metadata)
        assert file.series[0].axes == "ZYX"
        assert "DateTime" not in file.pages[0].tags


def test_planes_are_taken_one_by_one(tmp_path):
    data, open_planes = image(), []

    def planes():
        for plane in data:
            open_planes.append(1)
            yield plane

    path = write_tiff(tmp_path / "a.tif", planes(), n_planes=5, spacing=SPACING)
    np.testing.assert_array_equal(tifffile.imread(path), data)
    whole = write_tiff(tmp_path / "b.tif", data, spacing=SPACING)
    assert path.read_bytes() == whole.read_bytes()
    assert len(open_planes) == 5


def test_a_folder_of_planes(tmp_path):
    paths = write_tiff_stack(tmp_path / "s", iter(image()), name="p", spacing=SPACING)
    assert [p.name for p in paths] == [f"p_000{n}.tif" for n in range(5)]
    np.testing.assert_array_equal(np.stack([tifffile.imread(p) for p in paths]), image())
    with tifffile.TiffFile(paths[3]) as file:
        check_size(file.pages[0], file.imagej_metadata)


def test_what_fiji_cannot_open_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(UsageError, match="uint32"):
        write_tiff(path, image("uint32"), spacing=SPACING)
    with pytest.raises(UsageError, match="Plane 1 of"):
        write_tiff(path, [image()[0], image()[0, :5]], spacing=SPACING)
    with pytest.raises(UsageError, match="n_planes"):
        write_tiff(path, iter(image()), spacing=SPACING)
    with pytest.raises(UsageError, match="No planes"):
        write_tiff(path, image()[:0], spacing=SPACING)
    with pytest.raises(UsageError, match="write_tiff_stack"):
        write_tiff(path, iter(image()), n_planes=10**7, spacing=SPACING)
    with pytest.raises(UsageError, match="float64"):
        write_tiff_stack(tmp_path / "s", image("float64"), spacing=SPACING)
