"""CZANN by own code, read back by the core of czmodel, which ZEISS makes."""

from __future__ import annotations

import json
import re
import uuid
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from czmodel.core.model_metadata import CZANN_FORMAT_VERSION, ModelMetadata, ModelType
from czmodel.core.util._extract_model import extract_czann_model
from czmodel.core.util.common import validate_metadata
from travelling import CONSTANTS, small_model

from fibseg.errors import DataError, UsageError
from fibseg.export.certificate import Certificate
from fibseg.export.czann import (
    OPSETS,
    CzannSettings,
    czann_bytes,
    czann_description,
    czann_graph,
)


def make(path: Path, settings: CzannSettings, **keywords) -> Path:
    network, spec = small_model(n_classes=2, spacing=(30.0, 5.3, 20.0), **keywords)
    settings.check(spec)
    told = czann_description(spec, settings, name="m", inputs="i")
    graph = czann_graph(network, spec, CONSTANTS, settings, {"a": 1})
    certificate = Certificate("m.czann", "0", "i", "", {}, [])
    path.write_bytes(czann_bytes(
        graph, told, parity=json.dumps({"inputs": certificate.inputs}), licence="MIT"
    ))
    return path


@pytest.mark.parametrize("version", list(OPSETS))
@pytest.mark.parametrize(("kind", "model_type"), [
    ("segmentation", ModelType.SINGLE_CLASS_SEMANTIC_SEGMENTATION),
    ("regression", ModelType.REGRESSION),
])
def test_czmodel_reads_what_was_written(tmp_path, version, kind, model_type):
    path = make(tmp_path / "m.czann", CzannSettings(64, kind, version))
    told, file = extract_czann_model(str(path), tmp_path / "out")
    assert isinstance(told, ModelMetadata)
    assert told.model_type is model_type
    assert told.classes == ["background", "class0", "class1"]
    assert told.input_shape == [64, 64, 1]
    assert told.output_shape == [64, 64, 3]
    assert told.scaling == (2e-8, 5.3e-9)  # x, y, in metres
    assert all(n % 2 == 0 and n >= 2 * 9 for n in told.min_overlap)
    assert uuid.UUID(told.model_id)
    model = onnx.shape_inference.infer_shapes(onnx.load(str(file)))
    shapes = [
        [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (model.graph.input[0], model.graph.output[0])
    ]
    assert [s[0] for s in shapes] == [1, 1]
    validate_metadata(told, shapes[0][1:], shapes[1][1:])
    assert model.opset_import[0].version == OPSETS[version]


def test_the_description_of_2_1_is_that_of_czmodel_and_1_1_has_no_format_version(tmp_path):
    texts = {}
    for version in OPSETS:
        path = make(tmp_path / f"{version}.czann", CzannSettings(64, version=version))
        with zipfile.ZipFile(path) as archive:
            texts[version] = json.loads(archive.read("model.json"))
            # Readers take the first file that ends so for the description, or for the graph.
            assert [n for n in archive.namelist() if n.endswith((".json", ".model"))] == [
                "model.json", "model.model"
            ]
    assert texts["2.1"]["FormatVersion"] == CZANN_FORMAT_VERSION
    assert ModelMetadata.from_json(texts["2.1"]).to_czann_dict() == texts["2.1"] | {
        "Scaling": tuple(texts["2.1"]["Scaling"])
    }
    assert texts["1.1"] == {k: v for k, v in texts["2.1"].items() if k != "FormatVersion"}


def test_the_graph_takes_a_tile_from_0_to_1(tmp_path):
    _, file = extract_czann_model(
        str(make(tmp_path / "m.czann", CzannSettings(64))), tmp_path / "out"
    )
    run = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [i.shape for i in run.get_inputs()] == [[1, 64, 64, 1]]
    tile = np.random.default_rng(0).random((1, 64, 64, 1), dtype=np.float32)
    (probs,) = run.run(None, {"image": tile})
    assert probs.shape == (1, 64, 64, 3)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-6)
    assert probs.std() > 0.01


def test_equal_models_are_byte_equal_and_others_have_another_id(tmp_path):
    a, b = (make(tmp_path / f"{n}.czann", CzannSettings(64)) for n in "ab")
    assert a.read_bytes() == b.read_bytes()
    _, spec = small_model()
    ids = {czann_description(spec, CzannSettings(), name="m", inputs=i)["Id"] for i in "ij"}
    assert len(ids) == 2


def test_a_model_of_several_planes_is_refused_with_the_reason():
    _, spec = small_model(context=1)
    with pytest.raises(DataError, match=r"looks at 3 planes at once .* given single planes"):
        CzannSettings().check(spec)


@pytest.mark.parametrize("tile", [0, 16, 65, 5000])
def test_a_tile_that_does_not_fit_is_refused_with_one_that_does(tile):
    _, spec = small_model()
    with pytest.raises(UsageError, match=f"tile={tile} does not fit") as refused:
        CzannSettings(tile).check(spec)
    CzannSettings(int(re.search(r"e\.g\. tile=(\d+)", str(refused.value))[1])).check(spec)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"kind": "instances"}, "czann_type='instances' is neither"),
    ({"version": "2.0"}, "czann_version='2.0' is neither"),
])
def test_unknown_words_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        CzannSettings(**wrong)
