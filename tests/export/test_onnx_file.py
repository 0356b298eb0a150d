"""One self-contained ONNX file, the same bytes for the same model, that tells about itself."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from travelling import CONSTANTS, small_model

from fibseg import __version__
from fibseg.export.image_onnx import image_onnx
from fibseg.export.onnx_file import graph_to_onnx
from fibseg.export.passport import passport


@pytest.fixture(scope="module")
def made():
    network, spec = small_model(context=1, n_classes=2)
    told = passport(
        spec, CONSTANTS, name="m", digest="d", licence="CC-BY-4.0", values="raw"
    )
    return image_onnx(network, spec, CONSTANTS, told, adjustable=True), told


def session(data):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def test_everything_is_inside_one_file_of_plain_operators(made):
    model = onnx.load_from_string(made[0])
    onnx.checker.check_model(model, full_check=True)
    assert {(o.domain, o.version) for o in model.opset_import} == {("", 18)}
    assert not model.functions
    assert all(not t.external_data for t in model.graph.initializer)
    assert all(node.domain == "" for node in model.graph.node)
    assert (model.producer_name, model.producer_version) == ("fibseg", __version__)


def test_batch_height_and_width_are_free(made):
    run = session(made[0])
    (image,) = run.get_inputs()
    assert image.name == "image"
    assert image.shape == ["batch", 3, "height", "width"]
    for shape in ((1, 3, 8, 8), (3, 3, 17, 5)):
        (probs,) = run.run(["probabilities"], {"image": np.ones(shape, np.float32)})
        assert probs.shape == (shape[0], 3, *shape[2:])


def test_low_and_high_may_be_given_or_left_out(made):
    run = session(made[0])
    assert [i.name for i in run.get_overridable_initializers()] == ["low", "high"]
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 8, 8)).astype(np.float32)

    def probs(**scalars):
        return run.run(None, {"image": image} | {
            k: np.array(v, np.float32) for k, v in scalars.items()
        })[0]

    np.testing.assert_array_equal(probs(), probs(low=CONSTANTS.low, high=CONSTANTS.high))
    assert np.abs(probs() - probs(low=90.0, high=110.0)).max() > 1e-3


def test_it_tells_all_that_a_program_needs(made):
    data, told = made
    found = session(data).get_modelmeta().custom_metadata_map
    assert json.loads(found["fibseg"]) == told
    assert told["classes"] == ["background", "class0", "class1"]
    assert told["spacing_nm"] == [20.0, 20.0, 20.0]
    assert told["normalisation"]["low"] == 40.0
    assert told["licence"] == "CC-BY-4.0"
    assert told["window"]["margin"] % told["stride_multiple"] == 0


def test_without_adjustable_inputs_there_is_only_the_image():
    network, spec = small_model()
    run = session(image_onnx(network, spec, CONSTANTS, {}, adjustable=False))
    assert [i.name for i in run.get_inputs()] == ["image"]
    assert run.get_overridable_initializers() == []


AGAIN = """
import hashlib
from travelling import CONSTANTS, small_model
from fibseg.export.image_onnx import image_onnx
network, spec = small_model()
print(hashlib.sha256(image_onnx(network, spec, CONSTANTS, {"a": 1}, adjustable=True)).hexdigest())
"""


def test_the_same_model_gives_the_same_bytes_in_another_process():
    network, spec = small_model()
    here = image_onnx(network, spec, CONSTANTS, {"a": 1}, adjustable=True)
    done = subprocess.run(
        [sys.executable, "-c", AGAIN], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_older_operators_can_be_asked_for():
    data = graph_to_onnx(
        torch.nn.Conv2d(1, 1, 3), (torch.zeros(1, 1, 8, 8),), inputs=("x",), output="y", opset=12
    )
    assert onnx.load_from_string(data).opset_import[0].version == 12
