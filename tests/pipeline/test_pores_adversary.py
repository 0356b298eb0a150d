"""``fibseg pores`` as a user may meet it at its worst: odd volumes, kills, a full disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pore_cells import RADIUS_NM, SHAPE, SPACING, cell, places_nm, pore_store
from scipy import ndimage
from scipy.spatial import cKDTree
from small_disk import resize, run_on_small_disk
from stores import untouched

from fibseg.cli import main
from fibseg.errors import DataError, DiskFullError, UsageError
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

FIRST = ("blocks=serial", "steps=[pockets,pseudolabels]")
"""Of the steps, those that need no network."""
IMAGE, NUCLEUS, CENTRES = cell()


def pores(store: Path, *words: str) -> int:
    return main(["pores", f"volume={store}", *FIRST, *words])


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"image": np.full_like(IMAGE, 100)}, DataError, "intensity 100 nearly everywhere"),
        ({"image": IMAGE[35:36], "nucleus": NUCLEUS[35:36]}, DataError,
         "a volume of 20 x 1400 x 1400 nm is thinner than a nuclear pore"),
        ({"image": IMAGE[:, :, 35:40], "nucleus": NUCLEUS[:, :, 35:40]}, DataError,
         "1400 x 1400 x 100 nm is thinner"),
        ({"spacing": (20.0, 20.0, 30.5)}, UsageError, "20 x 20 x 30.5 nm are too coarse"),
    ],
    ids=["constant", "one plane", "five planes across x", "coarse"],
)
@pytest.mark.parametrize("method", ["envelope", "operators"])
def test_what_shows_no_pores_is_refused_before_any_work(
    tmp_path, capsys, change, code, said, method
):
    store = pore_store(tmp_path / "cell.ome.zarr", **change)
    capsys.readouterr()
    with untouched(tmp_path):
        assert pores(store.path, f"pockets.method={method}") == code.exit_code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_the_coarsest_voxels_and_the_thinnest_volume_are_taken(tmp_path, capsys):
    store = pore_store(
        tmp_path / "cell.ome.zarr", image=IMAGE[35:41], nucleus=NUCLEUS[35:41],
        spacing=(20.0, 30.0, 30.0),
    )
    pores(store.path)
    said = capsys.readouterr().err
    assert "thinner" not in said
    assert "too coarse" not in said


@pytest.mark.parametrize("method", ["envelope", "operators"])
def test_an_empty_nucleus_has_no_pores(tmp_path, capsys, method):
    store = pore_store(tmp_path / "cell.ome.zarr", nucleus=np.zeros(SHAPE))
    assert pores(store.path, f"pockets.method={method}") == DataError.exit_code
    assert "labels/nucleus is empty" in capsys.readouterr().err
    assert store.label_names() == ["nucleus"]
    assert store.table_names() == []


@pytest.mark.parametrize("axis", [0, 1, 2], ids="zyx")
def test_a_nucleus_that_a_face_cuts_has_the_pores_that_are_seen(tmp_path, axis):
    """None is counted that lies beyond the face, and the face itself has none."""
    first = 30
    inside = (slice(None),) * axis + (slice(first, None),)
    store = pore_store(tmp_path / "cell.ome.zarr", image=IMAGE[inside], nucleus=NUCLEUS[inside])
    assert pores(store.path) == 0
    expected = CENTRES.copy()
    expected[:, axis] -= first * SPACING[axis]
    table = store.table("pores_pseudo")
    n_whole, n_seen = (int((expected[:, axis] > edge).sum()) for edge in (100, 0))
    assert n_whole <= len(table["label"]) <= n_seen
    assert cKDTree(expected).query(places_nm(table))[0].max() < 30
    words = [f"volume={store.path}", FIRST[0], "objects=pores_pseudo", "on=nucleus"]
    assert main(["distribution", *words, "voxel_nm=20"]) == 0
    facts = store.table_info("pores_pseudo")["measured"]["distribution"]
    after = store.table("pores_pseudo")
    assert set(table) < set(after)
    np.testing.assert_array_equal(after["confidence"], table["confidence"])
    middle = np.stack([after[f"centroid_{a}_um"] for a in "zyx"], axis=1)
    assert abs(middle * 1000 - places_nm(table)).max() < 15
    height_um = (RADIUS_NM - 690 + 1400 - first * 20) / 1000
    cap_um2 = 2 * np.pi * RADIUS_NM / 1000 * height_um
    assert facts["envelope_um2"] == pytest.approx(cap_um2, rel=0.06)
    assert facts["cut_by"] != []
    assert facts["n_on_envelope"] == len(table["label"])


DYING = """
import importlib, os, signal, sys
from fibseg.cli import main

where, name, number, when, *words = sys.argv[1:]
module, n = importlib.import_module(where), [0]
done = getattr(module, name)

def dying(*args, **settings):
    n[0] += 1
    if n[0] == int(number) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = done(*args, **settings)
    if n[0] == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return found

