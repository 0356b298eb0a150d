"""Digests are taken of the voxels that a block wrote, and reach the product without a reading."""

from __future__ import annotations

import block_work
import numpy as np
import pytest
from voxel_facts import voxel_digest

from fibseg.blocks import Processes, Serial, map_blocks
from fibseg.errors import PartlyDoneError
from fibseg.pipeline import ingest, pyramid
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.pipeline.verify_voxels import unedited
from fibseg.volume import Volume
from fibseg.volume.digests import FILE

SHAPE = (200, 6, 5)
DATA = np.random.default_rng(0).integers(0, 250, SHAPE, dtype=np.uint8)


def make_volume(path, version="0.5"):
    volume = Volume.create(
        path, shape=SHAPE, dtype="uint8", spacing=(10, 10, 10), polarity="dark",
        ome_version=version,
    )
    volume.raw()[:] = DATA
    finish_raw(volume)
    return volume


def write(volume, product, *, block=(64, 6, 5), fn=block_work.plus_one, runner=None):
    map_blocks(
        fn, volume.raw(), product.array, block_shape=block, runner=runner,
        journal=product.journal_path, fingerprint="a",
    )


@pytest.fixture
def volume(tmp_path):
    return make_volume(tmp_path / "cell.ome.zarr")


@pytest.fixture
def read_boxes(monkeypatch):
    """Boxes of level 0 that had to be read for their digests."""
    boxes = []
    original = pyramid.box_facts

    def watched(voxels, box, shape):
        boxes.append(box)
        return original(voxels, box, shape)

    monkeypatch.setattr(pyramid, "box_facts", watched)
    return boxes


def direct(volume):
    product = volume.create_probabilities("direct", inputs="a")
    product.array[:] = DATA + 1
    return finish_product(product)


@pytest.mark.parametrize("block", [(64, 6, 5), (128, 6, 5), (256, 512, 512)])
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_no_voxel_is_read_again_and_the_digest_is_that_of_direct_writing(
    tmp_path, block, version, read_boxes
):
    volume = make_volume(tmp_path / "v.ome.zarr", version)
    product = volume.create_probabilities("m", inputs="a")
    read_boxes.clear()
    write(volume, product, block=block)
    info = finish_product(product)
    assert read_boxes == []
    assert info.digest == direct(volume).digest
    assert len(read_boxes) == 4
    files = [volume.path / "probabilities" / name / FILE for name in ("m", "direct")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_blocks_that_cut_boxes_are_read_when_finished(tmp_path, read_boxes):
    shape = (20, 300, 5)
    volume = Volume.create(
        tmp_path / "v.ome.zarr", shape=shape, dtype="uint8", spacing=(10, 10, 10),
        polarity="dark", ome_version="0.4",
    )
    volume.raw()[:] = np.random.default_rng(0).integers(0, 250, shape)
    finish_raw(volume)
    made = {}
    for name, block in {"cut": (20, 128, 5), "whole": (20, 300, 5)}.items():
        read_boxes.clear()
        product = volume.create_probabilities(name, inputs="a")
        write(volume, product, block=block)
        made[name] = finish_product(product).digest, len(read_boxes)
    assert made == {"cut": (made["whole"][0], 1), "whole": (made["whole"][0], 0)}


def test_a_resumed_run_takes_digests_from_the_journal(volume, read_boxes):
    expected = direct(volume).digest
    product = volume.create_probabilities("m", inputs="a")
    with pytest.raises(PartlyDoneError):
        write(volume, product, fn=block_work.Poisoned(fails=(1, 2)))
    assert not (product.path / FILE).exists()
    read_boxes.clear()
    again = volume.create_probabilities("m", inputs="a")
    write(volume, again, fn=block_work.Poisoned())
    assert finish_product(again).digest == expected
    assert read_boxes == []


def test_processes_hand_their_digests_over(volume, read_boxes):
    expected = direct(volume).digest
    product = volume.create_probabilities("m", inputs="a")
    read_boxes.clear()
    write(volume, product, runner=Processes(2))
    assert finish_product(product).digest == expected
    assert read_boxes == []


def test_the_largest_label_is_known_too(volume):
    product = volume.create_labels("m", kind="labels", dtype="uint32", inputs="a")
    write(volume, product)
    finish_product(product)
    colors = product.path / "zarr.json"
    assert colors.read_text().count('"label-value"') == DATA.max() + 1


def test_several_products_at_once_each_get_their_own(volume, read_boxes):
    class Both:
        def read_box(self, write, shape):
            return write

        def __call__(self, image, *, block):
            return image + 1, image // 2

    plain = np.zeros(SHAPE, np.uint8)
    products = [volume.create_probabilities(name, inputs=name) for name in ("a", "b")]
    journal = products[0].journal_path
    map_blocks(
        Both(), volume.raw(), [products[0].array, products[1].array], block_shape=(64, 6, 5),
        runner=Serial(), journal=journal,
    )
    read_boxes.clear()
    finish_product(products[1])
    # Killed here: the second product is finished, the first is not.
    map_blocks(
        Both(), volume.raw(), [products[0].array, plain], block_shape=(64, 6, 5),
        runner=Serial(), journal=journal,
    )
    assert finish_product(products[0]).digest == direct(volume).digest
    assert len(read_boxes) == 4  # those of `direct` alone
    np.testing.assert_array_equal(volume.probabilities("b")[:], DATA // 2)
    assert unedited(products[1], runner=Serial())


def test_writing_past_the_engine_is_noticed_before_finish(volume):
    product = volume.create_probabilities("m", inputs="a")
    write(volume, product)
    product.array[3, 3, 3] = 7
    finish_product(product)
    assert unedited(product, runner=Serial())
    assert volume.probabilities("m")[3, 3, 3] == 7


def test_a_journal_of_other_settings_leaves_no_digests(volume):
    product = volume.create_probabilities("m", inputs="a")
    write(volume, product)
    first = (product.path / FILE).read_bytes()
    map_blocks(
        block_work.Poisoned(), np.zeros_like(DATA), product.array, block_shape=(64, 6, 5),
        journal=product.journal_path, fingerprint="b",
    )
    assert (product.path / FILE).read_bytes() != first
    finish_product(product)
    assert unedited(product, runner=Serial())


@pytest.mark.parametrize("memory_gb", [0.36, 2.0])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
def test_an_import_reads_nothing_that_it_wrote(tmp_path, dtype, memory_gb, read_boxes):
    data = np.random.default_rng(1).integers(0, 200, (70, 90, 20)).astype(dtype)
    np.save(tmp_path / "image.npy", data)
    cell = tmp_path / "cell.ome.zarr"
    common = {"volume": cell, "memory_gb": memory_gb}
    ingest.run(source=tmp_path / "image.npy", spacing=(9, 9, 9), polarity="dark", **common)
    if dtype != "float32":
        ingest.run(source=tmp_path / "image.npy", kind="labels", name="m", **common)
    assert read_boxes == []
    volume = Volume.open(cell)
    assert volume.raw_digest == voxel_digest(volume.raw())
    assert volume.percentiles["p50"] == np.median(volume.raw()[:])
    if dtype != "float32":
        assert volume.labels_info("m").digest == voxel_digest(volume.labels("m"))
