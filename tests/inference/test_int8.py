"""Where a network is rounded, that it computes in integers then, and which records are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from inference_fakes import random_image, random_model
from torch import nn

from fibseg.errors import UsageError
from fibseg.inference import Backend, Int8

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from fibseg.inference.calibrate import calibrated
from fibseg.inference.int8 import release, rounded_tensors
from fibseg.inference.run_openvino import converted, openvino_core

SHAPE = (2, 1, 64, 96)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return random_model(features=(8, 16))[0]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    image = (torch.from_numpy(random_image(SHAPE[1:], seed=3).astype(np.float32)) - 120) / 40
    return torch.stack([image, image.flip(2)])


@pytest.fixture(scope="module")
def int8(network, images) -> Int8:
    return replace(calibrated(network, list(images), leading=1), loss=(0.25,))


@pytest.fixture(scope="module")
def graph(network, int8):
    return int8.apply(converted(network, SHAPE))


@pytest.fixture(scope="module")
def logits(network, int8, images) -> torch.Tensor:
    return Backend("openvino", "int8", int8=int8).compile(network, SHAPE)(images)


def names(graph, leading):
    found = rounded_tensors(graph, leading)
    return [[o.get_node().get_friendly_name().split("/")[0] for o in group] for group in found]


def test_what_is_concatenated_shares_a_range_and_both_ends_stay_as_they_are(network):
    found = names(converted(network, SHAPE), 1)
    relu = "__module.{}.adn.A".format
    assert found == [
        [relu("encoder.0.0")],
        [relu("encoder.0.1"), relu("encoder.1.1")],
        [relu("encoder.1.0")],
        [relu("decoder.0.0")],
    ]
    assert names(converted(network, SHAPE), 2) == found[1:]


def test_all_convolutions_but_both_ends_are_computed_in_integers(graph):
    ready = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [
        node.get_rt_info()["runtimePrecision"].astype(str)
        for node in ready.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert kinds[0] == kinds[-1] == "f32"
    assert len(kinds) == 7
    assert set(kinds[1:-1]) <= {"u8", "i8"}


def test_it_is_near_float32_but_not_the_same(network, logits, images):
    with torch.inference_mode():
        exact = network(images).softmax(1)
    off = (logits.softmax(1) - exact).abs()
    assert exact.std() > 0.1
    assert 1e-4 < off.mean() < 0.03


def test_threads_change_nothing_that_is_stored(network, int8, images, logits):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        other = Backend("openvino", "int8", int8=int8).compile(network, SHAPE)(images)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(other, logits)


ON_ANOTHER_PROCESSOR = """
import sys
import numpy as np
import openvino
ready = openvino.Core().compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
np.save(sys.argv[2], ready.create_infer_request().infer({0: np.load(sys.argv[3])})[0])
"""


def on_processor(instructions, graph, images, folder):
    """Logits where the processor has no more than these instructions."""
    import openvino

    openvino.save_model(graph, folder / "graph.xml", compress_to_fp16=False)
    np.save(folder / "images.npy", images)
    command = [sys.executable, "-c", ON_ANOTHER_PROCESSOR]
    files = [str(folder / name) for name in ("graph.xml", "logits.npy", "images.npy")]
    subprocess.run(
        command + files, check=True, env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    )
    return torch.from_numpy(np.load(folder / "logits.npy"))


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_processors_without_instructions_for_it_compute_the_same(
    graph, images, logits, tmp_path, instructions
):
    there = on_processor(instructions, graph, images, tmp_path)
    off = (logits.softmax(1) - there.softmax(1)).abs()
    # Ends in float32 differ in their last digits, which can move a rounding between them by a step.
    assert (off <= 1 / 255).double().mean() > 0.95


def test_the_greatest_sums_overflow_nowhere(tmp_path):
    ones = nn.Sequential(
        nn.Conv2d(1, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 1, 1)
    )
    for name, values in ones.named_parameters():
        nn.init.constant_(values, float("weight" in name))
    image = torch.ones(1, 1, 16, 16)
    int8 = calibrated(ones, list(image), leading=1)
    graph = int8.apply(converted(ones, tuple(image.shape)))
    got = on_processor("AVX2", graph, image, tmp_path)
    np.testing.assert_allclose(got, 16 * 9 * 16, rtol=1e-3)


def test_a_channel_of_zeros_is_rounded_to_zeros(images):
    network = random_model(features=(4, 4))[0]
    convolution = next(p for n, p in network.named_parameters() if n == "encoder.1.0.conv.weight")
    convolution.data[1] = 0
    int8 = calibrated(network, list(images), leading=1)
    got = Backend("openvino", "int8", int8=int8).compile(network, SHAPE)(images)
    assert bool(torch.isfinite(got).all())


def test_ranges_of_another_network_are_refused(int8):
    other = random_model(features=(4, 4, 4))[0]
    with pytest.raises(UsageError, match=r"4 ranges are given, and the network rounds 7 tensors"):
        Backend("openvino", "int8", int8=int8).compile(other, SHAPE)


def test_a_network_of_nothing_but_ends_is_refused():
    one = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with pytest.raises(UsageError, match="nothing is left"):
        calibrated(one, [torch.zeros(1, 16, 16)], leading=1)


def test_int8_without_ranges_is_refused(network):
    with pytest.raises(UsageError, match="fibseg infer measures"):
        Backend("openvino", "int8").compile(network, SHAPE)


def test_a_record_is_read_as_it_was_written(int8):
    backend = Backend("openvino", "int8", int8=int8)
    assert Backend.read(json.loads(json.dumps(backend.record()))) == backend
    assert backend.record() == json.loads(json.dumps(backend.record()))
    plain = Backend("torch", "float32")
    assert plain.record() == {"name": "torch", "precision": "float32", "device": "cpu"}
    assert Backend.read(plain.record()) == plain


@pytest.mark.parametrize("damage", [
    {"ranges": [[0, float("nan")]]}, {"ranges": [[1.0, 0.0]]}, {"ranges": [[0]]}, {"ranges": None},
    {"leading": "many"}, {"loss": 3}, {"made_by": "2020.1"},
])
def test_a_damaged_record_or_one_of_another_release_is_not_understood(int8, damage):
    record = asdict(int8)
    assert Int8.read(record) == int8
    assert Int8.read({**record, **damage}) is None
    whole = Backend("openvino", "int8", int8=int8).record()
    assert Backend.read({**whole, "int8": {**record, **damage}}) is None
    assert Int8.read({k: v for k, v in record.items() if k not in damage}) is None


def test_the_release_is_that_of_openvino():
    assert release().split(".")[0].isdigit()
