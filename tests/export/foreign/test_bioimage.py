"""bioimage.io packages: what is used of them, and what is left alone or refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import yaml
from foreign_files import (
    data_of,
    description,
    follow,
    onnx_model,
    package_files,
    space,
    write_package,
    zipped,
)

from fibseg.errors import DataError
from fibseg.export.foreign import Side, read_foreign


def test_a_package_is_read(tmp_path):
    path = write_package(tmp_path / "a.zip", **{
        "inputs.0.axes.2.unit": "nanometer", "inputs.0.axes.2.scale": 8,
        "inputs.0.axes.3.unit": "micrometer", "inputs.0.axes.3.scale": 0.004,
        "outputs.0.axes.2.unit": "nanometer", "outputs.0.axes.2.scale": 8,
        "outputs.0.axes.3.unit": "micrometer", "outputs.0.axes.3.scale": 0.004,
    })
    model = read_foreign(path)
    assert (model.kind, model.layout, model.names) == ("bioimageio", "bcyx", ("mito",))
    assert model.sides == (Side(32, 16),) * 2
    assert (model.margin, model.spacing) == ((8, 8), (None, 8.0, 4.0))
    assert ([s.name for s in model.before], model.statistics) == (["scale_range"], True)
    assert model.activation == "none"


@pytest.mark.parametrize(("model", "changed", "activation", "names"), [
    ({}, {"outputs.0.data": {"type": "float32"}}, "none", ("mito",)),
    ({"end": None}, {"outputs.0.data": {"type": "float32"}}, "softmax", ("mito",)),
    ({"end": None}, {"outputs.0.postprocessing": [{"id": "softmax"}]}, "none", ("mito",)),
    ({"end": None, "n": 1}, {"outputs.0.axes.1.channel_names": ["mito"],
                             "outputs.0.data": {"type": "float32"}}, "sigmoid", ("mito",)),
    ({"end": None, "n": 1}, {"outputs.0.axes.1.channel_names": ["mito"],
                             "outputs.0.postprocessing": [{"id": "sigmoid"}]}, "none", ("mito",)),
])
def test_steps_and_ranges_tell_what_comes_out(tmp_path, model, changed, activation, names):
    found = read_foreign(write_package(tmp_path / "a.zip", model, **changed))
    assert (found.activation, found.names) == (activation, names)


def test_sizes_may_be_fixed_and_axes_in_any_order(tmp_path):
    axes = [{"type": "batch"}, space("y", size=64), space("x", size=follow("y")),
            {"type": "channel", "channel_names": ["grey"]}]
    out = [{"type": "batch"}, space("y", size=follow("y")), space("x", size=follow("x")),
           {"type": "channel", "channel_names": ["a", "b"]}]
    path = write_package(tmp_path / "a.zip", {"layout": "byxc"}, **{
        "inputs.0.axes": axes, "outputs.0.axes": out,
    })
    found = read_foreign(path)
    assert (found.layout, found.sides, found.margin) == ("byxc", (Side(64, 0),) * 2, None)
    assert found.square
    assert found.names == ("a", "b")


@pytest.mark.parametrize(("changed", "match"), [
    ({"format_version": "0.4.10"}, "format_version '0.4.10'"), ({"format_version": 0.5}, "0.5"),
    ({"format_version": "0.6.0"}, "0.6.0"), ({"type": "dataset"}, "does not describe a model"),
    ({"inputs": []}, "0 tensors"), ({"outputs": "x"}, "tensors"),
    ({"inputs": None}, "lacks inputs"),
    ({"inputs.0.axes": "bcyx"}, "not a list"), ({"inputs.0.axes.2.id": "z"}, "gives planes"),
    ({"inputs.0.axes.0": {"type": "time", "id": "t"}}, "gives planes"),
    ({"inputs.0.axes.0": {"type": "index", "size": 3}}, "gives planes"),
    ({"inputs.0.axes.3.id": "y"}, "not y and x once"), ({"inputs.0.axes.0.size": 4}, "batches"),
    ({"inputs.0.axes.2.size": {"min": 0, "step": 16}}, "whole number"),
    ({"inputs.0.axes.2.size": {"min": 32, "step": -1}}, "whole number"),
    ({"inputs.0.axes.2.size": {"min": 32, "step": 1e9}}, "whole number"),
    ({"inputs.0.axes.2.size": 10**9}, "whole number"), ({"inputs.0.axes.2.size": "64"}, "whole"),
    ({"inputs.0.axes.2.evil": 1}, "has the keys"), ({"inputs.0.axes.2.scale": 0}, "pixels of 0"),
    ({"inputs.0.axes.2.unit": "parsec"}, "pixels of"),
    ({"inputs.0.axes.1.channel_names": []}, "channels"),
    ({"outputs.0.axes.2.size": follow("x")}, "not the same axis"),
    ({"outputs.0.axes.2.size": {"tensor_id": "other", "axis_id": "y"}}, "not the same axis"),
    ({"outputs.0.axes.2.size": follow("y", -8)}, "other pixels"),
    ({"outputs.0.axes.2.scale": 0.5}, "other pixels"), ({"outputs.0.axes.2.halo": -1}, "halo"),
    ({"outputs.0.axes.1.channel_names": ["a", "b", "c"]}, "names 3 classes"),
    ({"inputs.0.preprocessing": [{"id": "magic"}]}, "the step 'magic'"),
    ({"inputs.0.name": {"_target_": "pathlib.Path.touch"}}, "plain data"),
    ({"inputs.0.name": "${oc.env:HOME}"}, "plain data"),
])
def test_what_fibseg_does_not_do_is_refused_by_name(tmp_path, changed, match):
    with pytest.raises(DataError, match=match):
        read_foreign(write_package(tmp_path / "a.zip", **changed))


class Payload:
    """Leaves a marker where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_weights_that_can_run_code_are_never_opened(tmp_path):
    marker = tmp_path / "marker"
    evil = pickle.dumps(Payload(marker))
    kinds = ("pytorch_state_dict", "torchscript", "keras_hdf5", "keras_v3",
             "tensorflow_saved_model_bundle", "tensorflow_js")
    entries = {kind: {"source": f"{kind}.bin"} for kind in kinds}
    files = package_files() | {f"{kind}.bin": evil for kind in kinds}
    text = description(weights=entries)
    path = zipped(tmp_path / "a.zip", files | {"rdf.yaml": yaml.safe_dump(text).encode()})
    with pytest.raises(DataError, match=r"\['keras_hdf5', .*'torchscript'\], which are not opened"):
        read_foreign(path)
    onnx = data_of(onnx_model())
    text = description(data=onnx)
    text["weights"] |= entries
    path = zipped(tmp_path / "b.zip", files | {"rdf.yaml": yaml.safe_dump(text).encode()})
    assert read_foreign(path).names == ("mito",)
    assert not marker.exists()


