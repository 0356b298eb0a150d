"""Levels: made as planned, recorded when all of them are there, refused when one is not."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from fibseg.errors import DataError, DiskFullError
from fibseg.geometry import Box
from fibseg.volume import layout
from fibseg.volume.digests import FILE
from fibseg.volume.levels import Pyramid, levels_of, open_level

STATE = {
    "kind": "image", "complete": True, "ome_version": "0.5", "spacing": [10.0, 10.0, 10.0],
    "shape": [3, 200, 200],
}


def fill(pyramid, number, value):
    """Write one value into a level, as the engine would."""
    array = pyramid.array(number)
    voxels = np.full(array.shape, value, array.dtype)
    array.keep(array.commit(Box.whole(array.shape), voxels))


@pytest.fixture
def pyramid(tmp_path):
    layout.create_array(
        tmp_path / "0", shape=STATE["shape"], dtype=np.dtype("uint8"), ome_version="0.5"
    )
    return Pyramid.planned(tmp_path, STATE)


@pytest.fixture
def built(pyramid):
    fill(pyramid, 0, 199)
    fill(pyramid, 1, 199)
    return pyramid.group, {**STATE, "levels": pyramid.recorded()}


def test_the_record_tells_shape_spacing_and_bytes_of_every_level(built):
    path, state = built
    assert [level["shape"] for level in state["levels"]] == [[3, 200, 200], [2, 100, 100]]
    assert [level.spacing for level in levels_of(state)] == [(10.0,) * 3, (20.0,) * 3]
    assert levels_of(state) == list(Pyramid.planned(path, STATE).levels)
    for number, level in enumerate(state["levels"]):
        files = [p for p in (path / str(number) / "c").rglob("*") if p.is_file()]
        assert level["bytes"] == sum(p.stat().st_size for p in files)
        assert open_level(path, state, number).shape == tuple(level["shape"])
    assert Pyramid.planned(path, STATE).maximum == 199


def test_a_level_of_another_shape_is_refused(built):
    path, state = built
    state["levels"][1]["shape"] = [2, 100, 99]
    with pytest.raises(DataError, match=r"\(2, 100, 99\) were written"):
        open_level(path, state, 1)
    with pytest.raises(DataError, match="levels 0 to 1"):
        open_level(path, state, 2)


def test_a_missing_level_is_refused(pyramid):
    fill(pyramid, 0, 1)
    with pytest.raises(DataError, match="it has 1 of its 2 pyramid levels"):
        pyramid.recorded()
    pyramid.array(1)
    with pytest.raises(DataError, match="lacks 1 of its files"):
        pyramid.recorded()


def test_a_level_that_was_written_past_the_engine_is_refused(pyramid):
    pyramid.array(0)[:] = 1
    with pytest.raises(DataError, match="not every box of its level 0 is noted"):
        pyramid.recorded()
    fill(pyramid, 0, 1)
    fill(pyramid, 1, 1)
    pyramid.array(1)[0, 0, 0] = 2
    with pytest.raises(DataError, match="not every box of its level 1 is noted"):
        pyramid.recorded()
    assert pyramid.noted(0)


def test_a_change_of_a_level_voids_what_was_made_of_it(built):
    pyramid = Pyramid.planned(built[0], STATE)
    assert pyramid.noted(1)
    fill(pyramid, 0, 3)
    assert pyramid.noted(0)
    assert not pyramid.noted(1)
    pyramid.array(0)[0, 0, 0] = 1
    assert not pyramid.noted(0)
    assert not (pyramid.group / FILE).exists()
    with pytest.raises(DataError, match="cannot be noted before"):
        fill(pyramid, 1, 3)


def test_a_broken_level_is_made_again_and_a_good_one_is_kept(built):
    pyramid = Pyramid.planned(built[0], STATE)
    assert pyramid.array(1)[0, 0, 0] == 199
    pyramid.journal_path(1).write_text("all done")
    (pyramid.group / "1" / "zarr.json").write_text("{")
    assert pyramid.array(1)[0, 0, 0] == 0
    assert not pyramid.journal_path(1).exists()
    shutil.rmtree(pyramid.group / "1")
    layout.create_array(
        pyramid.group / "1", shape=(2, 100, 99), dtype=np.dtype("uint8"), ome_version="0.5"
    )
    assert pyramid.array(1).shape == (2, 100, 100)


def test_scratch_has_one_level(pyramid):
    scratch = Pyramid.planned(pyramid.group, {**STATE, "kind": "scratch"})
    fill(scratch, 0, 1)
    assert len(scratch.recorded()) == 1


def test_a_level_that_finds_no_room_leaves_nothing(pyramid, monkeypatch):
    def full(path, **_):
        path.mkdir()
        raise DiskFullError("no room")

    before = sorted(pyramid.group.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(layout, "create_array", full)
        with pytest.raises(DiskFullError):
            pyramid.array(1)
    assert sorted(pyramid.group.iterdir()) == before
    assert pyramid.array(1).shape == (2, 100, 100)
