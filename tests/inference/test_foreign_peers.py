"""Files that the makers of the formats wrote, and results as their own programs give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from bioimageio.core import predict
from bioimageio.spec import load_model_description, save_bioimageio_package
from czmodel.core.model_metadata import ModelMetadata, ModelType
from czmodel.core.util.model_packing import create_model_zip
from foreign_blocks import blocks_of, by_blocks
from foreign_files import data_of, description, onnx_model
from inference_fakes import FakeVolume, random_image

from fibseg.export.foreign import Side, read_foreign

SIDE = 96


def packed(tmp_path: Path, model: dict | None = None, **changed) -> Path:
    """A package that bioimageio.spec has validated and written."""
    data = data_of(onnx_model(**(model or {})))
    told = description(data=data, **changed)
    told |= {"description": "small", "license": "MIT", "documentation": "README.md",
             "authors": [{"name": "A. Author"}], "cite": [{"text": "none", "doi": "10.1234/x"}]}
    for key in ("inputs", "outputs"):
        channels = 1 if key == "inputs" else 2
        (name,) = (t["test_tensor"]["source"] for t in told[key])
        np.save(tmp_path / name, np.ones((1, channels, SIDE, SIDE), np.float32))
    (tmp_path / "weights.onnx").write_bytes(data)
    (tmp_path / "README.md").write_text("# small\n\n## Validation\n\nNone.\n")
    (tmp_path / "rdf.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    found = load_model_description(tmp_path / "rdf.yaml", perform_io_checks=True)
    return save_bioimageio_package(found, output_path=tmp_path / "made.zip")


@pytest.mark.filterwarnings("ignore")  # of the peers, on what a package should tell beside
@pytest.mark.parametrize("steps", [
    [{"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], "min_percentile": 3,
                                      "max_percentile": 99.8}}],
    [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}}],
    [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 120, "std": 50}},
     {"id": "clip", "kwargs": {"min": -1, "max": 1.5}}],
    [{"id": "scale_linear", "kwargs": {"gain": 0.01, "offset": -1}}, {"id": "sigmoid"}],
    [{"id": "binarize", "kwargs": {"threshold": 130}},
     {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
])
@pytest.mark.parametrize("after", [None, [{"id": "softmax", "kwargs": {"axis": "channel"}}],
                                   [{"id": "sigmoid"}]])
def test_a_plane_is_what_bioimageio_core_makes_of_it(tmp_path, steps, after):
    """A volume of one plane, away from its border, where zeros are not mirrors.

    No halo is told: bioimageio.core pads planes by it first, and counts what it has added.
    """
    changed = {"inputs.0.preprocessing": steps}
    changed |= {f"outputs.0.axes.{k}.halo": None for k in (2, 3)}
    if after:
        changed |= {"outputs.0.postprocessing": after}
    path = packed(tmp_path, {"end": None if after else "Softmax"}, **changed)
    image = random_image((1, SIDE, SIDE), seed=3)
    volume = FakeVolume(image)
    got = by_blocks(blocks_of(path, volume), volume, (1, 50, SIDE)) / 255
    given = {"raw": image.astype(np.float32)[None]}
    sample = predict(model=path, inputs=given)
    wanted = np.asarray(sample.members["shares"].data)[0, 1]
    assert wanted.std() > 0.01
    np.testing.assert_allclose(got[0, 0, 2:-2, 2:-2], wanted[2:-2, 2:-2], atol=0.6 / 255)


@pytest.mark.parametrize("kind", ["SINGLE_CLASS_SEMANTIC_SEGMENTATION", "REGRESSION"])
def test_a_czann_of_czmodel_is_read(tmp_path, kind):
    path = tmp_path / "made.czann"
    segments = kind != "REGRESSION"
    create_model_zip(data_of(onnx_model(layout="byxc", sides=(64, 64), batch=1)), ModelMetadata(
        model_type=ModelType[kind], input_shape=[64, 64, 1], output_shape=[64, 64, 2],
        min_overlap=[16, 16], classes=["Background", "Mito"] if segments else None,
        model_name="small", scaling=(4e-9, 5e-9),
    ), str(path))
    model = read_foreign(path)
    assert (model.kind, model.sides, model.margin) == ("czann", (Side(64, 0),) * 2, (8, 8))
    assert model.names == ("Mito" if segments else "made",)
    assert model.spacing == pytest.approx((None, 5.0, 4.0))
