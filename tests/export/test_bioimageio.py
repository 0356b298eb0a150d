"""A bioimage.io package: valid, data only, and its test passes in bioimageio.core."""

from __future__ import annotations

import hashlib
import io
import zipfile

import numpy as np
import pytest
import yaml
from bioimageio.core import test_model as run_test
from bioimageio.spec import ValidationContext
from bioimageio.spec.model.v0_5 import ModelDescr
from travelling import CONSTANTS, small_model

from fibseg.data import Normalisation
from fibseg.export.bioimageio import Example, bioimageio_bytes, description, example_side
from fibseg.export.image_onnx import image_onnx
from fibseg.export.passport import passport
from fibseg.export.terms import NOT_STATED, Terms
from fibseg.inference.parity import Batch, torch_runner

TERMS = Terms("MIT", ["A. Author"], "A paper", "10.1234/x")


def make(*, context=0, terms=TERMS, wrong=0.0) -> bytes:
    network, spec = small_model(n_classes=2, context=context, spacing=(30.0, 8.0, 10.0))
    told = passport(spec, CONSTANTS, name="m", digest="d", licence=terms.licence, values="raw")
    side = example_side(spec)
    image = np.random.default_rng(0).integers(0, 256, (1, spec.in_channels, side, side), np.uint8)
    values = Normalisation(CONSTANTS.low, CONSTANTS.high, invert=True)
    probs = torch_runner(network, values, multiple=2)(Batch("real", image.astype(np.float32)))
    return bioimageio_bytes(
        image_onnx(network, spec, CONSTANTS, told, adjustable=False), spec, CONSTANTS,
        Example(image, probs + np.float32(wrong)), name="my.model", terms=terms, told=told,
        parity="{}",
    )


def contents(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.filterwarnings("ignore")  # what the libraries warn of among themselves
@pytest.mark.parametrize("context", [0, 1])
def test_the_model_zoos_own_test_passes(tmp_path, context):
    path = tmp_path / "m.zip"
    path.write_bytes(make(context=context))
    found = run_test(path)
    wrong = [d for d in found.details if d.errors and "conda" not in d.name]
    assert found.status == "passed", wrong
    assert any("Reproduce test outputs" in d.name and d.status == "passed" for d in found.details)


@pytest.mark.filterwarnings("ignore")
def test_that_test_would_find_another_output(tmp_path):
    path = tmp_path / "m.zip"
    path.write_bytes(make(wrong=0.1))
    assert run_test(path).status != "passed"


def test_the_package_holds_data_only_and_every_digest_fits():
    files = contents(make())
    assert list(files) == [
        "rdf.yaml", "weights.onnx", "test_input.npy", "test_output.npy", "README.md",
        "parity.json",
    ]
    rdf = yaml.safe_load(files["rdf.yaml"])
    told = [
        rdf["documentation"], *rdf["attachments"], rdf["inputs"][0]["test_tensor"],
        rdf["outputs"][0]["test_tensor"], rdf["weights"]["onnx"],
    ]
    assert {f["source"] for f in told} == set(files) - {"rdf.yaml"}
    for file in told:
        assert file["sha256"] == hashlib.sha256(files[file["source"]]).hexdigest()
    image = np.load(io.BytesIO(files["test_input.npy"]), allow_pickle=False)
    assert image.dtype == np.uint8  # as it is stored
    assert rdf["name"] == "fibseg my-model"
    assert rdf["authors"] == [{"name": "A. Author"}]
    assert rdf["license"] == "MIT"
    assert rdf["cite"][0] == {"text": "A paper", "doi": "10.1234/x"}


def test_axes_of_the_output_have_the_units_of_the_input_and_its_margin_as_halo():
    _, spec = small_model(spacing=(30.0, 8.0, 10.0))
    names = ("README.md", "parity.json", "test_input.npy", "test_output.npy", "weights.onnx")
    files = dict.fromkeys(names, b"")
    rdf = description(spec, CONSTANTS, name="m", terms=Terms(), told={}, files=files)
    with ValidationContext(perform_io_checks=False):
        found = ModelDescr.model_validate(
            {k: v for k, v in rdf.items() if k != "format_version"} | {"format_version": "0.5.12"}
        )
    inputs, outputs = found.inputs[0].axes, found.outputs[0].axes
    for given, made, nm in zip(inputs[2:], outputs[2:], (8.0, 10.0), strict=True):
        assert (given.unit, given.scale) == (made.unit, made.scale) == ("nanometer", nm)
        assert made.halo == spec.window.margin
        assert given.size.min > 2 * made.halo


def test_the_documentation_says_what_a_user_has_to_know():
    text = contents(make(terms=Terms()))["README.md"].decode()
    for words in ("8 x 10 nm", "not normalised", "40 to 200", "## Validation", NOT_STATED):
        assert words in text


def test_equal_models_make_equal_packages():
    assert make() == make()
