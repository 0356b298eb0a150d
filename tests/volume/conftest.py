"""A small finished volume for every test of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume

SHAPE = (20, 150, 140)


def image(shape=SHAPE, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def make_volume(path: Path, *, data=None, version="0.5", **keywords) -> Volume:
    data = image() if data is None else data
    wanted = {"spacing": (30, 10, 10), "polarity": "dark", "ome_version": version, **keywords}
    volume = Volume.create(path, shape=data.shape, dtype=data.dtype, **wanted)
    volume.raw()[:] = data
    finish_raw(volume)
    return volume


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, journals and all, with its bytes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(params=["0.5", "0.4"])
def version(request):
    return request.param


@pytest.fixture
def volume(tmp_path):
    return make_volume(tmp_path / "cell.ome.zarr")


@pytest.fixture
def make():
    return make_volume


@pytest.fixture
def files():
    return contents
