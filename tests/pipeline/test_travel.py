"""``fibseg export volume=…``: files that other programs read, from a store, and nothing else."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from mesh_files import edge_counts, joined, read_ply, read_stl, volume
from stores import noise_store, untouched

from fibseg.blocks import Processes
from fibseg.cli import main
from fibseg.errors import BusyError, DataError, ExistsError, RoomError, UsageError
from fibseg.pictures import object_colors
from fibseg.pipeline import travel_meshes, travel_tiff
from fibseg.pipeline.bench import Voxelwise
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.travel import export_objects
from fibseg.pipeline.travel_plan import Only
from fibseg.volume import Volume, locked

SHAPE, SPACING = (40, 70, 140), (20.0, 10.0, 10.0)
VOXEL_UM3 = 20 * 10 * 10 * 1e-9
BLOCKS = (16, 32, 33)


def labels():
    """A ball, 7; a plate at two faces, 300; one voxel, 9."""
    z, y, x = np.ogrid[tuple(slice(n) for n in SHAPE)]
    found = np.zeros(SHAPE, np.uint32)
    found[((z - 18) * 2) ** 2 + (y - 34) ** 2 + (x - 32) ** 2 < 26**2] = 7
    found[36:, 60:, 20:50] = 300
    found[5, 5, 5] = 9
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Volume:
    folder = tmp_path_factory.mktemp("travel")
    noise = np.random.default_rng(2).integers(0, 256, SHAPE, dtype=np.uint8)
    found = noise_store(folder / "cell.ome.zarr", shape=SHAPE, spacing=SPACING, p=noise)
    for name, kind, voxels in (
        ("m", "labels", labels()), ("annotation_m", "annotation", (labels() > 0) + np.uint8(1)),
        ("empty", "labels", np.zeros(SHAPE, np.uint32)),
    ):
        product = found.create_labels(name, kind=kind, dtype=voxels.dtype, inputs="a")
        product.array[:] = voxels
        finish_product(product)
    return found


def export(store, out, kind="stl", **told):
    told = {"labels": "m", **told}
    return export_objects(str(store.path), kind=kind, out=str(out), **told)


# --- surfaces -----------------------------------------------------------------------------------


def test_stl_holds_closed_objects_of_their_volume(store, tmp_path):
    with untouched(store.path):
        (path, told), = export(store, tmp_path / "new").items()
    assert path == str(tmp_path / "new" / "m.stl")
    assert told.startswith("3 objects")
    assert told.endswith("(x, y, z) in um")
    header, _, corners = read_stl(tmp_path / "new" / "m.stl")
    assert header.startswith("binary STL fibseg ")
    assert header.endswith(" labels/m um")
    assert (edge_counts(joined(corners)[1]) == 2).all()
    n_voxels = np.count_nonzero(labels())
    assert volume(corners) == pytest.approx(n_voxels * VOXEL_UM3, rel=1e-3)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["m.stl"]


def test_ply_tells_objects_apart(store, tmp_path):
    export(store, tmp_path / "a.ply", "ply", unit="nm")
    comments, vertices, faces = read_ply(tmp_path / "a.ply")
    assert comments[0].endswith("labels/m nm")
    assert sorted(set(vertices["label"].tolist())) == [7, 9, 300]
    places = np.stack([vertices[a] for a in "xyz"], axis=1).astype(float)
    for label in (7, 9, 300):
        of_object = vertices["label"] == label
        own = faces[of_object[faces[:, 0]]]
        assert of_object[own].all()
        assert (edge_counts(own) == 2).all()
        n_nm3 = np.count_nonzero(labels() == label) * 2000
        assert volume(places[own]) == pytest.approx(n_nm3, rel=1e-3)
        centre = np.argwhere(labels() == label).mean(axis=0)[::-1] * (10, 10, 20)
        assert places[of_object].mean(axis=0) == pytest.approx(centre, abs=12)
        color = np.unique([vertices[c][of_object] for c in ("red", "green", "blue")], axis=1)
        assert color.ravel().tolist() == object_colors(np.array(label)).tolist()


@pytest.mark.parametrize("kind", ["tiff", "stl", "ply"])
def test_files_do_not_depend_on_blocks_and_workers(store, tmp_path, kind):
    calm = [export(store, tmp_path / "a", kind), export(store, tmp_path / "b", kind,
            block_shape=BLOCKS, blocks=Processes(n_workers=2))]
    first, second = (next(iter(told)) for told in calm)
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_chosen_objects_alone(store, tmp_path):
    export(store, tmp_path / "a.ply", "ply", label=[300, 9])
    assert sorted(set(read_ply(tmp_path / "a.ply")[1]["label"].tolist())) == [9, 300]
    export(store, tmp_path / "a.tif", "tiff", label=9)
    assert np.unique(tifffile.imread(tmp_path / "a.tif")).tolist() == [0, 9]


def test_a_folder_with_a_file_for_each_object(store, tmp_path):
    (path, _), = export(store, tmp_path, separate=True, name="mine").items()
    files = sorted((tmp_path / "mine_stl").iterdir())
    assert path == str(tmp_path / "mine_stl")
    assert [p.name for p in files] == ["mine_000007.stl", "mine_000009.stl", "mine_000300.stl"]
    corners = read_stl(files[0])[2]
    assert volume(corners) == pytest.approx(np.count_nonzero(labels() == 7) * VOXEL_UM3, rel=1e-3)


def test_fewer_triangles_of_the_same_volume(store, tmp_path):
    export(store, tmp_path / "all.stl", label=7)
    export(store, tmp_path / "few.stl", label=7, max_faces=300)
    whole, few = (read_stl(tmp_path / f"{name}.stl")[2] for name in ("all", "few"))
    assert 200 < len(few) <= 300 < len(whole)
    assert (edge_counts(joined(few)[1]) == 2).all()
    assert volume(few) == pytest.approx(volume(whole), rel=1e-3)


def test_a_coarser_level_lies_at_the_same_place(store, tmp_path):
    export(store, tmp_path / "a.stl", label=7)
    export(store, tmp_path / "b.stl", label=7, level=1)
    fine, coarse = (joined(read_stl(tmp_path / f"{n}.stl")[2])[0] for n in "ab")
    assert len(coarse) < len(fine) / 2
    for edge in (np.min, np.max):
        assert edge(coarse, axis=0) == pytest.approx(edge(fine, axis=0), abs=0.02)


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "dtype"), [
    ({"labels": "m"}, "uint16"), ({"labels": "annotation_m"}, "uint8"),
    ({"labels": None, "probabilities": "p"}, "uint8"), ({"labels": None}, "uint8"),
])
def test_tiff_is_what_is_stored(store, tmp_path, what, dtype):
    (path, told), = export(store, tmp_path, "tiff", **what).items()
    name = what["labels"] or what.get("probabilities")
    assert path == str(tmp_path / f"{name or 'cell'}.tif")
    assert told.startswith(dtype)
    stored = store.raw() if name is None else (
        store.probabilities(name) if what["labels"] is None else store.labels(name)
    )
    with tifffile.TiffFile(path) as file:
        voxels = file.asarray()
        assert file.imagej_metadata["spacing"] == 20
    assert voxels.dtype == dtype
    np.testing.assert_array_equal(voxels, stored[...])


def test_a_level_of_the_image_has_its_spacing(store, tmp_path):
    export(store, tmp_path / "a.ome.tif", "tiff", labels=None, level=1)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        np.testing.assert_array_equal(file.asarray(), store.raw(1)[...])
        z, _, x = store.level_spacing(1)
        assert f'PhysicalSizeZ="{z}"' in file.ome_metadata
        assert f'PhysicalSizeX="{x}"' in file.ome_metadata


def test_a_folder_of_planes(store, tmp_path):
    export(store, tmp_path, "tiff", separate=True)
    files = sorted((tmp_path / "m_tiff").iterdir())
    assert [p.name for p in files[:2]] == ["m_00000.tif", "m_00001.tif"]
    np.testing.assert_array_equal(np.stack([tifffile.imread(p) for p in files]), labels())


class Stored(np.ndarray):
    """An array in chunks of eight planes that remembers how many were read at once."""

    chunks = (8, 64, 64)
    depths: ClassVar[list[int]] = []

    def __getitem__(self, key):
        found = np.asarray(super().__getitem__(key))
        self.depths.append(len(found))
        return found


@pytest.mark.parametrize(("free", "depths"), [(1e9, [8, 8, 4]), (9 * 40.0, [2] * 10)])
def test_as_many_planes_are_read_as_chunks_are_thick_and_memory_holds(monkeypatch, free, depths):
    monkeypatch.setattr(travel_tiff, "free_memory", lambda: free)
    Stored.depths.clear()
    voxels = np.arange(20 * 40).reshape(20, 5, 8).astype(np.uint8)
    for array in (voxels.view(Stored), Voxelwise(voxels.view(Stored), Only((3,)))):
        planes = np.stack(list(travel_tiff._planes(array)))
        assert np.array_equal(planes, array[:])
    assert [n for n in Stored.depths if n != 20] == depths * 2


def test_labels_that_fiji_would_round_are_told(store, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(travel_tiff, "EXACT", 299)
    with caplog.at_level(logging.WARNING, "fibseg.export"):
        export(store, tmp_path, "tiff")
    assert "numbers up to 300" in caplog.text


# --- what stands there --------------------------------------------------------------------------


@pytest.mark.parametrize("told", [
    {"kind": "tiff"}, {"kind": "stl"}, {"kind": "ply", "separate": True},
    {"kind": "tiff", "separate": True},
])
def test_the_same_again_is_done_and_another_is_not_touched(store, tmp_path, told):
    (path, _), = export(store, tmp_path, **told).items()
    with untouched(tmp_path):
        assert export(store, tmp_path, **told) == {path: "made before"}
        with pytest.raises(ExistsError, match="overwrite=true"):
            export(store, tmp_path, **told, label=7)
    assert export(store, tmp_path, **told, label=7, overwrite=True) != {path: "made before"}
    assert export(store, tmp_path, **told, label=7) == {path: "made before"}
    assert len(list(tmp_path.iterdir())) == 1


def test_files_of_others_are_never_replaced(store, tmp_path):
    export(store, tmp_path, separate=True)
    (tmp_path / "m_stl" / "m_notes.stl").write_text("mine")
    with pytest.raises(ExistsError, match="m_notes"):
        export(store, tmp_path, separate=True, label=7, overwrite=True)
    (tmp_path / "a.stl").mkdir()
    with pytest.raises(ExistsError, match="is a folder"):
        export(store, tmp_path / "a.stl", overwrite=True)
    (tmp_path / "m_ply").write_text("mine")
    with pytest.raises(ExistsError, match="is a file"):
        export(store, tmp_path, "ply", separate=True, overwrite=True)
    with pytest.raises(UsageError, match="is a file"):
        export(store, tmp_path / "m_ply" / "deeper", "ply")


@pytest.mark.parametrize(("told", "match"), [
    ({"kind": "obj"}, "tiff, stl, ply"),
    ({"labels": None}, "labels=NAME"),
    ({"kind": "tiff", "labels": None, "label": 3}, "labels=NAME"),
    ({"kind": "tiff", "probabilities": "p"}, "not both"),
    ({"labels": "annotation_m"}, "paint"),
    ({"unit": "mm"}, "um or nm"),
    ({"max_faces": 3}, "at least 20"),
    ({"kind": "tiff", "max_faces": 300}, "STL and PLY"),
    ({"label": []}, "names no object"),
    ({"label": 0}, "counted from 1"),
    ({"name": "a/b"}, "cannot be the name"),
])
def test_what_cannot_be_meant_is_refused_at_once(store, tmp_path, told, match):
    with untouched(tmp_path), pytest.raises(UsageError, match=match):
        export(store, tmp_path / "new", **told)


@pytest.mark.parametrize(("told", "match"), [
    ({"labels": "no"}, "labels/no"), ({"level": 9}, "level=0 to"), ({"level": -1}, "level=0 to"),
    ({"labels": "empty"}, "any object"), ({"label": [7, 8]}, r"objects \[8\]"),
])
def test_what_is_not_there_is_told(store, tmp_path, told, match):
    with pytest.raises(DataError, match=match):
        export(store, tmp_path / "new", **told)
    assert not list((tmp_path / "new").glob("[!.]*") if (tmp_path / "new").exists() else [])


def test_a_file_has_one_name_and_lies_outside_of_the_store(store, tmp_path):
    with pytest.raises(UsageError, match="is a file"):
        export(store, tmp_path / "a.stl", name="b")
    with pytest.raises(UsageError, match="lies in the store"), untouched(store.path):
        export(store, store.path / "meshes")


def test_memory_is_asked_for_before_the_largest_object(store, tmp_path, monkeypatch):
    monkeypatch.setattr(travel_meshes, "free_memory", lambda: 1e5)
    with pytest.raises(RoomError, match="coarser level="):
        export(store, tmp_path)


def test_two_runs_do_not_write_one_file(store, tmp_path):
    other = locked(tmp_path / "m.stl")
    code = (
        "import sys; from fibseg.pipeline.travel import export_objects as e\n"
        f"e({str(store.path)!r}, kind='stl', out={str(tmp_path)!r}, labels='m')"
    )
    with other:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert BusyError.__name__ in done.stderr


# --- killed -------------------------------------------------------------------------------------

STOPPING = """
import sys, time
from pathlib import Path
from fibseg.cli import main
from fibseg.measure import object_faces
from fibseg.pipeline import travel_meshes, travel_tiff
from fibseg.volume import mesh_files, tiff_volume

