"""``infer`` inside of objects only: the same voxels as everywhere, the rest never computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inference_fakes import random_model
from scipy import ndimage
from stores import noise_store

from fibseg.blocks import Block, Processes, Serial
from fibseg.cli import main
from fibseg.errors import DataError, UsageError
from fibseg.export import load_network, load_spec, save_model_folder
from fibseg.geometry import Box
from fibseg.inference import (
    Backend,
    InsideBlocks,
    Predictor,
    Present,
    make_plan,
    model_normalisation,
)
from fibseg.inference.inside import inside
from fibseg.pipeline import infer
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

SHAPE = (40, 150, 150)
MM = (10.0, 10.0, 10.0)


def cell():
    """Two thirds of the planes have a cell, in a corner."""
    z, y, x = (np.indices(SHAPE).T - [20, 30, 40]).T
    return ((z / 13) ** 2 + (y / 28) ** 2 + (x / 35) ** 2 < 1).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.ome.zarr"
    volume = noise_store(path, shape=SHAPE, spacing=MM, seed=0, ome_version="0.4")
    product = volume.create_labels("cell", kind="labels", dtype=np.uint8, inputs="x")
    product.array[:] = cell()
    finish_product(product)
    return volume


def saved(folder, **change):
    """A model with windows of a core of 32 px, so that planes have many."""
    network, spec = random_model(features=(4, 4), **change)
    small = replace(spec.window, core=(32, 32))
    return save_model_folder(folder, network, replace(spec, window=small))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("models") / "own", spacing=MM)


def run(model, store, name, **keywords):
    settings = {"backend": "torch", "precision": "float32", "blocks": Serial(), **keywords}
    infer.run(model=str(model), volume=str(store.path), name=name, **settings)
    return store.probabilities(name)[:]


@pytest.mark.parametrize("beyond_nm", [0.0, 55.0, -40.0])
def test_inside_are_the_values_of_the_whole_and_outside_is_0(store, model, beyond_nm):
    own = cell() > 0
    signed = np.where(
        own, -ndimage.distance_transform_edt(own, sampling=MM),
        ndimage.distance_transform_edt(~own, sampling=MM),
    )
    whole = run(model, store, "whole")
    name = f"part{beyond_nm:.0f}".replace("-", "m")
    part = run(model, store, name, within="cell", within_nm=(None, beyond_nm))
    np.testing.assert_array_equal(part, np.where(signed <= beyond_nm, whole, 0))
    assert whole[signed > beyond_nm].max() > 0


def test_blocks_workers_and_ways_change_nothing(store, model):
    near = {"within": "cell", "within_nm": (None, 25.0), "tta": "flips"}
    first = run(model, store, "a", **near)
    for name, settings in {
        "b": {"block_shape": (40, 128, 128)}, "c": {"blocks": Processes(2)},
    }.items():
        np.testing.assert_array_equal(run(model, store, name, **near, **settings), first)
    whole = run(model, store, "d", tta="flips")
    np.testing.assert_array_equal(first[first > 0], whole[first > 0])
    assert (first > 0).any()


@pytest.mark.parametrize("spacing", [(20.0, 20.0, 20.0), (30.0, 15.0, 15.0), (10.0, 7.0, 7.0)])
def test_a_model_of_another_spacing_gives_the_same_inside(store, tmp_path, spacing):
    other = saved(tmp_path / "other", spacing=spacing)
    name = f"at{spacing[0]:.0f}x{spacing[1]:.0f}"
    whole = run(other, store, f"{name}w")
    part = run(other, store, name, within="cell", within_nm=(None, 0.0))
    kept = part > 0
    np.testing.assert_array_equal(part[kept], whole[kept])
    # What counts as inside is told on the level that is read: 20 nm for the first model.
    deep, beyond = (
        f(cell() > 0, iterations=2, structure=np.ones((3, 3, 3))) for f in
        (ndimage.binary_erosion, ndimage.binary_dilation)
    )
    np.testing.assert_array_equal(part[deep], whole[deep])
    assert not part[~beyond].any()


def test_windows_and_planes_of_resin_are_not_computed(store, model):
    spec = load_spec(model)
    plan = make_plan(spec, store)
    predictor = Predictor(
        load_network(model)[0], spec, plan=plan, normalisation=model_normalisation(spec, store),
        backend=Backend("torch", "float32", "cpu"),
    )
    seen, read = [], []
    compute = predictor._windows._predict
    predictor._windows._predict = lambda images: seen.append(len(images)) or compute(images)
    raw = store.raw()[:]

    def reader(box):
        read.append(box.start[0])
        return raw[box.slices]

    wanted = cell() > 0
    predictor.box(reader, Box.whole(SHAPE), wanted=wanted)
    planes = np.flatnonzero(wanted.any((1, 2)))
    step = plan.y.step
    needed = sum(
        bool(wanted[z, y : y + step, x : x + step].any())
        for z in planes for y in range(0, 150, step) for x in range(0, 150, step)
    )
    assert sum(seen) == needed < 0.5 * len(planes) * plan.y.n_windows * plan.x.n_windows
    assert sorted(set(read)) == planes.tolist()


class Counted:
    """An array that counts the voxels that are read of it."""

    def __init__(self, array):
        self.array, self.n = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, cut):
        found = self.array[cut]
        self.n += found.size
        return found


@pytest.mark.parametrize("beyond_nm", [0.0, 30.0])
def test_of_raw_it_reads_what_its_windows_see_and_of_resin_nothing(store, model, beyond_nm):
    spec = load_spec(model)
    plan = make_plan(spec, store)
    blocks = InsideBlocks(
        str(model), "b", plan, model_normalisation(spec, store),
        Backend("torch", "float32", "cpu"), inside_nm=beyond_nm, spacing=MM,
    )
    raw, labels = Counted(store.raw()), Counted(cell())
    resin = Box((0, 110, 0), (40, 150, 150))
    loaded = blocks.read_parts([raw, Present(labels)], Block(0, resin, plan.read_box(resin)))
    assert raw.n == 0
    assert labels.n >= resin.size
    (nothing,) = blocks(*loaded, block=Block(0, resin, plan.read_box(resin)))
    assert nothing.shape == resin.shape
    assert not nothing.any()
    whole = Box.whole(SHAPE)
    blocks.read_parts([raw, Present(labels)], Block(0, whole, plan.read_box(whole)))
    assert 0 < raw.n < 0.75 * cell().size


def test_so_far_that_tiles_would_be_huge_is_refused(store, model):
    with pytest.raises(UsageError, match=r"\[null,5000\] is more than 128 voxels of 10 nm"):
        run(model, store, "bad", within="cell", within_nm=(None, 5000.0))


def test_labels_to_look_in_are_not_replaced_by_what_is_found(store, model):
    with pytest.raises(UsageError, match="within=cell would be replaced"):
        run(model, store, "cell", within="cell", within_nm=(None, 0.0), postprocess={})
    assert "cell" not in store.probability_names()


def test_no_voxel_inside_needs_no_window(store, model):
    spec = load_spec(model)
    own = make_plan(spec, store)
    predictor = Predictor(
        load_network(model)[0], spec, plan=own, normalisation=model_normalisation(spec, store),
        backend=Backend("torch", "float32", "cpu"),
    )

    def never(box):
        raise AssertionError("read")

    (found,) = predictor.box(never, Box.whole(SHAPE), wanted=np.zeros(SHAPE, bool))
    assert not found.any()


@pytest.mark.parametrize("nm", [30.0, -20.0])
@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (25.0, 8.0, 8.0)])
def test_inside_is_told_tile_by_tile_as_at_once(monkeypatch, nm, spacing):
    labels = (np.random.default_rng(0).random((20, 50, 60)) < 0.02).astype(np.uint8)
    labels = ndimage.binary_dilation(labels, iterations=3)
    signed = np.where(
        labels, -ndimage.distance_transform_edt(labels, sampling=spacing),
        ndimage.distance_transform_edt(~labels, sampling=spacing),
    )
    monkeypatch.setattr("fibseg.inference.inside.TILE", (7, 16, 11))
    box = Box((3, 5, 0), (17, 50, 41))
    found = inside(labels, box, nm, spacing)
    np.testing.assert_array_equal(found, (signed <= nm)[box.slices])
    assert 0 < found.mean() < 1


def test_other_labels_are_another_product(store, model):
    blocks = InsideBlocks(
        "a", "b", make_plan(load_spec(model), store), model_normalisation(load_spec(model), store),
        Backend("torch", "float32", "cpu"), inside_nm=0.0, spacing=MM, within_digest="one",
    )
    assert blocks.settings() != replace(blocks, within_digest="two").settings()
    assert blocks.settings() != replace(blocks, inside_nm=1.0).settings()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"within": "resin"}, DataError, r"has the labels \['cell'\]"),
        ({"within": "cell", "overlap": 0.25}, UsageError, "overlap=0.25 blends"),
        ({"within": "cell", "within_nm": (None, None)}, UsageError, "no range"),
        ({"within": "cell", "within_nm": (None, np.inf)}, UsageError, "no range"),
        ({"within": "cell", "within_nm": (None,)}, UsageError, "no range"),
        ({"within": "cell", "within_nm": (-np.inf, 0.0)}, UsageError, "no range"),
    ],
)
def test_what_cannot_be_meant_is_refused(store, model, change, error, said):
    with pytest.raises(error, match=said):
        run(model, store, "bad", **{"within_nm": (None, 0.0), **change})
    assert "bad" not in store.probability_names()


def test_it_is_one_word_on_the_command_line(store, model, capsys, tmp_path):
    words = [
        "infer", f"model={model}", f"volume={store.path}", "name=typed", "within=cell",
        "within_nm=[null,0]", "backend=torch", "precision=float32", "blocks=serial",
        "postprocess=default",
    ]
    assert main([*words, "dry_run=true"]) == 0
    assert "typed" not in Volume.open(store.path).probability_names()
    assert main(words) == 0
    np.testing.assert_array_equal(
        store.probabilities("typed")[:] > 0, (store.probabilities("whole")[:] > 0) & (cell() > 0)
    )
    capsys.readouterr()


@pytest.mark.parametrize("orientations", ["orthogonal"])
def test_several_orientations_look_inside_as_well(store, model, orientations):
    part = run(
        model, store, "turned", within="cell", within_nm=(None, 0.0), orientations=orientations
    )
    whole = run(model, store, "turnedw", orientations=orientations)
    np.testing.assert_array_equal(part, np.where(cell() > 0, whole, 0))
