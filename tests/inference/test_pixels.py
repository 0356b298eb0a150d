"""A pixel classifier by blocks gives the very bytes of the whole volume at once."""

from __future__ import annotations

import numpy as np
import pytest
from forest_fakes import random_forests
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import FakeVolume, random_image
from scipy import ndimage

from fibseg.blocks import Block, Grid
from fibseg.data import Normalisation, normalise
from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box, downsample_mean
from fibseg.inference import PixelClassifier, coarsest_within, features_at, pixels, plan_pixels
from fibseg.inference.forest import Forest
from fibseg.inference.pixels import near_border
from fibseg.models.features import pixel_features

NORMAL = Normalisation(60.0, 190.0, invert=True)


def classifier(volume, **settings):
    forests, spec = random_forests(**settings)
    return PixelClassifier(
        forests, n_classes=len(spec.classes), plan=plan_pixels(spec, volume), normalisation=NORMAL
    )


def by_blocks(model, volume, block_shape):
    """Probabilities, shape (classes, z, y, x), each block reading only its own box."""
    out = np.full((model.n_classes, *volume.shape), 77, np.uint8)
    raw = volume.raw(model.plan.source.level)
    for block in Grid.over(volume.shape, block_shape).blocks(model.plan.read_box):
        assert isinstance(block, Block)
        for row, part in zip(
            out, model.box(raw[block.read.slices], block.read, block.write), strict=True
        ):
            row[block.write.slices] = part
    return out


@settings(max_examples=40)
@given(
    st.tuples(*[st.integers(1, 40)] * 3), st.tuples(*[st.integers(3, 40)] * 3),
    st.sampled_from([(20.0,) * 3, (10.0,) * 3, (40.0, 10.0, 10.0), (8.0, 20.0, 12.5)]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2]), st.booleans(), st.integers(0, 99),
)
def test_blocks_are_parts_of_the_whole(
    shape, block, spacing, n_levels, n_classes, has_border, seed
):
    volume = FakeVolume(random_image(shape, seed=seed), spacing=spacing, n_levels=n_levels)
    border = (10.0, 20.0) if has_border else ()
    model = classifier(volume, n_classes=n_classes, border=border, seed=seed % 3)
    whole = by_blocks(model, volume, volume.shape)
    np.testing.assert_array_equal(by_blocks(model, volume, block), whole)


def test_tiles_and_slabs_change_nothing(monkeypatch):
    volume = FakeVolume(random_image((30, 50, 44)), n_levels=2)
    model = classifier(volume, n_classes=2)
    whole = by_blocks(model, volume, volume.shape)
    assert whole.std() > 5
    monkeypatch.setattr(pixels, "TILES", {"volume": (5, 9, 40), "border": (7, 8, 9)})
    monkeypatch.setattr(pixels, "SLAB", 7)
    np.testing.assert_array_equal(by_blocks(model, volume, volume.shape), whole)


def test_on_level_0_it_is_the_forest_on_the_features_of_the_array():
    volume = FakeVolume(random_image((9, 20, 25)))
    forests, spec = random_forests(precision_nm=20.0)
    plan = plan_pixels(spec, volume)
    assert (plan.volume.level, plan.border) == (0, None)
    found = by_blocks(classifier(volume, precision_nm=20.0), volume, volume.shape)[0]
    image = normalise(volume.image, NORMAL)
    features = pixel_features(image, sigmas_nm=(20.0, 40.0), spacing=volume.spacing)
    probs = Forest(forests["volume"])(features.reshape(8, -1))[1].reshape(volume.shape)
    np.testing.assert_array_equal(found, np.floor(255 * probs + 0.5).astype(np.uint8))


def test_near_a_border_the_second_forest_decides_and_elsewhere_the_first():
    volume = FakeVolume(random_image((16, 40, 44)), n_levels=2)
    forests, spec = random_forests()
    plan = plan_pixels(spec, volume)
    assert (plan.volume.level, plan.border.level, plan.ratio) == (1, 0, (2, 2, 2))
    found = by_blocks(classifier(volume), volume, volume.shape)[0].astype(float) / 255
    coarse, fine = (normalise(volume.raw(level), NORMAL) for level in (1, 0))
    first = Forest(forests["volume"])(pixel_features(
        coarse, sigmas_nm=(20.0, 40.0), spacing=(40.0, 40.0, 40.0)
    ).reshape(8, -1))[1].reshape(coarse.shape)
    second = Forest(forests["border"])(pixel_features(
        fine, sigmas_nm=(10.0, 20.0), spacing=(20.0, 20.0, 20.0)
    ).reshape(8, -1))[1].reshape(fine.shape)
    near = near_border(first[None]).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    places = [(np.arange(n) + 0.5) / 2 - 0.5 for n in fine.shape]
    between = ndimage.map_coordinates(
        first, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest"
    )
    assert 0.05 < near.mean() < 0.95
    np.testing.assert_allclose(found, np.where(near, second, between), atol=0.51 / 255)


