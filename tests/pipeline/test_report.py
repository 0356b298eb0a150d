from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError, UsageError
from fibseg.pipeline import evaluate, report
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE = (20, 60, 90)
SPACING = (40.0, 10.0, 10.0)
EVIL = "cell <script>alert(1)<" + "∕script> & \"b\" 'c'"


def objects() -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), (2, 4, 4))
    return ndimage.label(noise > 0.03)[0].astype(np.uint32)


def add_labels(volume: Volume, name: str, labels: np.ndarray, **kind: Any) -> str:
    product = volume.create_labels(
        name, **{"kind": "labels", "dtype": labels.dtype, "inputs": name, **kind}
    )
    product.array[...] = labels
    return finish_product(product).digest


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    path = tmp_path_factory.mktemp("report") / f"{EVIL}.ome.zarr"
    volume = Volume.create(path, shape=SHAPE, dtype="uint16", spacing=SPACING, polarity="dark")
    volume.raw()[...] = np.random.default_rng(1).integers(500, 4000, SHAPE, np.uint16)
    finish_raw(volume)
    labels = objects()
    sizes = np.bincount(labels.ravel())[1:]
    n = sizes.size
    digest = add_labels(volume, "mitochondria", labels)
    volume.write_table("mitochondria", {
        "label": np.arange(1, n + 1), "n_voxels": sizes, "volume_um3": sizes * 4e-6,
        "centroid_z_um": np.ones(n), "centroid_y_um": np.ones(n), "centroid_x_um": np.ones(n),
        "touches_border": np.arange(n) < 2,
    }, labels_digest=digest)
    add_labels(volume, "nucleus", np.ones(SHAPE, np.uint8))
    add_labels(volume, "truth", np.roll(labels, 1, axis=2))
    painted = np.zeros(SHAPE, np.uint8)
    painted[[4, 9, 15], :, :50] = np.where(labels[[4, 9, 15], :, :50] > 0, 2, 1)
    add_labels(volume, "mitochondria", painted, kind="annotation",
               classes={"background": 1, "mitochondria": 2})
    for truth in ("truth", "annotation_mitochondria"):
        evaluate.run(volume=str(path), labels="mitochondria", truth=truth,
                     overrides=["labels=mitochondria", "x=<img src=x onerror=alert(2)>"],
                     config={"note": "</pre><script>alert(3)</script>"})
    return volume


@pytest.fixture(scope="module")
def page(store: Volume) -> str:
    result = report.run(volume=str(store.path))
    assert Path(result["report"]) == store.path.parent / f"{EVIL}.report.html"
    return Path(result["report"]).read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.found if t == tag]


def decoded(uri: str) -> np.ndarray:
    return imagecodecs.imread(base64.b64decode(uri.partition("base64,")[2]))


def test_names_and_commands_are_escaped(page: str) -> None:
    elements = Elements(page)
    assert elements.all("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not any(k.startswith("on") for _, a in elements.found for k in a)
    assert EVIL in elements.text
    assert "x=<img src=x onerror=alert(2)>" in elements.text
    assert "</pre><script>alert(3)</script>" in elements.text


def test_page_needs_nothing_from_elsewhere(page: str) -> None:
    elements = Elements(page)
    for tag, attributes in elements.found:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for key in ("src", "href", "srcset", "poster", "action"):
            assert (attributes.get(key) or "data:").startswith("data:"), (tag, attributes)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page
    for uri in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page):
        svg = base64.b64decode(uri).decode()
        assert "<script" not in svg
        assert not re.search(r"(href|src)=\"(?!#)", svg)


def test_planes_in_three_directions_have_their_physical_shape(page: str) -> None:
    views = re.findall(
        r'class="view" style="--aspect: ([\d.]+)".*?src="(data:image/jpeg[^"]+)".*?'
        r'class="bar" style="width: ([\d.]+)%"><i>([^<]+)<.*?<b>(\w+)</b> ([^<]+)<',
        page, flags=re.DOTALL,
    )
    places = [(v[4], v[5]) for v in views]
    assert places[:5] == [
        ("XY", "z = 5"), ("XY", "z = 10"), ("XY", "z = 15"), ("XZ", "y = 30"), ("YZ", "x = 45"),
    ]
    aspects = [float(v[0]) for v in views[:5]]
    assert aspects == pytest.approx([1.5] * 3 + [900 / 800, 600 / 800], abs=1e-3)
    assert decoded(views[0][1]).shape[:2] == (60, 90)
    assert decoded(views[3][1]).shape[:2] == (20, 90)
    assert (float(views[0][2]), views[0][3]) == (pytest.approx(100 * 200 / 900, abs=0.01), "200 nm")


