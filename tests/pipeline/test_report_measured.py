"""The report of a measured cell: kinds, shares, the view in 3D, figures, colours in viewers."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import zarr

from fibseg.pictures import CLASS_COLORS, NUCLEUS, column_colors
from fibseg.pipeline import measure, report, report_scene
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.pipeline.report_cell import share_facts, whole_profile
from fibseg.pipeline.report_facts import measured_of, object_section
from fibseg.pipeline.report_kinds import SHELL, Kind, kinds_of
from fibseg.pipeline.report_pictures import camera_for, drawn, measured_figures
from fibseg.report import svg_text
from fibseg.report.methods_measure import measurement_text
from fibseg.volume import Volume

SHAPE, SPACING = (48, 96, 96), (40.0, 20.0, 20.0)
MIDDLE_NM = np.array([24, 48, 48]) * SPACING
N_OBJECTS = 14


def away(centre_nm):
    places = (np.indices(SHAPE) * np.reshape(SPACING, (3, 1, 1, 1))).astype(float)
    return np.sqrt(((places - np.reshape(centre_nm, (3, 1, 1, 1))) ** 2).sum(axis=0))


def cell_labels():
    """Balls between two balls: the further out, the smaller."""
    rng = np.random.default_rng(3)
    mitochondria = np.zeros(SHAPE, np.uint16)
    for label in range(1, N_OBJECTS + 1):
        way = rng.standard_normal(3)
        out_nm = 420 + 25 * label
        mitochondria[away(MIDDLE_NM + way / np.linalg.norm(way) * out_nm) < 130 - 3 * label] = label
    return {
        "cell": (away(MIDDLE_NM) < 900).astype(np.uint8),
        "mitochondria": mitochondria,
        "nucleus": (away(MIDDLE_NM) < 280).astype(np.uint8),
    }


def add_labels(volume, name, data, *, inputs="x", overwrite=False):
    product = volume.create_labels(
        name, kind="labels", dtype=data.dtype, inputs=inputs, overwrite=overwrite
    )
    product.array[:] = data
    finish_product(product)


def measured_store(path, version="0.5"):
    volume = Volume.create(
        path, shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark", ome_version=version
    )
    volume.raw()[:] = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    finish_raw(volume)
    for name, data in cell_labels().items():
        add_labels(volume, name, data)
    measure.run(volume=str(path), objects="nucleus", to=["cell"])
    measure.run(volume=str(path), objects="mitochondria", to=["nucleus", "cell"])
    return volume


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return measured_store(tmp_path_factory.mktemp("measured") / "cell.ome.zarr")


@pytest.fixture(scope="module")
def found(store):
    return report.run(volume=str(store.path))


@pytest.fixture(scope="module")
def page(found):
    return Path(found["report"]).read_text("utf-8")


def kinds(store):
    return kinds_of(store, ["cell", "mitochondria", "nucleus"])


def data_of(page):
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


def numbers(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def test_many_objects_come_first_and_the_largest_body_is_a_shell(store):
    assert kinds(store) == [
        Kind("mitochondria", None), Kind("cell", SHELL, shell=True), Kind("nucleus", NUCLEUS),
    ]


def test_a_body_alone_is_no_shell(store):
    assert kinds_of(store, ["nucleus"]) == [Kind("nucleus", NUCLEUS)]
    assert kinds_of(store, []) == []


def test_only_the_outline_of_the_shell_is_on_planes(page):
    data = data_of(page)
    assert [kind["name"] for kind in data["kinds"]] == ["mitochondria", "cell", "nucleus"]
    layer = page.partition('class="layer layer-1" src="')[2].partition('"')[0]
    alpha = imagecodecs.imread(base64.b64decode(layer.partition("base64,")[2]))[..., 3]
    inside = cell_labels()["cell"][12] > 0
    assert set(np.unique(alpha)) == {0, 255}
    assert 0 < (alpha > 0).sum() < 0.2 * inside.sum()


def test_meshes_lie_where_the_labels_are(store):
    scene = report_scene.scene_of(store, kinds(store))
    assert scene.size_um == pytest.approx((1.92, 1.92, 1.92))
    assert [m.opacity for m in scene.meshes] == [1.0, report_scene.SHELL, report_scene.INNER]
    for mesh, name in zip(scene.meshes, ("mitochondria", "cell", "nucleus"), strict=True):
        labels = cell_labels()[name]
        assert mesh.mesh.labels.tolist() == np.unique(labels[labels > 0]).tolist()
        lows = np.array([a.min() for a in np.nonzero(labels)])
        highs = np.array([a.max() for a in np.nonzero(labels)])
        voxel_um = np.array(SPACING) * 1e-3
        points = mesh.mesh.vertices_um
        assert (abs(points.min(axis=0) - (lows - 0.5) * voxel_um) < 0.5 * voxel_um).all()
        assert (abs(points.max(axis=0) - (highs + 0.5) * voxel_um) < 0.5 * voxel_um).all()


@pytest.mark.parametrize("most_voxels", [60_000, 9_000])
def test_a_coarser_view_lies_in_the_same_place(store, monkeypatch, most_voxels):
    fine = report_scene.scene_of(store, kinds(store)).meshes[1].mesh.vertices_um
    monkeypatch.setattr(report_scene, "MOST_VOXELS", most_voxels)
    monkeypatch.setattr(
        report_scene, "coarse_level",
        lambda store, level=report_scene.coarse_level: level(store, most_voxels=most_voxels),
    )
    monkeypatch.setattr(
        report_scene, "read_coarse",
        lambda *a, read=report_scene.read_coarse: read(*a, most_voxels=most_voxels),
    )
    _, spacing = report_scene.coarse_level(store)
    coarse = report_scene.scene_of(store, kinds(store)).meshes[1].mesh.vertices_um
    assert max(spacing) > 60
    # The voxels that are taken from the finest level lie at a corner of what they stand for.
    for end in (np.min, np.max):
        assert (abs(end(coarse, axis=0) - end(fine, axis=0)) < np.array(spacing) * 1e-3).all()


def test_shares_are_those_of_the_tables(store, page):
    labels = cell_labels()
    voxel = np.prod(SPACING) * 1e-9
    profile = whole_profile(store, ["mitochondria", "nucleus"])
    assert profile["cell"]["volume_um3"] == pytest.approx((labels["cell"] > 0).sum() * voxel)
    facts = share_facts(profile)
    assert [fact.label for fact in facts] == ["cell", "nucleus", "cytoplasm", "mitochondria"]
    share = (labels["mitochondria"] > 0).sum() / ((labels["cell"] > 0).sum()
                                                  - (labels["nucleus"] > 0).sum())
    assert f"{100 * share:.1f} % of the cytoplasm" in facts[-1].note
    assert facts[-1].note in page


def test_a_body_has_its_size_above_and_its_shape_below(store, page):
    table = store.table("nucleus")
    section = object_section(store, Kind("nucleus", NUCLEUS), 12)
    facts = {fact.label: fact.value for fact in section.facts}
    assert facts["surface to volume"] == f"{table['surface_to_volume_per_um'][0]:.4g} 1/µm"
    assert facts["surface area"] == f"{table['surface_area_um2'][0]:.4g} µm²"
    assert section.table is None
    assert f"<dd>{table['volume_um3'][0]:.3g} µm³<small>" in page


def test_figures_are_on_the_page_and_beside_it(store, found, page):
    files = sorted(path.name for path in Path(found["figures"]).iterdir())
    stems = [
        "mitochondria_correlations_with_distance", "mitochondria_distance_to_nearest_membrane",
        "mitochondria_in_3d", "mitochondria_sphericity", "mitochondria_surface_to_volume",
        "mitochondria_volume", "raw_image_cut_open", "shares_of_the_cell",
    ]
    assert files == [f"{stem}.{end}" for stem in stems for end in ("png", "svg")]
    for caption in (
        "Shares of the cell", "The raw image, cut open", "The mitochondria in 3D",
        "Correlations with distance", "Volume (µm³)", "Distance to nearest membrane (µm)",
    ):
        assert f"<figcaption>{caption}</figcaption>" in page
    still = page.partition('id="still" src="')[2].partition('"')[0]
    assert imagecodecs.imread(base64.b64decode(still.partition("base64,")[2])).std() > 5


def test_viewers_get_the_colors_of_the_page_and_the_numbers_of_the_table(store):
    table = store.table("mitochondria")
    label = zarr.open_group(store.path / "labels" / "mitochondria", mode="r").attrs["ome"]
    told = {e["label-value"]: e["rgba"] for e in label["image-label"]["colors"]}
    colors = column_colors(table["surface_to_volume_per_um"]).rgb.tolist()
    assert told == {n: [*c, 255] for n, c in zip(table["label"].tolist(), colors, strict=True)}
    for i, entry in enumerate(label["image-label"]["properties"]):
        assert entry["label-value"] == table["label"][i]
        assert entry["spatial_class"] == table["spatial_class"][i]
        assert entry["distance_nearest_um"] == pytest.approx(table["distance_nearest_um"][i])


def test_classes_have_their_colors_and_their_rule(store):
    section = object_section(store, Kind("mitochondria", None), 12)
    rows = [row[0] for row in section.classes.rows]
    assert section.classes.colors == tuple(CLASS_COLORS[row] for row in rows)
    classes = store.table("mitochondria")["spatial_class"]
    assert {row[0]: int(row[1]) for row in section.classes.rows} == {
        name: int((classes == name).sum()) for name in rows
    }
    assert section.classes.note.startswith("mixture of three normal distributions")


def test_the_data_of_the_page_are_those_of_the_table(store, page):
    kind = data_of(page)["kinds"][0]
    assert kind["table"]["color_by"] == "surface_to_volume_per_um"
    assert [k["table"] for k in data_of(page)["kinds"][1:]] == [None, None]
    mesh = data_of(page)["meshes"][0]
    labels = numbers(mesh["labels"], "<u4")
    assert labels.tolist() == store.table("mitochondria")["label"].tolist()


def test_what_was_measured_with_another_nucleus_is_not_drawn(tmp_path):
    store = measured_store(tmp_path / "cell.ome.zarr", "0.4")
    assert drawn(store, kinds(store)).objects["mitochondria"]
    moved = np.roll(cell_labels()["nucleus"], 2, axis=1)
    add_labels(store, "nucleus", moved, inputs="y", overwrite=True)
    section = object_section(store, Kind("mitochondria", None), 12)
    assert "measured with an earlier version of labels/nucleus" in section.note
    assert section.classes is None
    assert not drawn(store, kinds(store)).objects["mitochondria"]
    assert "nucleus" not in whole_profile(store, ["mitochondria"])


def test_shares_are_drawn_whatever_cell_and_nucleus_are_called(tmp_path):
    store = Volume.create(
        tmp_path / "cell.ome.zarr", shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark"
    )
    store.raw()[:] = 9
    finish_raw(store)
    names = {"cell": "whole.body", "nucleus": "nuc-2", "mitochondria": "mitochondria"}
    for name, data in cell_labels().items():
        add_labels(store, names[name], data)
    own = {"cell": "whole.body", "nucleus": "nuc-2"}
    measure.run(
        volume=str(store.path), objects="mitochondria", to=["nuc-2", "whole.body"],
        correlations=None, **own,
    )
    info = store.table_info("mitochondria")
    store.write_table(
        "mitochondria", store.table("mitochondria"), labels_digest=info["labels_digest"],
        measured=info["measured"] | own,
    )
    shares = drawn(store, kinds_of(store, list(names.values()))).cell["Shares of the cell"]
    tree = ET.fromstring(svg_text(shares))
    said = " | ".join("".join(t.itertext()) for t in tree.iter() if "text" in t.tag)
    assert "not measured" not in said
    assert "is measured" not in said
    assert "nuc-2" in said.partition("Share of the cytoplasm")[0], "it is a part of the cell"
    assert "nuc-2" not in said.partition("Share of the cytoplasm")[2]
    text = measurement_text(
        "mitochondria", n_objects=N_OBJECTS, n_cut=0, measured=info["measured"] | own
    )
    assert "the cytoplasm is the whole.body without the nuc-2." in text


def test_every_drawing_of_objects_is_drawn_once_as_svg(store, tmp_path, monkeypatch):
    drawings, whole = [], svg_text

    def counted(figure):
        drawings.append(id(figure))
        return whole(figure)

    monkeypatch.setattr("fibseg.pipeline.report_pictures.svg_text", counted)
    monkeypatch.setattr("fibseg.report.figures.svg_text", counted)
    found = report.run(volume=str(store.path), out=str(tmp_path / "once.html"))
    files = [path for path in Path(found["figures"]).iterdir() if path.suffix == ".svg"]
    own = [number for number in drawings if drawings.count(number) == 1]
    assert len(own) == len(drawings)
    assert len(files) <= len(drawings)
    page = Path(found["report"]).read_text("utf-8")
    volume = base64.b64encode((Path(found["figures"]) / "mitochondria_volume.svg").read_bytes())
    assert volume.decode() in page, "the page has what lies beside it"


def test_a_still_picture_is_as_large_as_what_it_can_show():
    sizes = {n: camera_for((4, n, n // 2), (20.0, 20.0, 20.0)).size_px for n in (8, 100, 1000)}
    assert sizes == {8: 240, 100: 400, 1000: 640}
    assert camera_for((50, 4, 4), (50.0, 10.0, 10.0)).size_px == 640, "as wide as 250 fine voxels"


def test_a_correlation_of_another_column_is_drawn_against_the_distances(store, monkeypatch):
    measured = measured_of(store, "mitochondria")
    other = {**measured["correlations"], "column": ["sphericity"] * 3}
    monkeypatch.setattr(
        "fibseg.pipeline.report_pictures.measured_of",
        lambda *_: measured | {"correlations": other, "null": None},
    )
    figure = measured_figures(store, "mitochondria")["Correlations with distance"]
    axes = figure.axes[: len(figure.axes) // 2]
    assert [a.get_ylabel() for a in axes] == ["sphericity"] * 3
    assert all("distance" in a.get_xlabel() for a in axes)


def test_of_too_many_objects_the_largest_are_seen_in_3d(store, monkeypatch):
    monkeypatch.setattr(report_scene, "N_TRIANGLES", 3 * 5 * report_scene.TRIANGLES_EACH)
    scene = report_scene.scene_of(store, kinds(store))
    table = store.table("mitochondria")
    largest = table["label"][np.argsort(-table["n_voxels"], kind="stable")[:5]]
    assert scene.meshes[0].mesh.labels.tolist() == sorted(largest.tolist())
    assert scene.caption == "Shown: the 5 largest of 14 mitochondria."
