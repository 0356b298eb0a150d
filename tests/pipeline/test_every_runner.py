"""Every stage gives the same bytes in this process, in processes, and on a Dask cluster."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from benches import DiskBench
from inference_fakes import random_image, random_model
from scipy import ndimage

from fibseg.blocks import Cluster, Processes, Serial, cluster_pool
from fibseg.data.planes import painted_planes
from fibseg.export import save_model_folder
from fibseg.measure import regions
from fibseg.pipeline import check, distance, evaluate, infer, ingest, verify
from fibseg.pipeline.chain import bound
from fibseg.pipeline.operators import Work, find_objects, region_table
from fibseg.postprocess import (
    closing,
    components,
    dilation,
    erosion,
    fill_holes,
    grow,
    hysteresis,
    largest,
    opening,
    remove_small,
    smooth,
    split_objects,
    threshold,
)
from fibseg.volume import Volume

P = functools.partial
RUNNERS = {
    "serial": Serial(), "processes": Processes(n_workers=2), "cluster": Cluster(n_workers=2),
}
SHAPE, BLOCK, SPACING = (20, 24, 28), (8, 16, 16), (20.0, 10.0, 10.0)
ON_MASKS = {
    "dilation": P(dilation, radius_nm=15.0), "erosion": P(erosion, radius_nm=10.0),
    "opening": P(opening, radius_nm=10.0), "closing": P(closing, radius_nm=25.0),
    "remove_small": P(remove_small, min_voxels=9, connectivity=6), "largest": P(largest, n=3),
    "fill_holes": P(fill_holes),
}
CHAINS = {
    **{
        name: {"threshold": P(threshold, level=0.55), name: step, "components": P(components)}
        for name, step in ON_MASKS.items()
    },
    **{
        f"components {n}": {
            "threshold": P(threshold, level=0.8),
            "components": P(components, connectivity=n, min_voxels=2),
        }
        for n in (6, 18, 26)
    },
    "all together": {
        "smooth": P(smooth, sigma_nm=8.0), "hysteresis": P(hysteresis, low=0.52, high=0.58),
        "remove_small": P(remove_small, min_voxels=9), "closing": P(closing, radius_nm=10.0),
        "fill_holes": P(fill_holes), "largest": P(largest, n=20),
        "components": P(components, min_voxels=9),
        "split_objects": P(split_objects, depth_nm=1.0, max_object_voxels=1000),
        "grow": P(grow, distance_nm=12.0),
    },
}


@pytest.fixture(scope="module", autouse=True)
def closed():
    yield
    cluster_pool.close()


@pytest.fixture(params=RUNNERS)
def runner(request):
    return RUNNERS[request.param]


@functools.cache
def expected(chain):
    """Probabilities, and what the array kernels make of them."""
    probs = (np.random.default_rng(4).random(SHAPE) * 256).astype(np.uint8)
    labels = probs
    for step in CHAINS[chain].values():
        labels = bound(step, spacing=SPACING)(labels)
    return probs, labels


@pytest.mark.parametrize("chain", CHAINS)
def test_operators_give_what_the_kernels_give(runner, chain, tmp_path):
    probs, labels = expected(chain)
    bench = DiskBench(SHAPE, tmp_path)
    work = Work(bench=bench, block_shape=BLOCK, runner=runner, spacing=SPACING)
    target = bench.sheet("labels", dtype="u4")
    n = find_objects(bench.stored("probs", probs), target, CHAINS[chain], work=work, inputs="")
    assert n == labels.max() > 0
    np.testing.assert_array_equal(target.array[:], labels)


def test_the_table_is_that_of_the_kernel(runner, tmp_path):
    probs, labels = expected("all together")
    bench = DiskBench(SHAPE, tmp_path)
    stored = bench.stored("labels", labels), bench.stored("probs", probs)
    table = region_table(*stored, block_shape=BLOCK, runner=runner, spacing=SPACING)
    assert len(table["label"]) > 10
    for name, column in regions.measure(labels, probs, spacing=SPACING).items():
        np.testing.assert_array_equal(table[name], column)


WIDE = (66, 520, 8)
"""On level 0, two rows of two blocks."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Folder of an image, a painting, numbered objects, a mask, and a model."""
    folder = tmp_path_factory.mktemp("sources")
    image = random_image(WIDE, seed=3).astype(np.float32) / 7
    mask = ndimage.gaussian_filter(image, (1, 2, 2)) > 19
    painted = (mask + np.uint8(1)).astype(np.uint8)
    painted[np.arange(WIDE[0]) % 7 != 2] = 0
    np.save(folder / "image.npy", image)
    np.save(folder / "mask.npy", mask)
    np.save(folder / "objects.npy", ndimage.label(mask)[0].astype(np.uint16) * 3)
    np.save(folder / "painted.npy", painted)
    save_model_folder(folder / "model", *random_model(features=(4, 4), spacing=SPACING))
    return folder


