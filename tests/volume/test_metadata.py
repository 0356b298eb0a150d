"""OME-Zarr as others see it: validated by ome-zarr-models, opened by ome-zarr-py."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import v04, v05

from fibseg.errors import DataError
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import metadata
from fibseg.volume.metadata import distinct_color, image_label, read_group, read_state

MODELS = {"0.5": v05, "0.4": v04}
foreign = pytest.mark.filterwarnings("ignore")  # warnings of the two reference libraries


def fill(volume):
    rng = np.random.default_rng(0)
    paint = volume.create_labels(
        "mitochondria", kind="annotation", dtype="uint8", inputs="a", classes={"mitochondria": 2}
    )
    paint.array[:] = rng.integers(0, 3, volume.shape)
    finish_product(paint)
    labels = volume.create_labels("mitochondria", kind="labels", dtype="uint32", inputs="b")
    labels.array[:] = rng.integers(0, 40, volume.shape)
    finish_product(labels, colors={3: (255, 0, 0)})
    probs = volume.create_probabilities("mitochondria", inputs="c")
    probs.array[:] = rng.integers(0, 256, volume.shape)
    finish_product(probs)
    return volume


def ome(group, version):
    attributes = group.attrs.asdict()
    return attributes if version == "0.4" else attributes["ome"]


@foreign
def test_ome_zarr_models_accepts_every_image_of_the_store(tmp_path, make, version):
    volume = fill(make(tmp_path / "cell.ome.zarr", version=version))
    models = MODELS[version]
    models.Image.from_zarr(zarr.open_group(volume.path, mode="r"))
    models.Labels.from_zarr(zarr.open_group(volume.path / "labels", mode="r"))
    for name in volume.label_names():
        models.ImageLabel.from_zarr(zarr.open_group(volume.path / "labels" / name, mode="r"))
    models.Image.from_zarr(
        zarr.open_group(volume.path / "probabilities" / "mitochondria", mode="r")
    )


@foreign
def test_ome_zarr_py_opens_image_and_labels(tmp_path, make, version):
    volume = fill(make(tmp_path / "cell.ome.zarr", version=version))
    nodes = list(Reader(parse_url(str(volume.path)))())
    shapes = [tuple(array.shape) for array in nodes[0].data]
    assert shapes == [volume.raw(n).shape for n in range(volume.n_levels)]
    np.testing.assert_array_equal(np.asarray(nodes[0].data[0]), volume.raw()[:])
    found = {node.zarr.basename() for node in nodes}
    assert {"mitochondria", "annotation_mitochondria"} <= found


def test_scale_unit_and_half_voxel_shift(tmp_path, make, version):
    data = np.zeros((9, 300, 90), np.uint8)
    volume = make(tmp_path / "cell.ome.zarr", version=version, data=data)
    entry = ome(zarr.open_group(volume.path, mode="r"), version)["multiscales"][0]
    assert [axis["unit"] for axis in entry["axes"]] == ["nanometer"] * 3
    assert [axis["name"] for axis in entry["axes"]] == ["z", "y", "x"]
    transforms = [d["coordinateTransformations"] for d in entry["datasets"]]
    assert [t[0]["scale"] for t in transforms] == [[30, 10, 10], [30, 20, 20], [30, 40, 40]]
    shifts = [t[1]["translation"] for t in transforms]
    assert shifts == [[0, 0, 0], [0, 5, 5], [0, 15, 15]]
    # What the shift means: the mean of fine voxel centres is the centre of the coarse voxel.
    fine_centres = np.arange(4) * 10.0
    assert fine_centres.mean() == shifts[2][1]


def test_channel_window_comes_from_percentiles(volume):
    window = ome(zarr.open_group(volume.path, mode="r"), "0.5")["omero"]["channels"][0]["window"]
    assert window["start"] == volume.percentiles["p0.5"]
    assert window["end"] == volume.percentiles["p99.5"]
    assert (window["min"], window["max"]) == (0, 255)


def test_products_say_what_they_are(tmp_path, make, version):
    volume = fill(make(tmp_path / "cell.ome.zarr", version=version))
    paint = zarr.open_group(volume.path / "labels" / "annotation_mitochondria", mode="r")
    entry = ome(paint, version)["image-label"]
    assert entry["source"] == {"image": "../../"}
    assert entry["properties"] == [
        {"label-value": 1, "class": "background"}, {"label-value": 2, "class": "mitochondria"}
    ]
    assert [c["label-value"] for c in entry["colors"]] == [1, 2]
    assert paint.attrs["fibseg"]["kind"] == "annotation"
    labels = zarr.open_group(volume.path / "labels" / "mitochondria", mode="r")
    assert ome(labels, version)["image-label"]["colors"] == [
        {"label-value": 3, "rgba": [255, 0, 0, 255]}
    ]
    listing = ome(zarr.open_group(volume.path / "labels", mode="r"), version)["labels"]
    assert listing == ["annotation_mitochondria", "mitochondria"]


def test_colours_are_complete_or_absent():
    some = image_label(kind="labels", classes={}, colors=None, maximum=7, ome_version="0.5")
    assert [c["label-value"] for c in some["colors"]] == list(range(1, 8))
    many = image_label(kind="labels", classes={}, colors=None, maximum=5000, ome_version="0.5")
    none = image_label(kind="labels", classes={}, colors=None, maximum=0, ome_version="0.5")
    assert "colors" not in many
    assert "colors" not in none
    assert len({distinct_color(n) for n in range(1, 65)}) == 64


@pytest.mark.parametrize("colors", [None, {5: (1, 2, 3)}])
def test_colours_and_properties_name_the_same_labels(colors):
    entry = image_label(
        kind="labels", classes={"big": 3}, colors=colors, maximum=4, ome_version="0.5"
    )
    values = [c["label-value"] for c in entry["colors"]]
    assert [p["label-value"] for p in entry["properties"]] == values
    assert {"label-value": 3, "class": "big"} in entry["properties"]


def test_a_group_keeps_other_things_apart(tmp_path, version):
    assert read_group(tmp_path) is None
    metadata.write_group(tmp_path, {"a": 1}, ome_version=version)
    assert read_group(tmp_path) == {"a": 1}
    assert read_state(tmp_path) is None
    metadata.write_group(tmp_path, {"fibseg": [1]}, ome_version=version)
    with pytest.raises(DataError, match="damaged"):
        read_state(tmp_path)


def test_an_array_is_no_group(tmp_path):
    zarr.create_array(tmp_path / "a", shape=(3,), dtype="uint8")
    assert read_group(tmp_path / "a") is None


def test_a_cut_off_zarr_json_is_one_clear_error(volume):
    file = volume.path / "zarr.json"
    file.write_text(file.read_text()[: len(json.dumps({})) + 40])
    with pytest.raises(DataError, match="damaged"):
        read_group(volume.path)
