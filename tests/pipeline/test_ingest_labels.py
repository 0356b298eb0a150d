"""`fibseg import` of labels and sparse painting."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imagecodecs import png_encode
from scipy import ndimage

from fibseg.errors import DataError, ExistsError, FibsegError, UsageError
from fibseg.pipeline import ingest, ingest_labels
from fibseg.volume import Volume

SHAPE = (12, 40, 50)
IMAGE = np.random.default_rng(0).integers(20, 200, SHAPE, dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 400, SHAPE, dtype=np.uint16)
PAINT = np.zeros(SHAPE, np.uint8)
PAINT[::5, 5:30, 5:40] = 1
PAINT[::5, 10:15, 10:20] = 2
MASK = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 1.5) > 0.1


def saved(path: Path, data: np.ndarray) -> Path:
    np.save(path, data)
    return path


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """A volume whose raw image came from a folder numbered 101, 102 …"""
    stack = tmp_path / "stack"
    stack.mkdir()
    for k, plane in enumerate(IMAGE):
        tifffile.imwrite(stack / f"s_{k + 101}.tif", plane)
    path = tmp_path / "cell.ome.zarr"
    ingest.run(source=stack, volume=path, spacing=[30, 10, 10], polarity="dark")
    return path


def paint(cell: Path, source: Path, **keys: Any) -> dict[str, Any]:
    return ingest.run(source=source, volume=cell, kind="annotation", name="mito", **keys)


def labels(cell: Path, source: Path, **keys: Any) -> dict[str, Any]:
    return ingest.run(source=source, volume=cell, kind="labels", name="truth_mito", **keys)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "uint64", "bool"])
def test_labels_are_stored_as_they_are(dtype: str, tmp_path: Path, cell: Path) -> None:
    data = (LABELS % 200 if dtype == "uint8" else LABELS).astype(dtype)
    summary = labels(cell, saved(tmp_path / "a.npy", data))
    volume = Volume.open(cell)
    assert volume.label_names(kind="labels") == ["truth_mito"]
    stored = volume.labels("truth_mito")
    assert stored.dtype == np.uint32
    np.testing.assert_array_equal(stored[:], data)
    assert summary["largest_label"] == data.max()


def test_labels_again_and_others(tmp_path: Path, cell: Path) -> None:
    source = saved(tmp_path / "a.npy", LABELS)
    assert labels(cell, source)["status"] == "imported"
    assert labels(cell, source)["status"] == "unchanged"
    assert len(Volume.open(cell).runs()) == 2
    other = saved(tmp_path / "b.npy", LABELS + 1)
    with pytest.raises(ExistsError, match="overwrite=true"):
        labels(cell, other)
    np.testing.assert_array_equal(Volume.open(cell).labels("truth_mito")[:], LABELS)
    labels(cell, other, overwrite=True)
    np.testing.assert_array_equal(Volume.open(cell).labels("truth_mito")[:], LABELS + 1)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_one_object(
    value: int, tmp_path: Path, cell: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels(cell, saved(tmp_path / "a.npy", MASK.astype(np.uint8) * value))
    np.testing.assert_array_equal(Volume.open(cell).labels("truth_mito")[:], MASK)
    assert "objects=components" in caplog.text


def test_components_of_a_mask(tmp_path: Path, cell: Path) -> None:
    summary = labels(
        cell, saved(tmp_path / "a.npy", MASK.astype(np.uint8) * 255), objects="components"
    )
    expected, n = ndimage.label(MASK, np.ones((3, 3, 3)))
    stored = Volume.open(cell).labels("truth_mito")[:]
    assert summary["largest_label"] == n == stored.max() > 3
    pairs = np.unique(np.stack([stored.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == n + 1
    np.testing.assert_array_equal(stored > 0, MASK)


def test_painting_is_stored_with_its_classes(tmp_path: Path, cell: Path) -> None:
    source = tmp_path / "paint.tif"
    tifffile.imwrite(source, PAINT, compression="zlib", photometric="minisblack")
    summary = paint(cell, source)
    volume = Volume.open(cell)
    assert volume.label_names() == ["annotation_mito"]
    assert volume.annotation_name("mito") == "annotation_mito"
    assert volume.labels_info("annotation_mito").classes == {"mito": 2}
    assert volume.labels("annotation_mito").dtype == np.uint8
    np.testing.assert_array_equal(volume.labels("annotation_mito")[:], PAINT)
    assert summary["painted_voxels"] == "background 2475, mito 150"
    assert paint(cell, source)["status"] == "unchanged"


def test_some_planes_by_number_of_the_raw_files(tmp_path: Path, cell: Path) -> None:
    """The raw files count from 101, so the painted file 106 is plane 5."""
    folder = tmp_path / "painted"
    folder.mkdir()
    for z in (0, 5, 10):
        (folder / f"s_{z + 101}.png").write_bytes(png_encode(PAINT[z]))
    paint(cell, folder)
    np.testing.assert_array_equal(Volume.open(cell).labels("annotation_mito")[:], PAINT)


def test_some_planes_by_list(tmp_path: Path, cell: Path) -> None:
    paint(cell, saved(tmp_path / "a.npy", PAINT[[10, 0, 5]]), planes=[10, 0, 5])
    np.testing.assert_array_equal(Volume.open(cell).labels("annotation_mito")[:], PAINT)


def test_one_painted_plane(tmp_path: Path, cell: Path) -> None:
    (tmp_path / "p.png").write_bytes(png_encode(PAINT[5]))
    with pytest.raises(DataError, match=r"has 1 planes, the volume 12.*planes=\[0,5"):
        paint(cell, tmp_path / "p.png")
    paint(cell, tmp_path / "p.png", planes=[5])
    stored = Volume.open(cell).labels("annotation_mito")[:]
    np.testing.assert_array_equal(stored[5], PAINT[5])
    assert (stored.sum(axis=(1, 2)) > 0).sum() == 1


@pytest.mark.parametrize("classes", [{"mito": 2, "golgi": 3}, ["mito", "golgi"]])
def test_several_classes(classes: Any, tmp_path: Path, cell: Path) -> None:
    data = PAINT.copy()
    data[5, 20:25, 20:25] = 3
    source = saved(tmp_path / "a.npy", data)
    with pytest.raises(DataError, match=r"class values 3 \(25 voxels\).*1 background, .* 2 mito"):
        paint(cell, source)
    paint(cell, source, classes=classes)
    assert Volume.open(cell).labels_info("annotation_mito").classes == {"mito": 2, "golgi": 3}


BAD_LABELS: list[tuple[np.ndarray, dict[str, Any], type[FibsegError], str]] = [
    (LABELS.astype(float), {}, DataError, "type float64, but labels are whole numbers"),
    (LABELS.astype(int) - 3, {}, DataError, "negative labels, down to -3"),
    (LABELS.astype(np.uint64) + 2**32, {}, DataError, "labels up to"),
    (LABELS[:, :-1], {}, DataError, r"\(12, 39, 50\), but .* \(12, 40, 50\).*neither cropped"),
    (LABELS[:-1], {}, DataError, "number of planes differs"),
    (LABELS.transpose(0, 2, 1).copy(), {}, DataError, "axes y and x look swapped"),
    (LABELS.transpose(2, 1, 0).copy(), {}, DataError, "axes z and x look swapped"),
    (LABELS.transpose(1, 2, 0).copy(), {}, DataError, r"look like \(y, x, z\)"),
    (LABELS, {"objects": "components"}, DataError, "is no mask"),
    (LABELS, {"objects": "pieces"}, UsageError, "objects=components"),
    (LABELS, {"name": None}, UsageError, "needs a name"),
    (LABELS, {"planes": [1]}, UsageError, "are for kind=annotation"),
    (LABELS, {"polarity": "dark"}, UsageError, "polarity= means nothing for kind=labels"),
    (LABELS, {"spacing": [10, 10, 10]}, DataError, "differs from that of"),
]


@pytest.mark.parametrize(("data", "keys", "error", "words"), BAD_LABELS)
def test_bad_labels(
    data: np.ndarray, keys: dict[str, Any], error: type[FibsegError], words: str,
    tmp_path: Path, cell: Path,
) -> None:  # fmt: skip
    source = saved(tmp_path / "a.npy", data)
    with pytest.raises(error, match=words):
        ingest.run(source=source, volume=cell, **{"kind": "labels", "name": "t", **keys})
    assert not (cell / "labels").exists()
    assert len(Volume.open(cell).runs()) == 1


BAD_PAINT: list[tuple[np.ndarray, dict[str, Any], type[FibsegError], str]] = [
    (PAINT * 0, {}, DataError, "all 0: nothing is labelled"),
    (np.minimum(PAINT, 1), {}, DataError, "background is painted, but no class"),
    (PAINT * 127, {}, DataError, r"127 \(2475 voxels\), 254 \(150 voxels\)"),
    (LABELS, {}, DataError, "kind=labels"),
    (PAINT.astype(np.float32), {}, DataError, "whole numbers"),
    (PAINT.astype(np.int8) - 1, {}, DataError, "negative labels"),
    (PAINT[[0, 5]], {"planes": [0]}, DataError, "2 planes, .*1 given"),
    (PAINT[[0, 5]], {"planes": [0, 12]}, DataError, "12 lies outside"),
    (PAINT[[0, 5]], {"planes": [3, 3]}, DataError, "given twice"),
    (PAINT[[0, 5], :9], {"planes": [0, 5]}, DataError, r"\(2, 9, 50\)"),
    (PAINT, {"classes": {"mito": 1}}, UsageError, "from 2 to 255"),
    (PAINT, {"classes": {"a": 2, "b": 2}}, UsageError, "its own value"),
    (PAINT, {"objects": "components"}, UsageError, "objects="),
    (PAINT, {"classes": ["a", "a"]}, UsageError, "names one twice"),
    (PAINT, {"classes": {"background": 2}}, UsageError, "cannot be called background"),
]


@pytest.mark.parametrize(("data", "keys", "error", "words"), BAD_PAINT)
def test_bad_painting(
    data: np.ndarray, keys: dict[str, Any], error: type[FibsegError], words: str,
    tmp_path: Path, cell: Path,
) -> None:  # fmt: skip
    with pytest.raises(error, match=words):
        paint(cell, saved(tmp_path / "a.npy", data), **keys)
    assert not (cell / "labels").exists()


def test_numbers_outside_the_raw_files(tmp_path: Path, cell: Path) -> None:
    folder = tmp_path / "painted"
    folder.mkdir()
    for z in (5, 10):
        tifffile.imwrite(folder / f"s_{z}.tif", PAINT[z])
    with pytest.raises(DataError, match=r"planes \[5, 10\] do not all fit .*5 lies outside"):
        paint(cell, folder)
    paint(cell, folder, planes=[5, 10])


def test_labels_with_the_voxel_size_of_another_stack(tmp_path: Path, cell: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, LABELS, imagej=True, resolution=(1 / 10, 1 / 10),
                     metadata={"unit": "nm", "spacing": 50, "axes": "ZYX"})  # fmt: skip
    with pytest.raises(DataError, match="states 50 nm along z, the raw image says 30 nm"):
        labels(cell, source)
    labels(cell, source, trust_spacing=True)


def test_labels_without_a_volume(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no volume at"):
        labels(tmp_path / "none.ome.zarr", saved(tmp_path / "a.npy", LABELS))


def test_a_failed_import_of_labels_does_not_look_finished(
    tmp_path: Path, cell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(tmp_path / "a.npy", LABELS)
    with monkeypatch.context() as patch:
        patch.setattr("fibseg.volume.Product.finish", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            labels(cell, source)
    assert Volume.open(cell).label_names() == []
    assert labels(cell, source)["largest_label"] == LABELS.max()
    assert Volume.open(cell).label_names() == ["truth_mito"]


def test_empty_labels_are_noted(
    tmp_path: Path, cell: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="fibseg"):
        labels(cell, saved(tmp_path / "a.npy", LABELS * 0))
    assert "no object" in caplog.text


@pytest.mark.parametrize(
    ("source", "keywords", "said"),
    [
        (LABELS, {"name": "../x"}, "cannot be the name of a label image"),
        (LABELS, {"objects": "pieces"}, "objects=components"),
        (PAINT, {"classes": ["golgi apparatus"]}, "cannot be the name of a class"),
    ],
)
def test_a_bad_setting_is_refused_before_any_voxel_is_read(
    source: np.ndarray, keywords: dict, said: str, tmp_path: Path, cell: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def never(*args: object, **kw: object) -> None:
        raise AssertionError("read before the settings were checked")

    monkeypatch.setattr(ingest_labels, "survey", never)
    kind = "annotation" if source is PAINT else "labels"
    with pytest.raises(UsageError, match=said):
        ingest.run(
            source=saved(tmp_path / "a.npy", source), volume=cell, kind=kind,
            **{"name": "mito", **keywords},
        )  # fmt: skip
