"""Images that files are compared on: real ones from everywhere in a volume, and made-up ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from travelling import CONSTANTS, small_model, small_store, trained_model

from fibseg.export import load_spec
from fibseg.export.constants import constants_of
from fibseg.pipeline.export_windows import (
    N_REAL,
    Scene,
    image_batches,
    scene_of,
    tile_batches,
    training_store,
)

SPEC = small_model(context=1)[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small_store(tmp_path_factory.mktemp("store") / "cell.ome.zarr")


def test_windows_are_from_all_planes_with_their_neighbours():
    raw = np.arange(5)[:, None, None] * 1000 + np.arange(900).reshape(30, 30)
    windows = Scene(raw, raw.shape, "").windows(SPEC, side=8, n=5)
    assert windows.shape == (5, 3, 8, 8)
    np.testing.assert_array_equal(windows[:, 1, 0, 0] // 1000, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(windows[:, 0, 0, 0] // 1000, [1, 0, 1, 2, 3])  # mirrored
    assert len({*windows[:, 1, 0, 0] % 1000}) > 2
    assert (windows[..., 0, 1] - windows[..., 0, 0] == 1).all()


def test_a_plane_smaller_than_a_window_is_mirrored():
    raw = np.arange(12).reshape(1, 3, 4)
    window = Scene(raw, raw.shape, "").windows(replace(SPEC, context=0), side=6, n=1)[0, 0]
    np.testing.assert_array_equal(window, np.pad(raw[0], ((0, 3), (0, 2)), mode="reflect"))


def test_a_store_is_read_at_the_level_of_the_model(store):
    scene = scene_of(SPEC, constants_of(store), store)
    assert scene.shape == store.shape
    assert scene.text == f"the volume cell, raw {store.raw_digest}"
    found = scene.windows(SPEC, side=70, n=2)[1, 1]
    np.testing.assert_array_equal(found[:, :60], store.raw()[5])


@pytest.mark.parametrize("polarity", ["dark", "bright"])
def test_the_phantom_has_the_grey_values_of_the_file_and_says_what_it_is(polarity):
    values = replace(CONSTANTS, low=3000.0, high=9000.0, polarity=polarity, dtype="uint16")
    scene = scene_of(SPEC, values, None)
    assert scene.raw.dtype == np.uint16
    low, high = np.percentile(scene.raw, (0.5, 99.5))
    assert abs(low - 3000) < 100
    assert abs(high - 9000) < 100
    assert "built-in phantom" in scene.text
    resin = np.median(scene.raw[0, :4, :4])  # without stain, in a corner
    assert resin > 6000 if polarity == "dark" else resin < 6000


def test_the_training_volume_is_found_where_it_was_and_only_the_same(store, tmp_path):
    for typed in (f"volume={store.path}", f"volume=['{tmp_path}/none','{store.path}']"):
        model = trained_model(tmp_path / typed[-12:-9], store, overrides=("seed=1", typed))
        found = training_store(load_spec(model))
        assert found is not None
        assert found.path == store.path
    other = small_store(tmp_path / "other.ome.zarr", seed=5)
    spec = load_spec(trained_model(tmp_path / "m", store, overrides=(f"volume={other.path}",)))
    assert training_store(spec) is None
    assert training_store(SPEC) is None


def kinds(batches):
    return {k: sum(len(b.images) for b in batches if b.kind == k) for k in (
        "real", "constant", "extreme", "odd-sized", "other grey values"
    )}


def test_images_of_every_kind_are_compared(store):
    scene, values = scene_of(SPEC, constants_of(store), store), constants_of(store)
    batches = image_batches(scene, SPEC, values, adjustable=True)
    assert kinds(batches) == {
        "real": N_REAL, "constant": 5, "extreme": 4, "odd-sized": 5, "other grey values": 4
    }
    assert N_REAL >= 16
    assert len({len(b.images) for b in batches}) > 1
    odd = [b.images.shape[2:] for b in batches if b.kind == "odd-sized"]
    assert all(y % SPEC.stride_multiple or x % SPEC.stride_multiple for y, x in odd)
    flat = [b.images for b in batches if b.kind == "constant"]
    assert {float(i.min()) for i in flat} >= {0.0, values.low, values.high, 255.0}
    assert all(i.min() == i.max() for i in flat)
    wild = [b.images for b in batches if b.kind == "extreme"]
    assert min(i.min() for i in wild) < 0
    assert max(i.max() for i in wild) > 255
    fixed = image_batches(scene, SPEC, values, adjustable=False)
    assert kinds(fixed)["other grey values"] == 0


def test_tiles_have_one_size_and_odd_images_lie_in_them(store):
    spec = small_model()[1]
    scene = scene_of(spec, constants_of(store), store)
    batches = tile_batches(scene, spec, constants_of(store), side=32)
    assert {b.images.shape[1:] for b in batches} == {(1, 32, 32)}
    assert kinds(batches)["real"] == N_REAL
    odd = [b.images[0, 0] for b in batches if b.kind == "odd-sized"]
    assert [(int(i.any(1).sum()), int(i.any(0).sum())) for i in odd] == [(1, 1), (31, 17), (10, 29)]
