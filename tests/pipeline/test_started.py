"""What fibseg suggest filled in and nobody touched is no ground truth."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from suggested_cells import SHAPE, arguments, model_of, painted_store

from fibseg.cli import main
from fibseg.errors import DataError, UsageError
from fibseg.pipeline import ingest, suggest
from fibseg.pipeline.started import (
    Started,
    note_regions,
    noted_regions,
    region_digest,
    started_in,
    started_regions,
)
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


def test_a_store_without_the_run_knows_them_from_the_folder(
    begun: tuple[Volume, Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a copy that was made before, or one that was made without runs."""
    store, masks, words = begun
    copy = Volume.open(shutil.copytree(store.path, tmp_path / "copy" / "a.ome.zarr"))
    shutil.rmtree(copy.path / "runs")
    words = [w.replace(str(store.path), str(copy.path)) for w in words]
    before = labels(copy)
    regions = started_regions(store)
    assert started_regions(copy) == []
    assert sorted(map(str, started_regions(copy, masks))) == sorted(map(str, regions))
    assert main(words) == 65
    assert "4 regions of" in capsys.readouterr().err
    # Saved as one file beside the masks or among them, too.
    planes = sorted({r.z for r in regions})
    stack = np.stack([tifffile.imread(masks / f"plane_{z:04d}.tif") for z in planes])
    for folder in (masks, masks.parent):
        tifffile.imwrite(folder / "napari.tif", stack)
        with pytest.raises(DataError, match="4 regions of"):
            ingest.run(source=folder / "napari.tif", volume=copy.path, kind="annotation",
                       name="another", planes=planes, classes={"mitochondria": 2})  # fmt: skip
        (folder / "napari.tif").unlink()
    assert np.array_equal(labels(copy), before)
    assert main([*words, "unchanged=drop"]) == 0
    assert np.array_equal(labels(copy), before)


def test_the_folder_adds_to_what_it_tells_and_says_nothing_of_another_volume(
    begun: tuple[Volume, Path, list[str]], tmp_path: Path
) -> None:
    store, masks, _ = begun
    folder = masks.parent
    told = (folder / "started.json").read_bytes()
    before = noted_regions(folder, store)
    assert len(before) == 4
    note_regions(folder, store, before[:1])
    assert (folder / "started.json").read_bytes() == told
    more = Started(0, (0, 0, 2, 2), "a" * 64)
    note_regions(folder, store, [more])
    assert noted_regions(folder, store) == [more, *before]
    other = painted_store(tmp_path / "b.ome.zarr", seed=3)
    assert noted_regions(folder, other) == []
    assert noted_regions(tmp_path, store) == []


def test_a_damaged_file_of_the_folder_is_no_way_round_the_question(
    begun: tuple[Volume, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, masks, words = begun
    path = masks.parent / "started.json"
    text = path.read_text()
    damaged = [text[: len(text) // 2], "", "[1]", text.replace('"z": ', '"z": 1'),
               text.replace("seal", "zeal")]
    for other in damaged:
        path.write_text(other)
        assert main([*words, "unchanged=drop"]) == 65
        said = capsys.readouterr().err
        assert "started.json was cut off, damaged" in said
        assert "unchanged=accept" in said
    path.write_text(text)
    assert main([*words, "unchanged=drop"]) == 0


def test_with_a_damaged_record_the_folder_still_knows(
    begun: tuple[Volume, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    store, masks, words = begun
    regions = started_regions(store)
    (record,) = (store.path / "runs").glob("*-suggest/run.json")
    record.write_text(record.read_text().replace("started", "startle"))
    # Which plane a mask is of follows from the runs, so that one is an error of its own.
    assert main(words) == 65
    said = " ".join(capsys.readouterr().err.split())
    assert "Which plane a number in a file name means" in said
    assert "which masks began as a prediction" in said
    assert "planes=[" in said
    planes = sorted(int(p.stem[-4:]) for p in masks.iterdir())
    told = [*words, f"planes={planes}".replace(" ", "")]
    assert main(told) == 65
    assert "4 regions of" in capsys.readouterr().err
    # As the error says: without its folder the import knows places again, and regions still.
    shutil.rmtree(record.parent)
    assert main(words) == 65
    assert str(sorted(regions, key=lambda r: (r.z, r.box))[0]) in capsys.readouterr().err


def test_a_region_is_known_by_its_place_and_its_values() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5] = 2
    found = started_in(mask, 7, [(0, 0, 3, 5), (3, 0, 6, 8)])
    assert found == [Started(7, (0, 0, 3, 5), region_digest(mask[:3, :5]))]
    assert Started.of(found[0].record()) == found[0]
    assert region_digest(mask[:3, :5]) != region_digest(mask[:3, :5].reshape(5, 3))
    assert region_digest(mask[:3, :5]) != region_digest(mask[:3, 1:6])
