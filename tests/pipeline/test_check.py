"""`fibseg check`: numbers against a direct count, warnings on volumes that deserve them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError
from fibseg.pipeline import check
from fibseg.pipeline.check_image import line_polarity
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE = (20, 70, 90)


def membranes(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """Dark lines between smooth cells, with noise."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=shape), (0, 6, 6))
    lines = np.exp(-((field / (0.06 * field.std())) ** 2))
    image = 170 - 90 * ndimage.gaussian_filter(lines, (0, 1, 1)) + rng.normal(0, 4, shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def volume_of(path: Path, raw: np.ndarray, polarity: str = "dark") -> Volume:
    volume = Volume.create(
        path, shape=raw.shape, dtype=raw.dtype, spacing=(30, 10, 10), polarity=polarity
    )  # type: ignore[arg-type]
    volume.raw()[:] = raw
    finish_raw(volume)
    return volume


def paint(volume: Volume, data: np.ndarray, classes: dict[str, int]) -> None:
    product = volume.create_labels(
        "cell", kind="annotation", dtype=np.uint8, inputs="x", classes=classes
    )
    product.array[:] = data
    finish_product(product)


def test_the_numbers(tmp_path: Path) -> None:
    raw = membranes()
    raw[7] = 9
    report = check.run(volume=volume_of(tmp_path / "a.ome.zarr", raw).path)
    assert report.shape == SHAPE
    assert report.size_um == pytest.approx((0.6, 0.7, 0.9))
    np.testing.assert_array_equal(report.look.counts, np.bincount(raw.ravel(), minlength=256))
    assert report.look.constant_planes == [7]
    assert any("1 planes have a single grey value (7)" in w for w in report.warnings)
    text = report.text()
    for words in ("20 x 70 x 90 voxels", "30 x 10 x 10 nm", "0.6 x 0.7 x 0.9 µm", "NaN        0"):
        assert words in text


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("looks", ["dark", "bright"])
@pytest.mark.parametrize("stated", ["dark", "bright"])
def test_polarity(looks: str, stated: str, dtype: str, tmp_path: Path) -> None:
    raw = membranes() if looks == "dark" else 255 - membranes()
    raw = raw.astype(dtype) * (200 if dtype == "uint16" else 1)
    report = check.run(volume=volume_of(tmp_path / "a.ome.zarr", raw, stated).path)
    assert report.look.guess == looks
    contradicts = any(f"lines in the image are {looks}" in w for w in report.warnings)
    assert contradicts == (looks != stated)


def test_noise_and_nothing_have_no_polarity() -> None:
    noise = np.random.default_rng(0).normal(size=(500, 500))
    assert abs(line_polarity(noise, spacing=(10, 10, 10))) < 0.06
    assert line_polarity(np.zeros((40, 40)), spacing=(10, 10, 10)) == 0
    assert line_polarity(np.zeros((1, 1)), spacing=(10, 10, 10)) == 0


def test_real_data_look_dark(real_data: Callable[[str], dict[str, np.ndarray]]) -> None:
    for name, xy in (("sbem_mitochondria.npz", 10), ("hela_mitochondria.npz", 10),
                     ("medulla_fibsem.npz", 10)):  # fmt: skip
        image = real_data(name)["image"]
        scores = [line_polarity(image[k, :800, :800], spacing=(10, xy, xy)) for k in (0, 1, -1)]
        assert np.mean(scores) > 0.06, name
    muscle = real_data("cardiac_mitochondria.npz")["image"][0]
    assert line_polarity(muscle, spacing=(10, 10, 10)) > -0.1  # its fibres run both ways


def test_clipped_and_narrow_contrast(tmp_path: Path) -> None:
    clipped = np.maximum(membranes(), 165)
    report = check.run(volume=volume_of(tmp_path / "a.ome.zarr", clipped).path)
    assert any("have the darkest value" in w for w in report.warnings)
    narrow = (membranes() // 20 + 60).astype(np.uint8)
    report = check.run(volume=volume_of(tmp_path / "b.ome.zarr", narrow).path)
    assert any("grey values. Detail is lost" in w for w in report.warnings)


def test_coverage_counts_objects_by_plane_and_class(tmp_path: Path) -> None:
    data = np.zeros(SHAPE, np.uint8)
    data[[2, 9, 16], 5:60, 5:80] = 1
    data[2, 10:20, 10:20], data[2, 20:30, 20:30] = 2, 2  # touch at a corner: one object
    data[2, 40:45, 10:20], data[9, 40:45, 10:20], data[16, 30:33, 30:33] = 2, 3, 3
    volume = volume_of(tmp_path / "a.ome.zarr", membranes())
    paint(volume, data, {"mito": 2, "golgi": 3})
    report = check.run(volume=volume.path)
    (painting,) = report.paintings
    assert (painting.n_objects("mito"), painting.n_objects("golgi")) == (2, 2)
    assert painting.voxels("mito") == (data == 2).sum()
    assert painting.voxels("background") == (data == 1).sum()
    assert painting.planes_with("golgi") == [9, 16]
    assert [p.plane for p in painting.planes] == [2, 9, 16]
    text = report.text()
    assert "mito: 2 objects on 1 planes, 250 voxels" in text
    assert "250 (2)" in text
    assert [w for w in report.warnings if "cell" in w] == [
        w for w in report.warnings if "mito is painted on plane 2 only" in w
    ]


@pytest.mark.parametrize(
    ("planes", "background", "words"),
    [([2, 9, 16], 0, "no background is painted"), ([3, 4, 5], 1, "only neighbouring planes"),
     ([3], 1, "painted on plane 3 only")],
)  # fmt: skip
def test_warnings_on_painting(
    planes: list[int], background: int, words: str, tmp_path: Path
) -> None:
    data = np.zeros(SHAPE, np.uint8)
    data[planes, :20] = background
    data[planes, 30:40, 30:40] = 2
    volume = volume_of(tmp_path / "a.ome.zarr", membranes())
    paint(volume, data, {"mito": 2, "never": 3})
    found = [w for w in check.run(volume=volume.path).warnings if w.startswith("annotation_cell")]
    assert any(words in w for w in found)
    assert any("never is a class of it, but painted nowhere" in w for w in found)
    assert len(found) == 2


def test_slips_of_the_brush(tmp_path: Path) -> None:
    data = np.zeros(SHAPE, np.uint8)
    data[::6, :20] = 1
    data[::6, 30:40, 30:40] = 2
    data[6, 60, 60] = 2
    volume = volume_of(tmp_path / "a.ome.zarr", membranes())
    paint(volume, data, {"mito": 2})
    report = check.run(volume=volume.path)
    assert any("1 painted objects have less than 4 pixels (planes 6)" in w for w in report.warnings)


def test_a_good_volume_has_no_warnings(tmp_path: Path) -> None:
    data = np.zeros(SHAPE, np.uint8)
    data[::6, :20] = 1
    data[::6, 30:40, 30:40] = 2
    volume = volume_of(tmp_path / "a.ome.zarr", membranes())
    paint(volume, data, {"mito": 2})
    report = check.run(volume=volume.path)
    assert report.warnings == []
    assert report.text().endswith("no warnings")


def test_bars_share_out_every_voxel() -> None:
    counts = np.random.default_rng(0).integers(0, 50, 256)
    lines = check.bars(counts)
    assert len(lines) == 16
    assert sum(float(line.split()[1]) for line in lines) == pytest.approx(100, abs=0.1)
    assert check.bars(np.zeros(256, np.int64)) == []


def test_no_volume(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no volume at"):
        check.run(volume=tmp_path / "none.ome.zarr")
