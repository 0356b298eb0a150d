"""Which level is read, how windows lie, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import FakeVolume, random_model

from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box
from fibseg.inference import make_plan, spacing_note


def volume(shape=(64, 256, 256), spacing=(20.0, 20.0, 20.0), n_levels=3) -> FakeVolume:
    return FakeVolume(np.zeros(shape, np.uint8), spacing=spacing, n_levels=n_levels)


@pytest.mark.parametrize(
    ("model", "level", "factors"),
    [
        ((20.0, 20.0, 20.0), 0, (1, 1, 1)),
        ((20.0, 21.9, 18.2), 0, (1, 1, 1)),  # within 10 %: as it is
        ((20.0, 40.0, 40.0), 0, (1, 2, 2)),  # trained on coarser pixels of every plane
        ((40.0, 40.0, 40.0), 1, (2, 2, 2)),  # the very pyramid level
        ((80.0, 80.0, 80.0), 2, (4, 4, 4)),
        ((80.0, 40.0, 40.0), 1, (4, 2, 2)),
        ((20.0, 20.0, 40.0), 0, (1, 1, 2)),
        ((20.0, 10.0, 10.0), 0, (1, 0.5, 0.5)),
        ((10.0, 20.0, 20.0), 0, (1, 1, 1)),  # planes between the planes cannot be made up
        ((20.0, 60.0, 60.0), 0, (1, 3, 3)),
    ],
)
def test_the_working_grid_follows_the_model(model, level, factors):
    plan = make_plan(random_model(spacing=model)[1], volume())
    assert plan.level == level
    assert tuple(a.factor for a in (plan.z, plan.y, plan.x)) == factors
    assert plan.z.source_factor == plan.x.source_factor == 2**level


@settings(max_examples=40)
@given(st.floats(6.0, 90.0), st.integers(100, 5000))
def test_any_spacing_is_met_within_a_few_percent(nm, side):
    fake = volume((1, 8, 8))
    fake.image = np.broadcast_to(np.uint8(0), (1, side, side))
    fake.levels = [fake.image]
    fake.n_levels = 1
    plan = make_plan(random_model(core=512, spacing=(20.0, nm, nm))[1], fake)
    wanted = nm / 20 if abs(nm / 20 - 1) > 0.1 else 1.0
    assert plan.y.factor == pytest.approx(wanted, rel=0.06)
    assert plan.y.core % 4 == plan.y.margin % 4 == 0
    assert plan.y.core <= 512


def note(spacing):
    spec, fake = random_model(spacing=spacing)[1], volume()
    return spacing_note(spec, fake, make_plan(spec, fake))


def test_a_difference_is_said_and_an_equal_spacing_is_not():
    assert note((20.0, 21.9, 18.2)) == ""
    first, second = note((40.0, 40.0, 40.0)), note((20.0, 29.0, 29.0))
    assert "pyramid level 1 of 40 x 40 x 40 nm and writes on the grid of level 0" in first
    assert "pyramid level 0 of 20 x 20 x 20 nm, resamples it to 20 x 2" in second


@pytest.mark.parametrize("shape", [(4, 9, 300), (4, 300, 9), (1, 1, 1)])
def test_planes_smaller_than_a_window_are_refused(shape):
    with pytest.raises(DataError, match=r"smaller than one window.*network\.features"):
        make_plan(random_model(features=(4, 8, 8, 8))[1], volume(shape, n_levels=1))


def test_a_volume_far_coarser_than_the_model_is_refused():
    with pytest.raises(DataError, match="Check the spacing"):
        make_plan(random_model(spacing=(1.0, 1.0, 1.0))[1], volume())


@pytest.mark.parametrize("overlap", [-0.1, 0.95, float("nan")])
def test_an_overlap_must_be_a_share(overlap):
    with pytest.raises(UsageError, match="overlap"):
        make_plan(random_model()[1], volume(), overlap=overlap)


@pytest.mark.parametrize("side", [90, 512, 700, 2048, 2049, 5000])
@pytest.mark.parametrize("nm", [20.0, 40.0, 29.0])
def test_blocks_are_whole_shards_or_whole_axes_of_whole_windows(side, nm):
    fake = volume((1, 8, 8), n_levels=1)
    fake.image = np.broadcast_to(np.uint8(0), (70, side, side))
    fake.levels = [fake.image]
    plan = make_plan(random_model(core=768, spacing=(20.0, nm, nm))[1], fake)
    block = plan.block_shape((64, 512, 512))
    assert block[0] == 64
    assert block[1] == side or block[1] % 512 == 0
    assert block[1] <= 2048
    # No window is computed twice: a block holds whole windows.
    assert block[1] == side or block[1] % plan.y.step == 0


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_read_box_lies_in_the_source_and_grows_with_the_write_box(data):
    nm = data.draw(st.sampled_from([20.0, 40.0, 29.0, 14.0]))
    fake = volume((12, 150, 130), n_levels=2)
    plan = make_plan(random_model(context=1, core=32, spacing=(nm, nm, nm))[1], fake)
    start = tuple(data.draw(st.integers(0, n - 1)) for n in fake.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, fake.shape, strict=True))
    box, whole = plan.read_box(Box(start, stop)), Box.whole(fake.raw(plan.level).shape)
    assert box.intersect(whole) == box
    assert plan.read_box(Box.whole(fake.shape)) == whole
