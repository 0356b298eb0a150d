from __future__ import annotations

import numpy as np
import pytest

from fibseg.pipeline.pyramid import finish_raw
from fibseg.pipeline.store_bench import StoreBench
from fibseg.volume import Volume


@pytest.fixture
def volume(tmp_path):
    store = Volume.create(
        tmp_path / "cell.ome.zarr", shape=(4, 5, 6), dtype=np.uint8, spacing=(20.0, 20.0, 20.0),
        polarity="dark",
    )
    store.raw()[:] = 100
    finish_raw(store)
    return store


def test_the_bench_gives_the_same_sheet_again_only_for_the_same_inputs(volume):
    bench = StoreBench(volume, "labels/m")
    bench.sheet("1-closing", dtype=np.uint8, inputs="a").array[:] = 5
    again = bench.sheet("1-closing", dtype=np.uint8, inputs="a")
    assert (again.array[:] == 5).all()
    other = bench.sheet("1-closing", dtype=np.uint8, inputs="b")
    assert (other.array[:] == 0).all()


@pytest.mark.parametrize("product", ["labels/n", "labels/m--0", "distances/m", "labels/distances"])
def test_clearing_takes_what_earlier_runs_left_but_not_what_is_another_products(volume, product):
    mine, other = StoreBench(volume, "labels/m"), StoreBench(volume, product)
    for bench in (mine, other):
        sheet = bench.sheet("0-old", dtype=np.uint8, inputs="a")
        sheet.folder.mkdir()
    StoreBench(volume, "labels/m").clear()
    assert not mine.folder("0-old").exists()
    assert other.folder("0-old").exists()
    assert (other.sheet("0-old", dtype=np.uint8, inputs="a").array[:] == 0).all()
    other.clear()
    assert not (volume.path / ".scratch").exists()


def test_what_a_run_left_that_was_killed_while_it_cleared_is_cleared(volume, monkeypatch):
    bench = StoreBench(volume, "labels/m")
    sheet = bench.sheet("2-closing", dtype=np.uint8, inputs="a")
    sheet.journal.write_text("")

    def killed(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fibseg.volume.files.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.clear()
    assert not bench.empty
    bench.clear()
    assert bench.empty
    assert not (volume.path / ".scratch").exists()