moment, marker = sys.argv[1:3]

def here(*a, **k):
    Path(marker).touch()
    time.sleep(600)

def later(module, name):
    quick, calls = getattr(module, name), []
    def second(*a, **k):
        calls.append(1)
        return quick(*a, **k) if len(calls) == 1 else here()
    setattr(module, name, second)

if moment == "cutting":
    object_faces.triangles_partial = here
elif moment == "second object":
    later(travel_meshes, "finished")
elif moment == "before the name":
    mesh_files._published = here
    tiff_volume.os.fsync = here
elif moment == "before it is tidy":
    travel_meshes.shutil.rmtree = here
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize(("kind", "moment", "stands"), [
    ("stl", "cutting", False), ("ply", "second object", False), ("ply", "before the name", False),
    ("stl", "before it is tidy", True), ("tiff", "before the name", False),
])
def test_killed_at_any_moment_and_run_again(store, tmp_path, kind, moment, stands):
    export(store, tmp_path / "calm", kind)
    calm = next((tmp_path / "calm").iterdir())
    out, marker = tmp_path / "out", tmp_path / "marker"
    words = [
        "export", f"volume={store.path}", "labels=m", f"format={kind}", f"out={out}",
        "blocks=serial",
    ]
    process = subprocess.Popen([sys.executable, "-c", STOPPING, moment, str(marker), *words])
    until = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    assert marker.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out / calm.name).exists() == stands
    assert main(words) == 0
    assert (out / calm.name).read_bytes() == calm.read_bytes()
    assert [p.name for p in out.iterdir()] == [calm.name]


