from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fibseg.cli import main
from fibseg.errors import ExistsError, UsageError
from fibseg.pipeline import paint
from fibseg.pipeline.paint_folder import open_folder
from fibseg.volume import Volume

SPACING = (40.0, 10.0, 10.0)


@pytest.fixture
def store(tmp_path: Path) -> Volume:
    """Planes numbered 100, 102, … in the folder that they came from, stain dark."""
    folder = tmp_path / "stack"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(30):
        plane = rng.integers(100, 1000, (20, 24)).astype(np.uint16)
        tifffile.imwrite(folder / f"slice_{100 + 2 * k}.tif", plane)
    words = [f"source={folder}", f"volume={tmp_path}/cell.ome.zarr", "polarity=dark"]
    assert main(["import", *words, f"spacing={list(SPACING)}".replace(" ", "")]) == 0
    return Volume.open(tmp_path / "cell.ome.zarr")


def words(store: Volume, out: Path, **more: object) -> list[str]:
    return [f"volume={store.path}", f"out={out}", *(f"{k}={v}" for k, v in more.items())]


def masks(folder: Path) -> dict[str, np.ndarray]:
    return {p.name: tifffile.imread(p) for p in sorted(folder.glob("*.tif"))}


def test_planes_and_empty_masks_have_the_numbers_of_the_source(
    store: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "to paint"
    assert main(["paint", *words(store, out, name="mitochondria", every=10)]) == 0
    names = ["plane_0110.tif", "plane_0130.tif", "plane_0150.tif"]
    assert sorted(p.name for p in (out / "image").iterdir()) == names
    assert list(masks(out / "mitochondria")) == names
    assert not any(m.any() for m in masks(out / "mitochondria").values())
    with tifffile.TiffFile(out / "image" / names[0]) as file:
        assert file.imagej_metadata["unit"] == "nm"
        x = file.pages[0].tags["XResolution"].value
        assert x[0] / x[1] == pytest.approx(0.1)
        shown = file.asarray()
    raw = np.asarray(store.raw()[5]).astype(float)
    assert shown.dtype == np.uint8
    # Stain was dark, and is bright for the painter.
    assert np.corrcoef(shown.ravel(), raw.ravel())[0, 1] < -0.99
    assert "fibseg import" in capsys.readouterr().out
    assert "1  background" in (out / "HOWTO.txt").read_text()


def test_painted_masks_come_back_where_they_belong(store: Volume, tmp_path: Path) -> None:
    out = tmp_path / "paint"
    found = paint.run(volume=str(store.path), out=str(out), name="er", classes=["er", "golgi"])
    painted = {}
    for number, (name, mask) in enumerate(masks(out / "er").items()):
        mask[2:9, 3:12], mask[4:6, 5:7] = 1, 2 + number % 2
        tifffile.imwrite(out / "er" / name, mask)
        painted[(int(name[6:10]) - 100) // 2] = mask
    command = shlex.split(found["when painted"])
    assert command[:2] == ["fibseg", "import"]
    assert main(command[1:]) == 0
    labels = store.labels("annotation_er")[...]
    for z in range(30):
        want = painted.get(z, np.zeros((20, 24), np.uint8))
        assert np.array_equal(labels[z], want)
    assert store.labels_info("annotation_er").classes == {"er": 2, "golgi": 3}


def test_more_planes_keep_what_is_painted_in_the_store_and_in_the_folder(
    store: Volume, tmp_path: Path
) -> None:
    out = tmp_path / "paint"
    run = {"volume": str(store.path), "name": "er"}
    paint.run(**run, out=str(out), planes=[4])
    first = masks(out / "er")["plane_0108.tif"]
    first[:3], first[5:9] = 1, 2
    tifffile.imwrite(out / "er" / "plane_0108.tif", first)
    again = paint.run(**run, out=str(out), planes=[4, 8])
    assert again["masks left as they were"] == 1
    assert np.array_equal(masks(out / "er")["plane_0108.tif"], first)
    assert main(["import", f"source={out}/er", f"volume={store.path}", "kind=annotation",
                 "name=er"]) == 0
    more = paint.run(**run, out=str(tmp_path / "more"), planes=[20])
    assert more["painted before"] == 1
    taken = masks(tmp_path / "more" / "er")
    assert list(taken) == ["plane_0108.tif", "plane_0140.tif"]
    assert np.array_equal(taken["plane_0108.tif"], first)
    assert "overwrite=true" in more["when painted"]


def test_a_folder_knows_the_planes_that_have_a_mask(store: Volume, tmp_path: Path) -> None:
    out = tmp_path / "paint"
    folder = open_folder(store, out, "er", None)
    assert folder.with_masks() == []
    paint.run(volume=str(store.path), out=str(out), name="er", planes=[4, 29, 0])
    for name in ("plane_0103.tif", "plane_0098.tif", "plane_0160.tif", "plane_copy.tif"):
        (out / "er" / name).touch()  # between planes, before the first, after the last, no number
    assert folder.with_masks() == [0, 4, 29]


def test_masks_show_classes_in_colour(store: Volume, tmp_path: Path) -> None:
    out = tmp_path / "paint"
    paint.run(volume=str(store.path), out=str(out), name="er", planes=[0])
    with tifffile.TiffFile(out / "er" / "plane_0100.tif") as file:
        table = file.imagej_metadata["LUTs"]
    assert table[:, 0].tolist() == [0, 0, 0]
    assert len({tuple(c) for c in table[:, :5].T.tolist()}) == 5


def test_same_planes_are_the_same_bytes(store: Volume, tmp_path: Path) -> None:
    for name in ("a", "b"):
        paint.run(volume=str(store.path), out=str(tmp_path / name), name="er")
    for path in sorted((tmp_path / "a" / "image").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / "image" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"planes": [30]}, "0 to 29, not \\[30\\]"), ({"planes": []}, "at least one"),
        ({"every": 0}, "no number of planes"), ({"name": "image"}, "folder of the image"),
        ({"classes": {"er": 1}}, "from 2 to 255"), ({"name": "a/b"}, "a/b"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    store: Volume, tmp_path: Path, what: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        paint.run(**({"volume": str(store.path), "out": str(tmp_path / "p"), "name": "er"} | what))
    assert not (tmp_path / "p").exists()


def test_a_folder_of_something_else_is_refused(store: Volume, tmp_path: Path) -> None:
    out = tmp_path / "paint"
    paint.run(volume=str(store.path), out=str(out), name="er", planes=[1])
    with pytest.raises(ExistsError, match="another name"):
        paint.run(volume=str(store.path), out=str(out), name="golgi", planes=[1])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("all of it")
    with pytest.raises(ExistsError, match="other files"):
        paint.run(volume=str(store.path), out=str(tmp_path / "own"), name="er")


def test_classes_that_differ_from_those_of_the_painting_are_refused(
    store: Volume, tmp_path: Path
) -> None:
    out = tmp_path / "paint"
    paint.run(volume=str(store.path), out=str(out), name="er", planes=[1])
    mask = masks(out / "er")["plane_0102.tif"]
    mask[:], mask[3:5] = 1, 2
    tifffile.imwrite(out / "er" / "plane_0102.tif", mask)
    assert main(["import", f"source={out}/er", f"volume={store.path}", "kind=annotation",
                 "name=er"]) == 0
    with pytest.raises(UsageError, match="Leave classes= out"):
        open_folder(store, out, "er", ["golgi"])


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_anywhere_the_same_command_ends_with_the_same_folder(
    store: Volume, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    paint.run(volume=str(store.path), out=str(whole), name="er", every=1)
    command = [sys.executable, "-m", "fibseg", "paint", *words(store, killed, name="er", every=1)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begin = time.monotonic()
    while not list(killed.glob("er/*.tif"))[3:] and time.monotonic() - begin < 60:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in whole.rglob("*.tif"):
        assert path.read_bytes() == (killed / path.relative_to(whole)).read_bytes()
    assert not list(killed.rglob(".*"))
