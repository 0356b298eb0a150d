"""Windows of model files: sizes that the file allows, cores that cover the volume."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import FakeVolume, random_model

from fibseg.errors import DataError, UsageError
from fibseg.export.foreign import ForeignModel, Side
from fibseg.inference import make_plan
from fibseg.inference.foreign_plan import foreign_note, make_foreign_plan, working_spacing

FIXED = (Side(256, 0), Side(256, 0))


def model(**changed):
    return replace(ForeignModel(
        kind="onnx", digest="0", graph=b"", image="i", result="r", dtype="float32", layout="bcyx",
        result_layout="bcyx", sides=(Side(64, 16), Side(64, 16)), margin=None,
        classes=((1, "mito"),),
    ), **changed)


def pyramid(shape, *, spacing=(8.0, 8.0, 8.0), n_levels=1):
    """What a plan needs to know, of any size without any voxel."""
    def raw(level=0):
        return SimpleNamespace(shape=tuple(-(-n // 2**level) for n in shape))

    return SimpleNamespace(
        shape=shape, spacing=spacing, n_levels=n_levels, raw=raw,
        level_spacing=lambda level: tuple(s * 2**level for s in spacing),
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_are_allowed_and_cores_cover_the_volume(data):
    draw = data.draw
    step = draw(st.sampled_from([0, 1, 8, 16, 32, 100]))
    sides = tuple(Side(draw(st.integers(40, 1200)), step) for _ in range(2))
    margin = draw(st.sampled_from([None, (0, 0), (3, 5), (16, 16)]))
    spacing = draw(st.sampled_from([None, (None, 8.0, 8.0), (16.0, 13.0, 16.0), (8.0, 5.0, 8.0)]))
    shape = (draw(st.integers(1, 3000)), draw(st.integers(1, 9000)), draw(st.integers(1, 3000)))
    overlap = draw(st.sampled_from([0.0, 0.0, 0.3, 0.6]))
    found = model(sides=sides, margin=margin, spacing=spacing)
    plan = make_foreign_plan(found, pyramid(shape, n_levels=2), overlap=overlap)
    for axis, side, least in zip((plan.y, plan.x), sides, margin or (0, 0), strict=True):
        assert side.takes(axis.window)
        assert axis.margin >= (least if not plan.blended else 1)
        assert 1 <= axis.core == axis.window - 2 * axis.margin
        assert axis.n_windows * axis.step >= axis.length
    assert plan.blended == (overlap > 0 or margin is None)
    if plan.blended:
        assert 2 * plan.y.margin >= (overlap or 0.25) * plan.y.window - 1e-9


@pytest.mark.parametrize(("side", "margin", "length", "core", "wanted_margin"), [
    (Side(256, 0), 16, 500, 192, 32),  # three windows either way: the margins grow
    (Side(256, 0), 8, 190, 192, 32), (Side(256, 0), 0, 2000, 256, 0),
    (Side(1024, 0), 70, 10_000, 768, 128),  # steps that tile files of 256
    (Side(64, 16), 8, 100, 112, 16), (Side(32, 16), 8, 10_000, 896, 16),
])
def test_cores_are_as_large_as_they_need_and_tile_files(side, margin, length, core, wanted_margin):
    plan = make_foreign_plan(
        model(sides=(side, side), margin=(margin, margin)), pyramid((4, length, length))
    )
    assert (plan.x.core, plan.x.margin) == (core, wanted_margin)


def test_blocks_are_never_slivers_of_windows():
    for side in (Side(1024, 0), Side(512, 0), Side(250, 0), Side(252, 0), Side(64, 16)):
        for margin in (None, (45, 45)):
            plan = make_foreign_plan(
                model(sides=(side, side), margin=margin), pyramid((600, 9000, 7000))
            )
            block = plan.block_shape((256, 256, 256))
            assert min(block[1:]) >= min(plan.x.step, 1024)


def test_fibsegs_own_get_the_very_windows_of_their_folder():
    volume = FakeVolume(np.zeros((5, 300, 200), np.uint8), n_levels=2)
    for spacing in ((20.0, 20.0, 20.0), (40.0, 40.0, 40.0), (20.0, 27.0, 27.0)):
        _, spec = random_model(core=64, context=1, spacing=spacing)
        own = model(
            sides=(Side(4, 4), Side(4, 4)), margin=(spec.window.margin,) * 2, spacing=spacing,
            core=spec.window.core, multiple=spec.stride_multiple, context=1, polarity="dark",
        )
        for overlap in (0.0, 0.4):
            for square in (False, True):
                assert make_foreign_plan(own, volume, overlap=overlap, square=square) == make_plan(
                    spec, volume, overlap=overlap, square=square
                )


def test_spacing_that_is_not_told_is_that_of_level_0():
    volume = pyramid((10, 100, 100), spacing=(30.0, 8.0, 8.0), n_levels=2)
    assert working_spacing(model(), volume) == (30.0, 8.0, 8.0)
    assert working_spacing(model(spacing=(None, 16.0, 16.0)), volume) == (30.0, 16.0, 16.0)
    plan = make_foreign_plan(model(), volume)
    note = foreign_note(model(), volume, plan)
    assert "tells no spacing: level 0" in note
    assert "windows overlap by" in note
    known = model(margin=(8, 8), spacing=(None, 16.0, 16.0))
    note = foreign_note(known, volume, make_foreign_plan(known, volume))
    assert "trained at 30 x 16 x 16 nm" in note
    assert "overlap" not in note
    same = model(margin=(8, 8), spacing=(None, 8.0, 8.0))
    assert foreign_note(same, volume, make_foreign_plan(same, volume)) == ""


def test_what_cannot_be_is_refused():
    volume = pyramid((10, 100, 100))
    with pytest.raises(UsageError, match="not a share"):
        make_foreign_plan(model(), volume, overlap=0.95)
    with pytest.raises(DataError, match="nothing is left inside"):
        make_foreign_plan(model(sides=FIXED, margin=(128, 128)), volume)
    with pytest.raises(UsageError, match="Use tta=flips"):
        make_foreign_plan(model(sides=(Side(64, 0), Side(96, 0))), volume, square=True)
    with pytest.raises(DataError, match="trained on images"):
        make_foreign_plan(model(spacing=(8.0, 0.5, 0.5)), volume)


def test_square_windows_for_turns():
    fixed = model(sides=FIXED, margin=(8, 8))
    plan = make_foreign_plan(fixed, pyramid((4, 300, 9000)), square=True)
    assert plan.y.window == plan.x.window == 256
    assert plan.y.core == plan.x.core
