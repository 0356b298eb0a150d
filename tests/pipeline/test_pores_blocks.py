"""Every pass of the pores gives the same for any blocks."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from benches import MemoryBench
from pore_cells import SHAPE, SPACING, cell

from fibseg.blocks import Serial, map_blocks
from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.data import Normalisation
from fibseg.pipeline.bench import Sheet, Work
from fibseg.pipeline.pocket_operators import Chain
from fibseg.pipeline.pocket_passes import grown_behind, keep_pockets, save_rows
from fibseg.pipeline.pore_sites import pore_sites
from fibseg.pipeline.pseudolabel_passes import Annotate, ClosePores, PaintPores
from fibseg.pseudolabel import (
    Bridge,
    PocketBody,
    PocketLimits,
    PoreBody,
    PoreShape,
    Sureness,
    confidence,
)

DARK = Normalisation(100, 200, invert=True)
BLOCKS = [(70, 70, 70), (33, 70, 41), (20, 36, 70)]


@functools.cache
def sites():
    image, nucleus, _ = cell()
    found = pore_sites(
        image, nucleus, shape=PoreShape(), block_shape=SHAPE, spacing=SPACING
    )
    sure = confidence(found)
    return {**found, "confidence": sure, "label": np.where(sure > 0.5, np.cumsum(sure > 0.5), 0)}


def work(folder, block_shape):
    return Work(MemoryBench(SHAPE, folder), block_shape, Serial(), SPACING)


def each(make, tmp_path):
    """Results for all blocks, which have to be those of the first."""
    first, *others = [make(work(tmp_path / str(i), shape)) for i, shape in enumerate(BLOCKS)]
    for other in others:
        np.testing.assert_array_equal(other, first)
    return first


def test_pockets_behind_places(tmp_path):
    image, _, centres = cell()
    found = each(lambda w: grown_behind(
        image, sites(), body=PocketBody(), bright_stain=False, work=w, inputs="x"
    ), tmp_path)
    assert len(np.unique(found)) == len(centres) + 1


def test_pockets_of_bright_stain_are_those_of_dark_stain(tmp_path):
    image, _, _ = cell()
    dark = grown_behind(image, sites(), body=PocketBody(), bright_stain=False,
                        work=work(tmp_path, SHAPE), inputs="x")
    other = {**sites(), "pocket_level": sites()["pocket_level"] - 255}
    bright = grown_behind(255 - image, other, body=PocketBody(), bright_stain=True,
                          work=work(tmp_path, SHAPE), inputs="x")
    # Only rounding may tell them apart.
    assert (dark != bright).mean() < 1e-4


@functools.cache
def operators():
    config = resolved(compose_verb("pores", ["volume=x"]))
    return build_parts({"pockets": config["pockets"]})["pockets"]


def chain(**change):
    asked = {"depth_nm": (40.0, 200.0), "operators": operators()["operators"], **change}
    return Chain(**asked)


def test_pockets_by_operators(tmp_path):
    image, nucleus, _ = cell()
    found = each(lambda w: chain().run(image, nucleus, seen=DARK, work=w, inputs="x"), tmp_path)
    assert 20 < len(np.unique(found)) < 40


def test_operators_take_bright_stain(tmp_path):
    image, nucleus, _ = cell()
    dark, bright = (
        chain().run(image_, nucleus, seen=seen, work=work(tmp_path, SHAPE), inputs="x")
        for image_, seen in ((image, DARK), (255 - image, Normalisation(55, 155, invert=False)))
    )
    np.testing.assert_array_equal(dark, bright)


@pytest.mark.parametrize("left_out", ["smooth", "watershed", "grow_regions"])
def test_some_operators_may_be_left_out(tmp_path, left_out):
    image, nucleus, _ = cell()
    steps = chain(operators={**operators()["operators"], left_out: None})
    found = steps.run(image, nucleus, seen=DARK, work=work(tmp_path, SHAPE), inputs="x")
    assert np.any(found)
    assert left_out not in steps.layers


def test_kept_pockets_and_their_distances(tmp_path):
    image, nucleus, _ = cell()
    grown = grown_behind(image, sites(), body=PocketBody(), bright_stain=False,
                         work=work(tmp_path, SHAPE), inputs="x")
    limits = PocketLimits(1e6, 6e6, 160.0)
    told = []

    def kept(w):
        target = Sheet(np.full(SHAPE, 99, np.uint32), None, tmp_path / "kept")
        told.append(keep_pockets(grown, nucleus, target, limits=limits, work=w, inputs="x"))
        return target.array

    found = each(kept, tmp_path)
    sizes = np.bincount(found.ravel())[1:] * 8000
    assert (sizes >= 1e6).all()
    assert (sizes <= 6e6).all()
    for other in told[1:]:
        np.testing.assert_array_equal(other.distance_nm, told[0].distance_nm)
        np.testing.assert_array_equal(other.number, told[0].number)
    firsts = [np.flatnonzero(found.ravel() == n)[0] for n in range(1, len(sizes) + 1)]
    assert firsts == sorted(firsts)


def test_feet_of_pockets(tmp_path):
    image, nucleus, centres = cell()
    below = centres + (MIDDLE - centres) * 0.2
    np.save(tmp_path / "centres.npy", below)
    found = [
        pore_sites(image, nucleus, shape=PoreShape(), at=tmp_path / "centres.npy",
                   block_shape=shape, spacing=SPACING)
        for shape in BLOCKS
    ]
    for other in found[1:]:
        for name, column in found[0].items():
            np.testing.assert_array_equal(other[name], column)
    places = np.stack([found[0][f"{a}_um"] for a in "zyx"], axis=1) * 1000
    assert found[0]["index"].tolist() == list(range(len(centres)))
    assert np.linalg.norm(places - centres, axis=1).max() < 25


MIDDLE = (np.array(SHAPE) - 1) / 2 * SPACING


def test_pores_painted_closed_and_annotated(tmp_path):
    image, nucleus, _ = cell()
    chosen = {name: column[sites()["label"] > 0] for name, column in sites().items()}
    pores = {**chosen, "label": np.arange(1, len(chosen["z_um"]) + 1), "pocket": chosen["label"]}
    file = save_rows(tmp_path / "pores.npz", pores)
    pockets = grown_behind(image, sites(), body=PocketBody(), bright_stain=False,
                           work=work(tmp_path, SHAPE), inputs="x")

    def done(fn, *sources):
        def make(w):
            target = np.full(SHAPE, 99, np.uint32)
            map_blocks(fn, list(sources), target, block_shape=w.block_shape)
            return target
        return each(make, tmp_path)

    painted = done(PaintPores(file, PoreBody(), SPACING), pockets)
    assert len(np.unique(painted)) == len(pores["label"]) + 1
    closed = done(ClosePores(file, Bridge(), SPACING), pockets, nucleus)
    assert len(np.unique(closed)) > 0.8 * len(pores["label"])
    annotation = done(Annotate(file, Sureness(), PoreBody(), SPACING), painted, nucleus)
    assert set(np.unique(annotation)) == {0, 1, 2}
    # Those of the table are unsure here, and painted as well: paint wins, the rim is unlabelled.
    np.testing.assert_array_equal(annotation == 2, painted > 0)