setattr(module, name, dying)
main(words)
"""


def killed(store: Path, where: str, name: str, number: int, when: str, *words: str) -> None:
    """Run the command until a function is called for the given time."""
    line = [f"fibseg.{where}", name, str(number), when, "pores", f"volume={store}", *words]
    done = subprocess.run(
        [sys.executable, "-c", DYING, *line], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def products(store: Path) -> dict[str, bytes]:
    """Files of everything but the records of runs."""
    return {
        str(p.relative_to(store)): p.read_bytes()
        for p in store.rglob("*") if p.is_file() and p.relative_to(store).parts[0] != "runs"
    }


POSIX = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")


@POSIX
@pytest.mark.parametrize(
    ("where", "name", "number", "when"),
    [
        ("pipeline.pocket_passes", "map_blocks", 1, "after"),
        ("pipeline.pocket_passes", "write_numbered", 1, "after"),
        ("pipeline.pockets", "finish_product", 1, "after"),
        ("volume.table_store", "save_table", 2, "before"),
    ],
)
def test_pockets_that_were_killed_are_the_same(undisturbed, tmp_path, where, name, number, when):
    store = pore_store(tmp_path / "cell.ome.zarr")
    killed(store.path, where, name, number, when, *FIRST)
    assert pores(store.path) == 0
    assert products(store.path) == products(undisturbed)


@POSIX
def test_pockets_made_anew_over_older_ones_may_be_killed(undisturbed, tmp_path):
    store = pore_store(tmp_path / "cell.ome.zarr")
    assert pores(store.path, "pockets.body.radius_nm=70") == 0
    killed(store.path, "pipeline.pocket_passes", "write_numbered", 1, "before", *FIRST)
    assert pores(store.path) == 0
    assert products(store.path) == products(undisturbed)


OBJECTS = ("blocks=serial", "steps=[objects]", "objects.levels=null")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A store in which nothing has disturbed the first steps."""
    store = pore_store(tmp_path_factory.mktemp("calm") / "cell.ome.zarr")
    assert pores(store.path) == 0
    return store.path


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Path:
    """A store with probabilities of its pores, as a network may tell them."""
    store = pore_store(tmp_path_factory.mktemp("seen") / "cell.ome.zarr")
    away = np.full(SHAPE, True)
    away[tuple(np.rint(CENTRES / 20).astype(int).T)] = False
    near = np.exp(-((ndimage.distance_transform_edt(away) / 3) ** 2))
    product = store.create_probabilities("pores", inputs="x")
    product.array[:] = np.rint(near * 255).astype(np.uint8)
    finish_product(product)
    return store.path


@POSIX
@pytest.mark.parametrize(
    ("where", "name", "when"),
    [
        ("pipeline.operators", "map_blocks", "after"),
        ("pipeline.operators", "label_blocks", "after"),
        ("pipeline.objects", "finish_product", "before"),
        ("pipeline.objects", "region_table", "before"),
    ],
)
def test_objects_that_were_killed_are_the_same(seen, tmp_path, where, name, when):
    whole, path = tmp_path / "whole" / "cell.ome.zarr", tmp_path / "killed" / "cell.ome.zarr"
    for copy in (whole, path):
        shutil.copytree(seen, copy)
    assert main(["pores", f"volume={whole}", *OBJECTS]) == 0
    assert len(Volume.open(whole).table("pores")["label"]) == len(CENTRES)
    killed(path, where, name, 1, when, *OBJECTS)
    assert main(["pores", f"volume={path}", *OBJECTS]) == 0
    assert products(path) == products(whole)


PAGE, ROOM = 4096, 150_000
"""What the disk grows by: a page of the system at first, then up to so many bytes."""
ON_DISK = """
import json, sys
from pathlib import Path
from test_pores_adversary import do_on
print(json.dumps(do_on(*map(Path, sys.argv[1:]))))
"""
ERROR = re.compile(r"There is no room for /\S+: .+ bytes are free \(.+\)\. Make room on that disk")


def do_on(disk: Path, source: Path, out: Path) -> list[str]:
    """Run the command again and again with a little more room; what was said each time."""
    from fibseg.cli.compose import build_parts, compose_verb, resolved
    from fibseg.pipeline import pores as verb

    store = disk / "cell.ome.zarr"
    shutil.copytree(source, store)
    config = resolved(compose_verb("pores", [f"volume={store}", *FIRST]))
    config.pop("dry_run")
    said: list[str] = []
    size, random = shutil.disk_usage(disk).used, np.random.default_rng(0)
    while True:
        size += PAGE if len(said) < 4 else int(random.integers(PAGE, ROOM))
        resize(disk, size)
        try:
            verb.run(**build_parts(config))
        except DiskFullError as error:
            said.append(str(error))
        else:
            shutil.copytree(store, out)
            return said


def test_a_full_disk_is_one_clear_error_and_more_room_ends_in_the_same(undisturbed, tmp_path):
    source, out = tmp_path / "source.ome.zarr", tmp_path / "cell.ome.zarr"
    pore_store(source)
    done = run_on_small_disk(
        ON_DISK, source, out, disk=tmp_path / "disk", n_bytes=2_000_000
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) >= 5
    errors = [ERROR.search(text) for text in said]
    assert all(errors), said
    assert products(out) == products(undisturbed)