def test_code_of_a_package_is_never_run(tmp_path):
    marker = tmp_path / "marker"
    code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass op: pass\n"
    custom = [{"id": "custom", "callable": "op", "source": "op.py"}]
    files = package_files(**{"outputs.0.postprocessing": custom}) | {"op.py": code.encode()}
    with pytest.raises(DataError, match="the step 'custom'; known here are"):
        read_foreign(zipped(tmp_path / "a.zip", files))
    assert not marker.exists()


@pytest.mark.parametrize(("entry", "match"), [
    ({"source": "https://example.org/weights.onnx"}, "nothing is downloaded"),
    ({"source": "file:///etc/passwd"}, "nothing is downloaded"), ({"source": 5}, "nothing is"),
    ({}, "nothing is downloaded"), ({"source": "../weights.onnx"}, "but not '../weights.onnx'"),
    ({"source": "/etc/passwd"}, "but not '/etc/passwd'"), ({"source": "none.onnx"}, "but not"),
    ({"source": "weights.onnx", "sha256": "0" * 64}, "its description tells 000"),
    ({"source": "weights.onnx", "sha256": 5}, "its description tells 5"),
    ({"source": "weights.onnx", "external_data": {"source": "w.bin"}}, "second file"),
    ({"source": "in.npy"}, "not a whole ONNX file"), ({"source": "rdf.yaml"}, "not a whole ONNX"),
    ("weights.onnx", "nothing is downloaded"),
])
def test_weights_elsewhere_or_changed_are_refused(tmp_path, entry, match):
    with pytest.raises(DataError, match=match):
        read_foreign(write_package(tmp_path / "a.zip", weights={"onnx": entry}))


def test_one_flipped_bit_in_the_weights_is_found(tmp_path):
    files = package_files()
    data = bytearray(files["weights.onnx"])
    data[len(data) // 2] ^= 1
    path = zipped(tmp_path / "a.zip", files | {"weights.onnx": bytes(data)})
    with pytest.raises(DataError, match="it was changed or damaged"):
        read_foreign(path)


def test_a_description_that_builds_things_is_refused(tmp_path):
    marker = tmp_path / "marker"
    path = f"!!python/object/apply:pathlib.Path [{marker}]"
    text = f"!!python/object/apply:pathlib.Path.touch [{path}]"
    path = zipped(tmp_path / "a.zip", package_files() | {"rdf.yaml": text.encode()})
    with pytest.raises(DataError, match="tag"):
        read_foreign(path)
    assert not marker.exists()


def test_names_of_the_description(tmp_path):
    files = package_files()
    files["bioimageio.yaml"] = files.pop("rdf.yaml")
    assert read_foreign(zipped(tmp_path / "a.zip", files)).kind == "bioimageio"
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert "rdf.yaml" not in archive.namelist()
