"""Model files on blocks: equal to the whole plane, and the same for any blocks and threads."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from foreign_blocks import blocks_of, by_blocks
from foreign_files import (
    czann_files,
    data_of,
    onnx_model,
    weights,
    write_czann,
    write_onnx,
    write_package,
    zipped,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import FakeVolume, random_image
from onnx import TensorProto, helper, numpy_helper
from scipy.signal import correlate

from fibseg.errors import DataError
from fibseg.inference.foreign_block import windows

SHAPE = (3, 90, 75)


def expected(image, *, n=2, radius=1, seed=0, end="softmax"):
    """Shares of the classes, the whole plane at once, mirrored at its border."""
    w = weights(n, radius=radius, seed=seed)
    found = []
    for plane in image:
        seen = np.pad(plane.astype(np.float64), radius, mode="reflect")
        v = np.stack([correlate(seen, k[0], mode="valid") for k in w])
        v -= w.sum((1, 2, 3))[:, None, None] / 2
        v = np.exp(v - v.max(0))
        found.append((v / v.sum(0)) if end == "softmax" else v)
    return np.stack(found, axis=1)


@pytest.fixture(scope="module")
def volume():
    return FakeVolume(random_image(SHAPE))


@pytest.mark.parametrize("layout", ["bcyx", "byxc", "cyx", "yxc"])
def test_any_layout_gives_the_same(tmp_path, volume, layout):
    path = write_onnx(tmp_path / "m.onnx", layout=layout, sides=(48, 32))
    got = by_blocks(blocks_of(path, volume), volume, SHAPE)
    assert got.shape == (1, *SHAPE)
    wanted = expected(volume.image / 255)[1]
    assert wanted.std() > 0.1
    # Windows are padded by zeros inside the graph: their outermost pixels have little weight.
    assert np.abs(got[0] / 255 - wanted).mean() < 4e-3
    assert np.median(np.abs(got[0] / 255 - wanted)) < 0.5 / 255


@pytest.mark.parametrize("overlap", [["MinOverlap", [2, 2]], ["MinOverlap", [16, 4]]])
def test_windows_cut_at_their_margin_equal_the_whole_plane(tmp_path, volume, overlap):
    path = write_czann(tmp_path / "m.czann", side=40, n=3, **dict([overlap]))
    task = blocks_of(path, volume)
    assert not task.plan.blended
    got = by_blocks(task, volume, SHAPE) / 255
    np.testing.assert_allclose(got, expected(volume.image / 255, n=3)[1:], atol=0.51 / 255)


def test_a_margin_that_is_too_small_would_show(tmp_path, volume):
    path = write_czann(tmp_path / "m.czann", side=40, radius=6, MinOverlap=[2, 2])
    got = by_blocks(blocks_of(path, volume), volume, SHAPE) / 255
    assert np.abs(got - expected(volume.image / 255, radius=6)[1:]).max() > 0.05


def test_a_package_is_normalised_by_the_whole_volume(tmp_path, volume):
    path = write_package(tmp_path / "m.zip")
    low, high = np.percentile(volume.image, [1, 99])
    scaled = (volume.image - low) / (high - low + 1e-6)
    got = by_blocks(blocks_of(path, volume), volume, (1, 30, 75)) / 255
    np.testing.assert_allclose(got, expected(scaled)[1:], atol=0.51 / 255)


@pytest.mark.parametrize("end", [None, "Softmax"])
def test_logits_become_shares(tmp_path, volume, end):
    path = write_czann(tmp_path / "a.czann", side=40)
    wanted = by_blocks(blocks_of(path, volume), volume, SHAPE)
    changed = {"outputs.0.data": {"type": "float32"}, "inputs.0.preprocessing": [
        {"id": "scale_linear", "kwargs": {"gain": 1 / 255}}
    ]}
    path = write_package(tmp_path / "b.zip", {"end": end}, **changed)
    got = by_blocks(blocks_of(path, volume), volume, SHAPE)
    np.testing.assert_allclose(got.astype(int), wanted, atol=1)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_blocks_change_nothing(tmp_path_factory, data):
    """Hypothesis: any volume, block shape, window, margin, blending, symmetries, spacing."""
    draw = data.draw
    folder = tmp_path_factory.mktemp("m")
    side, radius = draw(st.sampled_from([16, 24, 33])), draw(st.sampled_from([1, 2]))
    margin, tta = draw(st.sampled_from([None, [8, 8]])), draw(st.sampled_from(["none", "d4"]))
    nm = draw(st.sampled_from([20.0, 20.0, 40.0, 29.0, 14.0]))
    if draw(st.booleans()):
        path = write_czann(folder / "m.czann", side=side, MinOverlap=margin,
                           Scaling=[nm * 1e-9] * 2)
    else:
        path = write_onnx(folder / "m.onnx", radius=radius, n=3, sides=(side, side))
    shape = tuple(draw(st.integers(low, high)) for low, high in [(1, 5), (9, 60), (9, 60)])
    volume = FakeVolume(random_image(shape, seed=draw(st.integers(0, 99))), n_levels=2)
    task = blocks_of(path, volume, overlap=draw(st.sampled_from([0.0, 0.4])), tta=tta)
    whole = by_blocks(task, volume, shape)
    block = tuple(draw(st.integers(max(1, n // 3), n + 9)) for n in shape)
    np.testing.assert_array_equal(by_blocks(task, volume, block), whole)


def test_threads_change_nothing(tmp_path, volume):
    path, before, found = write_onnx(tmp_path / "m.onnx", radius=3), torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            windows.cache_clear()
            found.append(by_blocks(blocks_of(path, volume), volume, SHAPE))
    finally:
        torch.set_num_threads(before)
        windows.cache_clear()
    np.testing.assert_array_equal(*found)


def test_symmetries_are_averaged(tmp_path, volume):
    path = write_czann(tmp_path / "m.czann", side=40)
    task = blocks_of(path, volume, tta="flips")
    turned = FakeVolume(volume.image[:, :, ::-1].copy())
    w = weights(2)
    assert np.abs(w - w[..., ::-1]).max() > 0.1
    got = by_blocks(task, volume, SHAPE).astype(int)
    mirrored = by_blocks(blocks_of(path, turned, tta="flips"), turned, SHAPE)[..., ::-1]
    np.testing.assert_allclose(got, mirrored, atol=1)
    plain = by_blocks(blocks_of(path, volume), volume, SHAPE)
    assert np.abs(got - plain).max() > 5


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.UINT16])
def test_whole_numbers_go_in_as_such(tmp_path, volume, dtype):
    largest = 255 if dtype == TensorProto.UINT8 else 65535
    path = write_onnx(tmp_path / "m.onnx", dtype=dtype, scale=1 / largest, sides=(48, 48))
    got = by_blocks(blocks_of(path, volume), volume, SHAPE)
    w = weights(2)
    shift = (w.sum((1, 2, 3)) / 2 / largest * (largest - 1))  # the bias is scaled as well
    seen = np.pad(volume.image[1] / 255, 1, mode="reflect")
    v = np.stack([correlate(seen, k[0], mode="valid") for k in w])
    v += (shift - w.sum((1, 2, 3)) / 2)[:, None, None]
    wanted = 1 / (1 + np.exp(v[0] - v[1]))
    assert np.abs(got[0, 1] / 255 - wanted).mean() < 3e-3


def constants_model(path, polarity):
    """(image - low) / (high - low), through a sigmoid that makes stain bright."""
    nodes = [
        helper.make_node("Sub", ["image", "low"], ["a"]),
        helper.make_node("Sub", ["high", "low"], ["b"]), helper.make_node("Div", ["a", "b"], ["s"]),
        helper.make_node("Sub", ["one", "s"] if polarity == "dark" else ["s", "zero"], ["t"]),
        helper.make_node("Sigmoid", ["t"], ["result"]),
    ]
    values = {"low": 10.0, "high": 20.0, "one": 1.0, "zero": 0.0}
    f, shape = TensorProto.FLOAT, ["b", 1, "y", "x"]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", f, shape)] + [
            helper.make_tensor_value_info(n, f, []) for n in ("low", "high")
        ], [helper.make_tensor_value_info("result", f, shape)],
        [numpy_helper.from_array(np.float32(v), n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"fibseg": (
        '{"format_version": 1, "classes": ["mito"], "spacing_nm": [20, 20, 20], "context": 0, '
        '"window": {"core": [32, 32], "margin": 4}, "stride_multiple": 4, "values": "raw", '
        f'"normalisation": {{"polarity": "{polarity}"}}}}'
    )})
    path.write_bytes(data_of(model))
    return path


@pytest.mark.parametrize("inside", ["dark", "bright"])
@pytest.mark.parametrize("here", ["dark", "bright"])
def test_fibsegs_own_take_grey_values_and_polarity_of_the_volume(tmp_path, inside, here):
    volume = FakeVolume(random_image(SHAPE), polarity=here)
    path = constants_model(tmp_path / "m.onnx", inside)
    low, high = (volume.percentiles[p] for p in ("p0.5", "p99.5"))
    share = (volume.image - low) / (high - low)
    wanted = 1 / (1 + np.exp(-(1 - share if here == "dark" else share)))
    got = by_blocks(blocks_of(path, volume), volume, (2, 60, 75))[0] / 255
    np.testing.assert_allclose(got, wanted, atol=0.51 / 255)


def test_values_that_are_no_probabilities_are_refused(tmp_path, volume):
    model = onnx_model(layout="byxc", sides=(40, 40), batch=1, end=None)
    path = zipped(tmp_path / "m.czann", czann_files(side=40) | {"model.model": data_of(model)})
    task = blocks_of(path, volume)
    with pytest.raises(DataError, match=r"values from -\d.* which are no probabilities"):
        task.check()


def test_nan_is_refused(tmp_path, volume):
    model = onnx_model()
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.full((2, 1, 3, 3), np.inf, np.float32), "w")
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(data_of(model))
    with pytest.raises(DataError, match=r"\d+ NaN or infinite values"):
        blocks_of(path, volume).check()


def test_a_file_that_onnx_runtime_cannot_load_is_one_clear_error(tmp_path, volume):
    model = onnx_model()
    model.opset_import[0].version = 999
    path = tmp_path / "m.onnx"
    path.write_bytes(data_of(model))
    with pytest.raises(DataError, match=r"rule of ONNX|cannot load the model|does not fit"):
        blocks_of(path, volume).check()


def test_a_file_that_changes_while_it_is_in_use_is_refused(tmp_path, volume):
    path = write_onnx(tmp_path / "m.onnx")
    task = blocks_of(path, volume)
    write_onnx(path, seed=1)
    with pytest.raises(DataError, match="was changed while it was in use"):
        by_blocks(task, volume, SHAPE)


def test_settings_are_plain_and_leave_out_what_follows_from_others(tmp_path, volume):
    path = write_package(tmp_path / "m.zip")
    task = blocks_of(path, volume)
    assert pickle.loads(pickle.dumps(task)) == task
    assert set(task.settings()) == {"plan", "normalisation", "tta", "rules"}
    assert replace(task, before=()).settings() == task.settings()
    assert task.settings()["plan"] == dataclasses.asdict(task.plan)
    assert "ONNX Runtime in float32, windows of" in task.note()
