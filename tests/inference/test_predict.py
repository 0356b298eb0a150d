"""The law of the house: the result depends on the volume and the model, on no window or block."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import FakeVolume, by_blocks, make_predictor, random_image, random_model

from fibseg.data import Normalisation, normalise
from fibseg.errors import DataError
from fibseg.geometry import Box, downsample_mean
from fibseg.inference import predict_planes
from fibseg.inference.predict import normalised

SHAPE = (5, 100, 90)


def whole_plane(model, volume, z, *, level=0):
    """Probabilities of one plane, mirrored at its border and seen by the network at once."""
    network, spec = model
    image = volume.raw(level)
    planes = np.pad(image, ((spec.context,) * 2, (0, 0), (0, 0)), mode="reflect")
    stack = normalise(planes[z : z + spec.in_channels], Normalisation.of(volume))
    pad, multiple = spec.window.margin, spec.stride_multiple
    sides = [(pad, pad + -n % multiple) for n in stack.shape[1:]]
    seen = torch.from_numpy(np.pad(stack, [(0, 0), *sides], mode="reflect"))[None]
    with torch.inference_mode():
        probs = network(seen.to(network.head.weight.dtype)).softmax(1)[0, 1:].float()
    return probs[:, pad : pad + image.shape[1], pad : pad + image.shape[2]].numpy()


def in_float(predictor, volume, z):
    """Probabilities before they are rounded, where the working grid is that of the source."""
    write = Box((z, 0, 0), (z + 1, *volume.shape[1:]))
    ((_, probs),) = predictor._working_planes(lambda b: volume.raw()[b.slices], [z], write)
    return probs.numpy()


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize("core", [16, 32, 64, 768])
@pytest.mark.parametrize(("dtype", "spread"), [("float64", 2.0), ("float32", 0.25)])
def test_windows_equal_the_whole_plane(core, context, dtype, spread):
    """Rounding aside, which the steep random model magnifies in float32, they are the same."""
    network, spec = random_model(core=core, context=context, n_classes=2, spread=spread)
    network = network.to(getattr(torch, dtype))
    volume = FakeVolume(random_image(SHAPE))
    predictor = make_predictor((network, spec), volume)
    predictor._windows._network = lambda images: network(images.to(getattr(torch, dtype)))
    assert predictor.plan.y.core <= core
    for z in (0, 2, 4):
        with torch.inference_mode():
            got = in_float(predictor, volume, z)
        wanted = whole_plane((network, spec), volume, z)
        assert wanted.std() > 0.03
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_a_margin_below_the_receptive_field_would_show():
    """The test above can fail: half of the margin is not enough."""
    network, spec = model = random_model(core=16)
    volume = FakeVolume(random_image(SHAPE))
    wanted = whole_plane(model, volume, 1)
    small = type(spec.window)(spec.window.core, 4)
    object.__setattr__(spec, "window", small)
    got = in_float(make_predictor((network, spec), volume), volume, 1)
    assert np.abs(got - wanted).max() > 1e-4


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_blocks_change_nothing(data):
    """Hypothesis: any volume, block shape, spacing, context, orientations, blending."""
    nm_z, nm = data.draw(st.sampled_from(
        [(20.0, 20.0), (20.0, 40.0), (40.0, 40.0), (20.0, 29.0), (20.0, 14.0), (60.0, 20.0)]
    ))
    context = data.draw(st.sampled_from([0, 1]))
    tta = data.draw(st.sampled_from(["none", "none", "flips", "d4"]))
    overlap = data.draw(st.sampled_from([0.0, 0.0, 0.3, 0.6]))
    model = random_model(
        core=16, context=context, n_classes=2, features=(4, 4), spacing=(nm_z, nm, nm)
    )
    shape = tuple(data.draw(st.integers(low, high)) for low, high in [(1, 6), (16, 48), (16, 48)])
    image = random_image(shape, seed=data.draw(st.integers(0, 99)))
    volume = FakeVolume(image, n_levels=2)
    predictor = make_predictor(model, volume, tta=tta, overlap=overlap)
    whole = by_blocks(predictor, volume, volume.shape)
    block = tuple(data.draw(st.integers(max(1, n // 3), n + 9)) for n in volume.shape)
    np.testing.assert_array_equal(by_blocks(predictor, volume, block), whole)


def test_the_pyramid_level_is_used_and_interpolated_back():
    model = random_model(core=16, spacing=(40.0, 40.0, 40.0))
    volume = FakeVolume(random_image((8, 120, 112)), n_levels=2)
    coarse = np.stack([whole_plane(model, volume, z, level=1)[0] for z in range(4)])
    tensor = torch.from_numpy(coarse)[None, None]
    wanted = torch.nn.functional.interpolate(
        tensor, scale_factor=2, mode="trilinear", align_corners=False
    )[0, 0].numpy()
    got = by_blocks(make_predictor(model, volume), volume, (8, 64, 64))[0]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(got[inner] / 255, wanted[inner], atol=0.5 / 255 + 1e-4)


def test_coarser_pixels_of_every_plane_are_means():
    fine = FakeVolume(random_image((3, 120, 112)))
    halved = downsample_mean(fine.image.astype(np.float32), factors=(1, 2, 2))
    coarse = FakeVolume(halved, spacing=(20.0, 40.0, 40.0))
    coarse.percentiles = fine.percentiles
    model = random_model(core=16, spacing=(20.0, 40.0, 40.0), spread=0.25)
    small = by_blocks(make_predictor(model, coarse), coarse, coarse.shape)[0]
    large = by_blocks(make_predictor(model, fine), fine, fine.shape)[0]
    assert large.shape == fine.shape
    # Four voxels around the centre of a coarse pixel: their mean is nearly its value.
    mean = downsample_mean(large.astype(np.float32), factors=(1, 2, 2))
    assert np.abs(mean - small)[:, 2:-2, 2:-2].mean() < 4
    assert np.corrcoef(mean.ravel(), small.ravel())[0, 1] > 0.9


def test_rounding_is_to_the_nearest_of_256():
    model = random_model()
    volume = FakeVolume(random_image(SHAPE))
    predictor = make_predictor(model, volume)
    exact = in_float(predictor, volume, 2)[0]
    got = by_blocks(predictor, volume, SHAPE)[0, 2]
    np.testing.assert_array_equal(got, np.floor(exact * np.float32(255) + np.float32(0.5)))


def test_planes_are_those_of_the_whole_volume_in_any_order():
    model = random_model(context=1, spacing=(40.0, 40.0, 40.0))
    volume = FakeVolume(random_image((9, 100, 90)), n_levels=2)
    whole = by_blocks(make_predictor(model, volume), volume, volume.shape)
    for wanted in ([0, 3, 8], [5, 1, 5]):
        got = list(predict_planes(
            *model, volume, wanted, backend="torch", precision="float32"
        ))
        np.testing.assert_array_equal(np.stack(got, axis=1), whole[:, wanted])
    assert list(predict_planes(*model, volume, [])) == []
    with pytest.raises(DataError, match=r"planes 0 to 8, not \[9\]"):
        predict_planes(*model, volume, [9])


def test_threads_change_nothing():
    model = random_model(core=32)
    volume = FakeVolume(random_image(SHAPE))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(by_blocks(make_predictor(model, volume), volume, SHAPE))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_an_orientation_set_is_the_mean_over_its_orientations():
    model = random_model(core=768)
    image = random_image((1, 64, 64))
    image[:] = image[:, :, ::-1] // 2 + image // 2  # its own mirror image
    volume = FakeVolume(image)
    flips = by_blocks(make_predictor(model, volume, tta="flips"), volume, volume.shape)
    np.testing.assert_allclose(flips.astype(int), flips[..., ::-1].astype(int), atol=1)
    plain = by_blocks(make_predictor(model, volume), volume, volume.shape)
    assert np.abs(plain.astype(int) - plain[..., ::-1]).max() > 5


def test_blended_windows_are_near_the_whole_plane():
    model = random_model(core=32)
    volume = FakeVolume(random_image(SHAPE))
    exact = by_blocks(make_predictor(model, volume), volume, SHAPE).astype(int)
    blended = by_blocks(make_predictor(model, volume, overlap=0.5), volume, SHAPE)
    assert np.abs(exact - blended).mean() < 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused_by_place(bad):
    image = random_image(SHAPE).astype(np.float32)
    volume = FakeVolume(image)
    predictor = make_predictor(random_model(), volume)
    image[2, 3, 4] = image[2, 50, 4] = bad
    with pytest.raises(DataError, match=r"2 NaN or infinite voxels.*first at \(2, 3, 4\)"):
        by_blocks(predictor, volume, SHAPE)


def test_a_network_that_gives_nan_is_refused():
    network, spec = random_model()
    volume = FakeVolume(random_image(SHAPE))
    with torch.no_grad():
        network.head.bias[0] = float("nan")
    with pytest.raises(DataError, match=r"network gave .* NaN"):
        by_blocks(make_predictor((network, spec), volume), volume, SHAPE)


@pytest.mark.parametrize("shape", [(1, 30, 40), (1, 33, 47), (3, 90, 31)])
def test_small_and_odd_shapes_are_predicted(shape):
    model = random_model(core=16)
    volume = FakeVolume(random_image(shape))
    got = by_blocks(make_predictor(model, volume), volume, (2, 17, 20))
    assert got.shape == (1, *shape)
    wanted = np.stack([whole_plane(model, volume, z)[0] for z in range(shape[0])])
    np.testing.assert_allclose(got[0] / 255, wanted, atol=0.51 / 255)


def test_an_empty_box_gives_an_empty_result():
    volume = FakeVolume(random_image(SHAPE))
    predictor = make_predictor(random_model(), volume)
    empty = Box((0, 0, 0), (0, 100, 90))
    assert predictor.plan.read_box(empty).size == 0
    assert predictor.box(lambda b: volume.image[b.slices], empty)[0].shape == (0, 100, 90)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("invert", [False, True])
def test_grey_values_are_normalised_as_in_training_to_the_last_bit(dtype, invert):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (40, 50)).astype(dtype)
    spec = Normalisation(7.3, 201.7, invert=invert)
    got = normalised(torch.from_numpy(image), spec)
    np.testing.assert_array_equal(got.numpy(), normalise(image, spec))
    assert got.data_ptr() != torch.from_numpy(image).data_ptr(), "the image is left alone"
    np.testing.assert_array_equal(
        image, np.random.default_rng(0).uniform(0, 255, (40, 50)).astype(dtype)
    )
