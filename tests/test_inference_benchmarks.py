"""The scripts of benchmarks/ on inference run, at small sizes and on a CPU."""

from __future__ import annotations

import numpy as np
import pytest
from inference_fakes import random_image, random_model

from fibseg.export import save_model_folder
from fibseg.inference import Backend


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model_folder(
        tmp_path_factory.mktemp("m") / "m", *random_model(features=(4, 4), core=64)
    )


def test_the_script_for_a_gpu_runs_without_one(tmp_path, model, capsys):
    import inference_gpu

    found = inference_gpu.main([
        "--device", "cpu", "--side", "48", "--model", str(model), "--keep", str(tmp_path),
        "--timed-steps", "1", "--batch", "1",
    ])
    assert len(found) == 4
    assert min(found.values()) > 0
    assert found["memory to memory along z y x, s"] > found["memory to memory along z, s"]
    assert "patches of 128² a second" in capsys.readouterr().out


def test_orientations_turn_there_and_back(model, tmp_path):
    import inference_gpu
    from phantom_model import store_with

    from fibseg.export import load_network

    image = random_image((24, 32, 40))
    volume = store_with(tmp_path / "v.ome.zarr", image)
    network, spec = load_network(model)
    on = Backend("torch", "float32")
    for axis, turn in inference_gpu.TURNS.items():
        got = inference_gpu.along(image, axis, network, spec, volume, on)
        turned = np.ascontiguousarray(image.transpose(turn))
        back = inference_gpu.along(turned, "z", network, spec, volume, on)
        np.testing.assert_array_equal(got.transpose(turn), back)
    assert got.std() > 2


def test_a_seam_scores_above_one_and_none_scores_one():
    from seams import seam_score

    smooth = np.random.default_rng(0).normal(size=(8, 64, 64))
    assert seam_score(smooth, 16) == pytest.approx(1, abs=0.1)
    cut = smooth + 3.0 * (np.arange(64) // 16 % 2)
    assert seam_score(cut, 16) > 2
    assert np.isnan(seam_score(smooth, 64))


def test_resin_left_out_changes_nothing_inside(tmp_path, model):
    import resin

    assert resin.cylinder((8, 200, 300), 0.3)[4].mean() == pytest.approx(0.3, abs=0.01)
    found = resin.main([
        "--shape", "8", "160", "160", "--model", str(model), "--keep", str(tmp_path),
        "--backend", "torch",
    ])
    assert min(found.values()) > 0