def test_the_command_of_the_readme(store, tmp_path, capsys):
    words = ["export", f"volume={store.path}", "labels=m", "format=ply", f"out={tmp_path}"]
    assert main([*words, "blocks=serial", "max_faces=200", "label=[7,300]"]) == 0
    assert "2 objects" in capsys.readouterr().out
    assert main([*words, "format=stl", f"out={store.path}"]) == 2
    assert "lies in the store" in capsys.readouterr().err
    assert len(read_ply(tmp_path / "m.ply")[2]) <= 400


@pytest.mark.parametrize("words", [
    ["labels=m", "format=stl", "label=7"], ["labels=m", "format=ply", "level=1"],
    ["probabilities=p", "format=tiff"], ["format=tiff"],
])
def test_a_dry_run_plans_and_writes_nothing(store, tmp_path, capsys, words):
    with untouched(store.path):
        words = ["export", f"volume={store.path}", f"out={tmp_path / 'new'}", *words]
        assert main([*words, "dry_run=true"]) == 0
    assert "plan of fibseg export" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_no_half_file(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fibseg.volume.mesh_files._synced", full)
    with pytest.raises(OSError, match=r"no room|No space"):
        export(store, tmp_path)
    assert not (tmp_path / "m.stl").exists()
    monkeypatch.undo()
    export(store, tmp_path)
    shutil.rmtree(tmp_path)
