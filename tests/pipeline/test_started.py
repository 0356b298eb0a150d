"""What fibseg suggest filled in and nobody touched is no ground truth."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from suggested_cells import SHAPE, arguments, model_of, painted_store

from fibseg.cli import main
from fibseg.errors import DataError, UsageError
from fibseg.pipeline import ingest, suggest
from fibseg.pipeline.started import Started, region_digest, started_in, started_regions
from fibseg.volume import Volume


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Volume, Path, list[str]]:
    """A store, the masks, and the words of the import."""
    store = painted_store(tmp_path / "a.ome.zarr")
    model = model_of(tmp_path / "m", store)
    found = suggest.run(**arguments(store, model, tmp_path / "next"))
    return store, tmp_path / "next" / "mitochondria", shlex.split(found["when painted"])[1:]


def change(masks: Path, started: Started, value: int = 2) -> None:
    """Paint one pixel of a region that has another value."""
    path = masks / f"plane_{started.z:04d}.tif"
    mask = tifffile.imread(path)
    y0, x0, y1, x1 = started.box
    y, x = np.argwhere(mask[y0:y1, x0:x1] != value)[0]
    mask[y0 + y, x0 + x] = value
    tifffile.imwrite(path, mask)


def labels(store: Volume) -> np.ndarray:
    return Volume.open(store.path).labels("annotation_mitochondria")[...]


def test_untouched_masks_are_refused_with_the_regions_and_the_way_out(
    begun: tuple[Volume, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    store, masks, words = begun
    before = labels(store)
    assert main(words) == 65
    said = capsys.readouterr().err
    regions = started_regions(store)
    assert len(regions) == 4
    assert "4 regions of" in said
    assert str(regions[0]) in said
    assert "unchanged=drop" in said
    assert np.array_equal(labels(store), before)
    # One region was looked at: the others are still refused.
    change(masks, regions[0])
    assert main(words) == 65
    said = capsys.readouterr().err
    assert "3 regions of" in said
    assert str(regions[0]) not in said


def test_they_are_left_unlabelled_or_accepted_as_wished(
    begun: tuple[Volume, Path, list[str]]
) -> None:
    store, masks, words = begun
    regions = started_regions(store)
    change(masks, regions[1])
    written = {z: tifffile.imread(masks / f"plane_{z:04d}.tif") for z in {r.z for r in regions}}
    assert main([*words, "unchanged=drop"]) == 0
    found = labels(store)
    for region in regions:
        y0, x0, y1, x1 = region.box
        here = found[region.z, y0:y1, x0:x1]
        if region == regions[1]:
            assert np.array_equal(here, written[region.z][y0:y1, x0:x1])
        else:
            assert not here.any()
    assert main([*words, "unchanged=accept"]) == 0
    found = labels(store)
    for z, mask in written.items():
        assert np.array_equal(found[z], mask)
    # What was accepted once is painted: the same import asks no more, with or without the rest.
    assert main(words) == 0
    assert np.array_equal(labels(store), found)


def test_masks_that_were_saved_elsewhere_as_one_stack_are_known(
    begun: tuple[Volume, Path, list[str]], tmp_path: Path
) -> None:
    """As napari saves them: other integers, another folder, planes by number."""
    store, masks, _ = begun
    planes = sorted({r.z for r in started_regions(store)})
    stack = np.stack([tifffile.imread(masks / f"plane_{z:04d}.tif") for z in planes])
    tifffile.imwrite(tmp_path / "napari.tif", stack.astype(np.uint16))
    how = {
        "source": tmp_path / "napari.tif", "volume": store.path, "kind": "annotation",
        "name": "another", "planes": planes, "classes": {"mitochondria": 2},
    }
    with pytest.raises(DataError, match="still the prediction"):
        ingest.run(**how)
    whole = np.zeros(SHAPE, np.uint8)
    whole[planes] = stack
    np.save(tmp_path / "whole.npy", whole)
    with pytest.raises(DataError, match="4 regions"):
        ingest.run(**{**how, "source": tmp_path / "whole.npy", "planes": None})
    assert ingest.run(**how, unchanged="accept")["status"] == "imported"


def test_other_paintings_and_other_words_are_what_they_were(
    begun: tuple[Volume, Path, list[str]], tmp_path: Path
) -> None:
    store, _, words = begun
    painted = np.ones(SHAPE, np.uint8)
    painted[:, 5:20, 5:20] = 2
    np.save(tmp_path / "own.npy", painted)
    how = {"source": tmp_path / "own.npy", "volume": store.path, "kind": "annotation",
           "name": "own"}
    assert ingest.run(**how)["status"] == "imported"
    with pytest.raises(UsageError, match="refuse, drop, accept"):
        ingest.run(**how, unchanged="maybe")
    assert main([*words, "unchanged=yes"]) == 2


def test_a_damaged_record_is_left_out_and_said(
    begun: tuple[Volume, Path, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    store, _, _ = begun
    assert len(started_regions(store)) == 4
    (record,) = (store.path / "runs").glob("*-suggest/run.json")
    record.write_text(record.read_text().replace("started", "startle"))
    assert started_regions(store) == []
    assert "left out" in caplog.text


def test_a_region_is_known_by_its_place_and_its_values() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5] = 2
    found = started_in(mask, 7, [(0, 0, 3, 5), (3, 0, 6, 8)])
    assert found == [Started(7, (0, 0, 3, 5), region_digest(mask[:3, :5]))]
    assert Started.of(found[0].record()) == found[0]
    assert region_digest(mask[:3, :5]) != region_digest(mask[:3, :5].reshape(5, 3))
    assert region_digest(mask[:3, :5]) != region_digest(mask[:3, 1:6])