def test_raw_is_shown_with_stain_bright_and_labels_lie_over_it(store: Volume, page: str) -> None:
    uri = re.findall(r"data:image/jpeg;base64,[^\"]+", page)[1]
    raw = np.asarray(store.raw()[10], float)
    shown = decoded(uri).astype(float)
    assert store.polarity == "dark"
    assert np.corrcoef(raw.ravel(), shown.ravel())[0, 1] < -0.98
    layer = decoded(re.findall(r"layer-0\" src=\"(data:image/png;base64,[^\"]+)", page)[1])
    np.testing.assert_array_equal(layer[..., 3] > 0, objects()[10] > 0)


def test_numbers_of_objects_scores_and_methods_are_on_the_page(page: str) -> None:
    text = " ".join(Elements(page).text.split())
    n = int(objects().max())
    assert f"objects {n}" in text
    assert f"{(objects() > 0).sum() * 4e-6:.4g} µm³" in text
    assert "2 cut off, so too small" in text
    assert "labels/mitochondria against labels/truth, whole volume" in text
    assert "labels/mitochondria against labels/annotation_mitochondria, painted planes" in text
    assert "20 × 60 × 90 voxels (z × y × x, uint16, voxel size 40 × 10 × 10 nm)" in text
    assert f"There were {n} objects (mitochondria)." in text
    assert "Not measured" in text
    assert "fibseg evaluate labels=mitochondria" in text
    assert "cell <script>" in text


def test_truth_is_not_shown_as_objects_unless_asked_for(store: Volume, tmp_path: Path) -> None:
    def headings(**words: Any) -> list[str]:
        out = tmp_path / "a" / "r.html"
        report.run(volume=str(store.path), out=str(out), **words)
        found = re.findall(r"<h2>(?:<span[^>]*></span>)?([^<]+)</h2>", out.read_text("utf-8"))
        return [h for h in found if h in ("mitochondria", "nucleus", "truth")]

    assert headings() == ["mitochondria", "nucleus"]
    assert headings(labels=["truth"]) == ["truth"]
    assert headings(labels=[]) == []


def test_large_planes_come_small_and_chosen_planes_in_order(
    store: Volume, tmp_path: Path
) -> None:
    out = tmp_path / "r.html"
    report.run(volume=str(store.path), out=str(out), planes=[7, 2], max_pixels=32, stain="bright")
    text = out.read_text("utf-8")
    uris = re.findall(r"data:image/jpeg;base64,[^\"]+", text)
    assert all(max(decoded(u).shape[:2]) <= 32 for u in uris)
    assert re.findall(r"<b>XY</b> z = (\d+)", text)[:2] == ["7", "2"]
    assert "stain is bright" in text


