"""The store as a whole: voxels in any pieces, handles that see each other's work."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibseg.errors import DataError, UsageError
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import BACKGROUND, UNLABELLED, Volume, layout

SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 80), st.integers(1, 80))


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(shape=SHAPES, piece=SHAPES, seed=st.integers(0, 99), version=st.sampled_from(["0.5", "0.4"]))
def test_voxels_in_any_pieces_are_one_volume(tmp_path_factory, shape, piece, seed, version):
    data = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("any") / "v"
    piece = tuple(max(1, n // 2) if p < n // 2 else p for n, p in zip(shape, piece, strict=True))
    volume = Volume.create(
        path, shape=shape, dtype="uint8", spacing=(9, 4, 4), polarity="bright", ome_version=version
    )
    for box in layout.boxes(shape, piece):
        volume.raw()[box.slices] = data[box.slices]
    finish_raw(volume)
    whole = Volume.create(
        path.with_name("w"), shape=shape, dtype="uint8", spacing=(9, 4, 4), polarity="bright"
    )
    whole.raw()[:] = data
    finish_raw(whole)
    np.testing.assert_array_equal(Volume.open(path).raw()[:], data)
    assert volume.raw_digest == whole.raw_digest
    assert volume.percentiles == whole.percentiles


def write_block(product, box):
    product.array[box.slices] = box.start[0] + 1
    return box.start[0]


def test_processes_write_one_product(tmp_path):
    volume = Volume.create(
        tmp_path / "v", shape=(200, 30, 30), dtype="uint8", spacing=(9, 4, 4), polarity="dark"
    )
    product = volume.create_labels("m", kind="labels", dtype="uint32", inputs="a")
    boxes = list(layout.boxes(volume.shape, product.block_shape))
    assert len(boxes) == 4
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        assert list(pool.map(partial(write_block, product), boxes)) == [0, 64, 128, 192]
    finish_product(product)
    assert np.unique(volume.labels("m")[:]).tolist() == [1, 65, 129, 193]


def test_two_handles_see_the_same(volume):
    other = Volume.open(volume.path)
    product = volume.create_probabilities("m", inputs="a")
    assert other.probability_names() == []
    product.array[:] = 3
    finish_product(product)
    assert other.probability_names() == ["m"]
    assert (other.probabilities("m", 1)[:] == 3).all()
    replaced = other.create_probabilities("m", inputs="b", overwrite=True)
    with pytest.raises(DataError, match="not finished"):
        volume.probabilities("m")
    replaced.array[:] = 4
    finish_product(replaced)
    assert (volume.probabilities("m")[:] == 4).all()


def test_an_empty_store_lists_nothing_and_says_so(volume):
    assert volume.label_names() == volume.probability_names() == volume.table_names() == []
    assert volume.runs() == []
    for ask in (volume.labels, volume.probabilities, volume.distances, volume.table):
        with pytest.raises(DataError, match="There is: none"):
            ask("m")
    with pytest.raises(DataError, match="it has none"):
        volume.annotation_name("m")


def test_names_are_checked_before_anything_is_made(volume, files):
    before = files(volume.path)
    for make in (
        partial(volume.create_probabilities, "a/b"),
        partial(volume.scratch, "labels/m", "a/b", dtype="uint8"),
        partial(volume.scratch, "labels/m=n", "a", dtype="uint8"),
    ):
        with pytest.raises(UsageError, match="cannot be the name"):
            make(inputs="a")
    assert {k: v for k, v in files(volume.path).items() if k in before} == before


def test_values_of_annotations():
    assert (UNLABELLED, BACKGROUND) == (0, 1)


def test_repr_names_the_path(volume):
    assert repr(volume) == f"Volume({str(volume.path)!r})"
    product = volume.create_probabilities("m", inputs="a")
    assert repr(product) == f"Product({str(product.path)!r})"
    assert product.name == "m"
    assert volume.path in product.path.parents