def cell_made_by(runner, sources: Path, path: Path) -> tuple[dict[str, bytes], list]:
    """All files of a store that all verbs have worked on, and what they said of it."""
    add = functools.partial(ingest.run, volume=path, blocks=runner)
    add(source=sources / "image.npy", spacing=SPACING, polarity="dark")
    add(source=sources / "painted.npy", kind="annotation", name="m")
    add(source=sources / "objects.npy", kind="labels", name="objects")
    add(source=sources / "mask.npy", kind="labels", name="pieces", objects="components")
    volume = str(path)
    made = infer.run(
        model=str(sources / "model"), volume=volume, name="m", blocks=runner, backend="torch",
        precision="float32", postprocess=CHAINS["fill_holes"],
    )
    distance.run(volume=volume, labels="pieces", max_nm=200.0, blocks=runner)
    score = functools.partial(evaluate.run, volume=volume, labels="m", blocks=runner)
    said = [
        made["labels/m"], score(truth="objects").as_dict(), score(truth="annotation_m").as_dict(),
        check.run(volume=volume, blocks=runner).text().replace(volume, ""),
        verify.run(volume=volume, blocks=runner).text().replace(volume, ""),
        painted_planes(Volume.open(path).labels("annotation_m"), runner=runner),
    ]
    files = {
        str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*"))
        if file.is_file() and file.relative_to(path).parts[0] != "runs"
    }
    return files, said


@pytest.fixture(scope="module")
def reference(sources, tmp_path_factory):
    path = tmp_path_factory.mktemp("serial") / "cell.ome.zarr"
    return path, *cell_made_by(Serial(), sources, path)


def test_there_is_something_to_compare(reference, sources):
    path, files, (objects, scores, on_planes, _, _, planes) = reference
    image = np.load(sources / "image.npy")
    assert Volume.open(path).intensity_range == (image.min(), image.max())
    assert objects["n_objects"] > 20
    assert 0 < scores["scores"]["m"]["iou"] < 1
    assert 0 < on_planes["scores"]["m"]["iou"] < 1
    assert planes == list(range(2, WIDE[0], 7))
    shards = [Path(name).parents[3] for name in files if "0/c/" in name]
    assert {str(folder.parent): shards.count(folder) for folder in shards} == dict.fromkeys(
        [".", "labels/annotation_m", "labels/objects", "labels/pieces", "labels/m",
         "probabilities/m", "distances/pieces"], 4,
    )


@pytest.mark.parametrize("name", ["processes", "cluster"])
def test_a_cell_is_the_same_bytes_on_every_runner(name, reference, sources, tmp_path):
    files, said = cell_made_by(RUNNERS[name], sources, tmp_path / "cell.ome.zarr")
    _, wanted, said_of_it = reference
    assert said == said_of_it
    assert sorted(files) == sorted(wanted)
    assert [file for file, data in files.items() if data != wanted[file]] == []