def test_the_coarse_level_is_the_stored_one():
    volume = FakeVolume(random_image((15, 33, 41)), n_levels=2)
    plan = plan_pixels(random_forests()[1], volume)
    made = downsample_mean(volume.raw(0), factors=plan.ratio)
    np.testing.assert_array_equal(made, volume.raw(1))


def test_samples_are_the_features_between_the_voxels_of_the_level():
    volume = FakeVolume(random_image((20, 90, 80)), n_levels=2)
    plan = plan_pixels(random_forests()[1], volume)
    voxels = np.argwhere(np.random.default_rng(0).random(volume.shape) < 0.0005)
    for stage in (plan.volume, plan.border):
        image = normalise(volume.raw(stage.level), NORMAL)
        whole = pixel_features(image, sigmas_nm=stage.sigmas_nm, spacing=stage.spacing)
        places = [(v + 0.5) / f - 0.5 for v, f in zip(voxels.T, stage.factors, strict=True)]
        wanted = np.stack([
            ndimage.map_coordinates(f, places, order=1, mode="nearest") for f in whole
        ], axis=1)
        found = features_at(volume, stage, voxels, normalisation=NORMAL)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("spacing", "precision_nm", "level"),
    [((20.0, 20.0, 20.0), 20, 0), ((20.0, 20.0, 20.0), 39.9, 0), ((20.0, 20.0, 20.0), 40, 1),
     ((8.0, 8.0, 8.0), 40, 2), ((8.0, 8.0, 8.0), 1e4, 3), ((20.0, 20.0, 20.0), 10, 0)],
)
def test_the_coarsest_level_that_is_fine_enough_is_taken(spacing, precision_nm, level):
    volume = FakeVolume(random_image((16, 16, 16)), spacing=spacing, n_levels=4)
    assert coarsest_within(volume, precision_nm) == level


@pytest.mark.parametrize("precision_nm", [0.0, -5.0, 9.9, float("nan"), float("inf")])
def test_a_precision_that_the_voxels_do_not_have_is_refused(precision_nm):
    volume = FakeVolume(random_image((8, 8, 8)))
    with pytest.raises(UsageError, match="precision_nm="):
        coarsest_within(volume, precision_nm)


def test_an_axis_that_is_coarse_anyway_does_not_keep_the_others_fine():
    class Flat(FakeVolume):
        """Planes 50 nm apart, halved within the plane only."""

        def level_spacing(self, level):
            return 50.0, 10.0 * 2**level, 10.0 * 2**level

    volume = Flat(random_image((8, 64, 64)), spacing=(50.0, 10.0, 10.0), n_levels=3)
    assert coarsest_within(volume, 40.0) == 2


def test_voxels_that_are_no_numbers_are_refused_with_their_place():
    volume = FakeVolume(random_image((8, 20, 20)).astype(np.float32))
    volume.image[3, 4, 5] = np.nan
    model = classifier(volume, precision_nm=20.0)
    with pytest.raises(DataError, match=r"1 NaN or infinite voxels.*\(3, 4, 5\)"):
        by_blocks(model, volume, volume.shape)
    stage, at = model.plan.volume, np.array([[3, 4, 6]])
    with pytest.raises(DataError, match="NaN"):
        features_at(volume, stage, at, normalisation=NORMAL)


def test_nothing_is_read_for_nothing():
    plan = plan_pixels(random_forests()[1], FakeVolume(random_image((8, 8, 8)), n_levels=2))
    assert plan.read_box(Box((3, 0, 0), (3, 8, 8))).size == 0
    assert plan.block_shape((64, 512, 512)) == (8, 8, 8)


def test_blocks_of_coarse_levels_are_of_many_shards():
    volume = FakeVolume(random_image((20, 20, 20)), spacing=(8.0, 8.0, 8.0), n_levels=4)
    plan = plan_pixels(random_forests(precision_nm=64.0)[1], volume)
    large = type(plan)((4000, 4000, 4000), plan.volume, plan.border)
    assert large.block_shape((64, 512, 512)) == (128, 512, 1024)
