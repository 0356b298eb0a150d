"""Colours and properties of labels, as others read them and as fibseg keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import v04, v05
from stores import untouched

from fibseg.errors import BusyError, DataError, UsageError
from fibseg.pipeline import verify
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume, described
from fibseg.volume.described import MOST_DESCRIBED
from fibseg.volume.lock import lock_path

MODELS = {"0.5": v05, "0.4": v04}
NUMBERS = np.array([1, 2, 5], np.uint32)
COLORS = np.array([[255, 0, 0], [0, 255, 0], [1, 2, 3]], np.uint8)
PROPERTIES = {
    "volume_um3": np.array([0.123456789, np.nan, 3.0]),
    "spatial_class": np.array(["perinuclear", "", "peripheral"]),
    "touches_face": np.array([True, False, False]),
    "n_voxels": np.array([12, 4, 77]),
}


@pytest.fixture
def labelled(tmp_path, make, version) -> Volume:
    volume = make(tmp_path / "cell.ome.zarr", version=version)
    labels = volume.create_labels("mitochondria", kind="labels", dtype="uint32", inputs="b")
    labels.array[:] = np.random.default_rng(0).choice([0, 1, 2, 5], volume.shape)
    finish_product(labels)
    return volume


def entry(volume: Volume, version: str) -> dict:
    group = zarr.open_group(volume.path / "labels" / "mitochondria", mode="r")
    attributes = group.attrs.asdict()
    return (attributes if version == "0.4" else attributes["ome"])["image-label"]


def test_every_label_has_its_colour_and_what_is_known_of_it(labelled, version):
    n = labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)
    assert n == 3
    told = entry(labelled, version)
    chosen = {c["label-value"]: c["rgba"] for c in told["colors"]}
    assert {k: chosen[k] for k in (1, 2, 5)} == {
        1: [255, 0, 0, 255], 2: [0, 255, 0, 255], 5: [1, 2, 3, 255],
    }  # fmt: skip
    assert [p["label-value"] for p in told["properties"]] == sorted(chosen)
    rows = {p.pop("label-value"): p for p in told["properties"]}
    assert rows[1] == {
        "volume_um3": 0.123457, "spatial_class": "perinuclear", "touches_face": True,
        "n_voxels": 12,
    }  # fmt: skip
    assert rows[2] == {"touches_face": False, "n_voxels": 4}
    assert told["source"] == {"image": "../../"}


@pytest.mark.filterwarnings("ignore")  # warnings of the two reference libraries
def test_others_accept_and_read_them(labelled, version):
    labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)
    path = labelled.path / "labels" / "mitochondria"
    MODELS[version].ImageLabel.from_zarr(zarr.open_group(path, mode="r"))
    nodes = list(Reader(parse_url(str(labelled.path)))())
    found = next(node.metadata for node in nodes if node.zarr.basename() == "mitochondria")
    assert found["color"][5] == pytest.approx([1 / 255, 2 / 255, 3 / 255, 1])
    assert found["properties"][1]["spatial_class"] == "perinuclear"
    assert found["properties"][5]["volume_um3"] == 3.0
    assert "volume_um3" not in found["properties"][2]


def test_voxels_digest_and_verify_do_not_mind(labelled, files):
    before = labelled.labels_info("mitochondria")
    inside = files(labelled.path)
    labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)
    assert labelled.labels_info("mitochondria") == before
    report = verify.run(volume=labelled.path)
    assert not report.findings
    changed = {k for k, v in files(labelled.path).items() if inside.get(k) != v}
    assert {Path(k).name for k in changed} <= {"zarr.json", ".zattrs"}
    assert len(changed) == 1


def test_the_same_again_changes_no_byte_and_writes_nothing(labelled, files):
    given = {"colors": COLORS, "properties": PROPERTIES}
    labelled.describe_labels("mitochondria", NUMBERS, **given)
    first = files(labelled.path)
    times = {p: p.stat().st_mtime_ns for p in (labelled.path / "labels").rglob("*.json")}
    labelled.describe_labels("mitochondria", NUMBERS, **given)
    assert files(labelled.path) == first
    assert {p: p.stat().st_mtime_ns for p in times} == times
    # The order of rows is that of a table, and no matter.
    back = {name: values[::-1] for name, values in PROPERTIES.items()}
    labelled.describe_labels("mitochondria", NUMBERS[::-1], colors=COLORS[::-1], properties=back)
    assert files(labelled.path) == first


def test_what_was_told_before_is_replaced(labelled, version):
    own = entry(labelled, version)["colors"]
    labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)
    labelled.describe_labels("mitochondria", NUMBERS, properties={"n_voxels": np.arange(3)})
    told = entry(labelled, version)
    assert told["colors"] == own
    assert all(set(p) <= {"label-value", "n_voxels"} for p in told["properties"])
    labelled.describe_labels("mitochondria", NUMBERS)
    assert "properties" not in entry(labelled, version)


def test_a_crash_leaves_what_was_there(labelled, files, monkeypatch):
    before = files(labelled.path)

    def fail(self, target):
        raise OSError("power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="power"):
            labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS)
    assert files(labelled.path) == before
    assert not lock_path(labelled.path / "labels" / "mitochondria").exists()


def test_of_very_many_objects_nothing_is_told(labelled, version, monkeypatch, caplog):
    monkeypatch.setattr(described, "MOST_DESCRIBED", 2)
    with caplog.at_level("WARNING"):
        n = labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)
    assert n == 0
    assert "has 3 objects" in caplog.text
    assert not {"colors", "properties"} & set(entry(labelled, version))
    assert not verify.run(volume=labelled.path).findings
    assert MOST_DESCRIBED >= 1133  # mitochondria of the case study


def test_a_run_that_writes_the_labels_keeps_others_away(labelled):
    path = lock_path(labelled.path / "labels" / "mitochondria")
    path.write_text(json.dumps({
        "host": "elsewhere", "pid": 1, "started": 0.0, "command": "fibseg objects", "token": "t",
    }))  # fmt: skip
    with pytest.raises(BusyError, match="elsewhere"):
        labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS)


def test_telling_the_same_again_touches_nothing(labelled):
    labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)
    with untouched(labelled.path):
        labelled.describe_labels("mitochondria", NUMBERS, colors=COLORS, properties=PROPERTIES)


def test_only_numbered_objects_can_be_described(volume):
    with pytest.raises(DataError, match="is no finished label image"):
        volume.describe_labels("mitochondria", NUMBERS)
    paint = volume.create_labels("m", kind="annotation", dtype="uint8", inputs="a")
    paint.array[:] = 1
    finish_product(paint)
    begun = volume.create_labels("begun", kind="labels", dtype="uint8", inputs="a")
    for name in (paint.name, begun.name):
        with pytest.raises(DataError, match="is no finished label image"):
            volume.describe_labels(name, NUMBERS)


@pytest.mark.parametrize(
    ("numbers", "given", "said"),
    [
        ([1, 2], {"colors": COLORS}, "there are 2 labels"),
        ([1, 2, 3], {"properties": {"a": np.zeros(2)}}, "{'a': 2}"),
        ([1, 2, 3], {"colors": np.zeros((3, 4))}, r"shape \(3, 4\)"),
        ([1, 1, 3], {}, "1 occur again"),
        ([0, 1, 3], {}, "labels go from 0"),
        ([1, 2, 3], {"properties": {"label-value": np.zeros(3)}}, "cannot be called"),
    ],
)
def test_what_does_not_fit_is_refused(volume, numbers, given, said):
    with pytest.raises(UsageError, match=said):
        volume.describe_labels("mitochondria", np.array(numbers), **given)
