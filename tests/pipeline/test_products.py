"""What ``fibseg infer`` and ``fibseg objects`` print."""

from __future__ import annotations

from fibseg.pipeline.products import Products

OBJECTS = {"n_objects": 1133, "volume_um3": 45.678912, "table": "tables/mito.parquet"}


def test_every_product_has_its_line() -> None:
    speed = {"seconds": 12.34, "megavoxels_per_second": 4.567}
    made = Products("my cell.ome.zarr", {"probabilities/mito": speed, "labels/mito": OBJECTS})
    assert made["labels/mito"]["n_objects"] == 1133
    assert made.text().splitlines() == [
        "probabilities/mito   made in 12.3 s, 4.57 million voxels per second",
        "labels/mito          1,133 objects, 45.68 µm³",
        "tables/mito.parquet  a row per object",
        "",
        "next:",
        "fibseg report 'volume=my cell.ome.zarr'",
    ]


def test_one_object_and_products_of_an_earlier_run() -> None:
    one = {**OBJECTS, "n_objects": 1}
    made = Products("a", {"probabilities/m": "made before", "labels/m": one})
    assert "probabilities/m      made before" in made.text()
    assert "1 object," in made.text()


def test_probabilities_alone_promise_no_report() -> None:
    text = Products("a", {"probabilities/m": "made before"}).text()
    assert text == "probabilities/m  made before"