def test_same_store_gives_the_same_page_and_figure(store: Volume, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        report.run(volume=str(store.path), out=str(tmp_path / name))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_stain_is_bright_as_in_the_study_or_dark_as_asked(store: Volume, tmp_path: Path) -> None:
    pages = {}
    for stain in ("bright", "dark"):
        out = tmp_path / f"{stain}.html"
        report.run(volume=str(store.path), out=str(out), stain=stain)
        text = out.read_text("utf-8")
        assert f"stain is {stain}" in text
        uri = re.findall(r"data:image/jpeg;base64,[^\"]+", text)[0]
        pages[stain] = decoded(uri).astype(int)
    # JPEG is lossy: one is the negative of the other but for its noise.
    assert np.abs(pages["bright"] + pages["dark"] - 255).mean() < 6
    with pytest.raises(UsageError, match="stain='blue'"):
        report.run(volume=str(store.path), stain="blue")


def test_bare_and_single_plane_volumes_have_a_page(tmp_path: Path) -> None:
    volume = Volume.create(tmp_path / "one.ome.zarr", shape=(1, 40, 30), dtype="uint8",
                           spacing=(1.0, 5.0, 5.0), polarity="bright")
    volume.raw()[...] = 7
    finish_raw(volume)
    text = Path(report.run(volume=str(volume.path))["report"]).read_text("utf-8")
    assert "<b>XY</b> z = 0" in text
    assert "<b>XZ</b>" not in text
    assert "How good is it?" not in text


def test_labels_that_changed_are_called_so(tmp_path: Path) -> None:
    volume = Volume.create(tmp_path / "c.ome.zarr", shape=(4, 20, 20), dtype="uint8",
                           spacing=(5.0, 5.0, 5.0), polarity="bright")
    volume.raw()[...] = np.broadcast_to(np.arange(20, dtype=np.uint8), (4, 20, 20))
    finish_raw(volume)
    blobs = np.zeros((4, 20, 20), np.uint32)
    for i in range(5):
        blobs[:, 4 * i : 4 * i + 2, 3:9] = i + 1
    digest = add_labels(volume, "blobs", blobs)
    add_labels(volume, "true", blobs)
    table = {"label": np.arange(1, 6), "volume_um3": np.full(5, 1e-3)}
    volume.write_table("blobs", table, labels_digest=digest)
    evaluate.run(volume=str(volume.path), labels="blobs", truth="true")
    add_labels(volume, "blobs", np.roll(blobs, 1, 1), inputs="new", overwrite=True)
    text = Path(report.run(volume=str(volume.path))["report"]).read_text("utf-8")
    assert "measured on an earlier version" in text
    assert "The labels have changed since" in text


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"planes": [3, 20]}, DataError, "has the planes 0 to 19"),
        ({"planes": []}, DataError, "planes=\\[\\]"),
        ({"labels": ["golgi"]}, DataError, "labels=\\['golgi'\\].*mitochondria"),
        ({"max_pixels": 2}, UsageError, "max_pixels=2"),
        ({"overwrite": False}, UsageError, "exists"),
        ({"out": "page.png"}, UsageError, "Use page.html"),
    ],
)
def test_what_cannot_be_meant(
    store: Volume, page: str, words: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        report.run(volume=str(store.path), **words)


@pytest.fixture
def modelled(tmp_path: Path) -> tuple[Volume, Path]:
    """A store on which a model ran that was tested in training, and its folder."""
    import torch

    from fibseg.export import describe_model, save_model_folder, weights_digest
    from fibseg.models import NetworkSpec, build_network

    network = NetworkSpec(features=(4, 8))
    with torch.random.fork_rng(devices=[]):
        module = build_network(network, in_channels=1, n_classes=1)
    rows = [{"volume": "c", "z": z, "classes": {"blob": {"iou": v, "boundary_f1": None}}}
            for z, v in ((3, 0.7), (13, 0.9))]
    spec = describe_model(
        network={"name": "unet", "features": [4, 8]}, classes=["blob"], context=0,
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        receptive_field=9, stride_multiple=2, spacing=(5.0, 5.0, 5.0),
        training={"volumes": [{}], "split": {"train_planes": {"c": [1, 2, 3]}}, "n_steps": 1234},
        metrics={"split": "planes", "classes": {"blob": {"iou": 0.8125}}, "planes": rows},
    )
    folder = tmp_path / "models" / "blobs"
    save_model_folder(folder, module, spec)
    volume = Volume.create(tmp_path / "m.ome.zarr", shape=(4, 20, 20), dtype="uint8",
                           spacing=(5.0, 5.0, 5.0), polarity="bright")
    volume.raw()[...] = 3
    finish_raw(volume)
    blobs = np.zeros((4, 20, 20), np.uint32)
    blobs[:, 2:9, 2:9] = 1
    digest = add_labels(volume, "blob", blobs)
    volume.write_table("blob", {"label": np.array([1]), "volume_um3": np.array([0.1])},
                       labels_digest=digest)
    steps = {"closing": {"_target_": "fibseg.postprocess.closing", "radius_nm": 40}}
    record = volume.start_run(
        "infer", config={"model": str(folder), "name": "blob", "postprocess": steps},
        overrides=[f"model={folder}"], inputs={"model": weights_digest(folder)},
    )
    record.finish(products={"labels/blob": digest})
    return volume, folder


def written(volume: Volume) -> str:
    page = Path(report.run(volume=str(volume.path))["report"]).read_text("utf-8")
    return " ".join(Elements(page).text.split())


def test_held_out_scores_and_training_of_the_model_are_told(
    modelled: tuple[Volume, Path]
) -> None:
    text = written(modelled[0])
    assert "IoU, blob 0.812 blobs, held-out" in text
    assert "Model blobs on what was held out of its training (planes)" in text
    assert "Plane by plane" in text
    assert (
        "The class blob was segmented with a 2D U-Net (features 4, 8), trained on sparse painting "
        "of 3 planes for 1,234 steps" in text
    )
    assert "turned into objects by closing (radius nm 40)" in text


def test_a_model_that_is_gone_or_another_by_now_is_not_quoted(
    modelled: tuple[Volume, Path]
) -> None:
    volume, folder = modelled
    with (folder / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    text = written(volume)
    assert "0.812" not in text
    assert "The class blob was segmented with a 2D U-Net." in text
    for file_path in folder.iterdir():
        file_path.unlink()
    folder.rmdir()
    assert "0.812" not in written(volume)
