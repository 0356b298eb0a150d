"""Equal runs give equal bytes, also when they were killed on the way."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from fibseg.volume import Volume

WORK = textwrap.dedent(
    """
    import sys
    import numpy as np
    from fibseg.pipeline.pyramid import finish_product, finish_raw
    from fibseg.volume import Volume

    volume = Volume.create(sys.argv[1], shape=(70, 200, 200), dtype="uint8",
                           spacing=(20, 20, 20), polarity="dark", inputs="a")
    rng = np.random.default_rng(0)
    data = rng.integers(0, 255, volume.shape, dtype="uint8")
    print("started", flush=True)
    if not volume.complete:
        volume.raw()[:] = data
        finish_raw(volume)
    for name in ("nucleus", "mitochondria"):
        labels = volume.create_labels(name, kind="labels", dtype="uint32", inputs=name)
        if not labels.complete:
            labels.array[:] = data // 32
            finish_product(labels)
        digest = labels.info.digest
        volume.write_table(name, {"label": np.arange(1, 9)}, labels_digest=digest)
    """
)


def start(path):
    return subprocess.Popen(
        [sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "cell.ome.zarr"
    begun = time.monotonic()
    process = start(path)
    process.stdout.readline()
    ready = time.monotonic() - begun
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return path, time.monotonic() - begun - ready


def test_two_runs_give_equal_bytes(reference, tmp_path, files):
    process = start(tmp_path / "other.ome.zarr")
    assert process.communicate()[1] == b""
    assert files(tmp_path / "other.ome.zarr") == files(reference[0])


def test_a_killed_run_ends_in_the_same_bytes(reference, tmp_path, files):
    path, seconds = reference
    folder = tmp_path / "cell.ome.zarr"
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = start(folder)
        process.stdout.readline()
        time.sleep(float(rng.uniform(0, seconds)))
        process.kill()
        process.communicate()
    process = start(folder)
    assert process.communicate()[1] == b""
    assert files(folder) == files(path)
    assert [p.name for p in tmp_path.iterdir()] == ["cell.ome.zarr"]
    assert Volume.open(folder).label_names() == ["mitochondria", "nucleus"]


def test_raw_digest_does_not_depend_on_the_format(tmp_path, make):
    digests = {
        make(tmp_path / version, version=version).raw_digest for version in ("0.4", "0.5")
    }
    assert len(digests) == 1
