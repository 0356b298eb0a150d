"""`fibseg phantom` writes files that a microscopist and a painter would hand over."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from stores import untouched

from fibseg.errors import ExistsError, UsageError
from fibseg.phantom import make_cell
from fibseg.pipeline import phantom

SMALL: dict[str, Any] = {"shape": (24, 64, 64), "seed": 2}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, phantom.Summary]:
    out = tmp_path_factory.mktemp("phantom") / "my sample"
    return out, phantom.run(out=out, **SMALL)


def test_the_stack_has_one_file_per_plane(sample: tuple[Path, phantom.Summary]) -> None:
    files = sorted((sample[0] / "stack").iterdir())
    planes = np.stack([tifffile.imread(f) for f in files])
    assert np.array_equal(planes, make_cell(**SMALL).image)


def test_truths_and_paintings_lie_on_the_grid(sample: tuple[Path, phantom.Summary]) -> None:
    out, cell = sample[0], make_cell(**SMALL)
    for name in phantom.TRUTHS:
        assert np.array_equal(tifffile.imread(out / f"truth_{name}.tif"), cell.labels[name])
    for name in ("mitochondria", "nucleus"):
        painted = tifffile.imread(out / f"painted_{name}.tif")
        assert painted.dtype == np.uint8
        assert (cell.labels[name][painted == 2] > 0).all()
        assert (cell.labels[name][painted == 1] == 0).all()


def test_the_painting_with_several_classes_agrees_with_its_truth(
    sample: tuple[Path, phantom.Summary],
) -> None:
    painted = tifffile.imread(sample[0] / "painted_organelles.tif")
    truth = tifffile.imread(sample[0] / "truth_organelles.tif")
    assert np.unique(painted).tolist() == [0, 1, 2, 3, 4]
    assert np.unique(truth).tolist() == [1, 2, 3, 4]
    assert (painted == truth)[painted > 0].all()
    labels = make_cell(**SMALL).labels
    assert np.array_equal(truth == 2, labels["mitochondria"] > 0)
    assert np.array_equal(truth == 1, ~labels["cell"])


def test_pores_csv_has_a_row_per_pore(sample: tuple[Path, phantom.Summary]) -> None:
    with (sample[0] / "pores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pores = make_cell(**SMALL).pores
    assert len(rows) == len(pores["label"]) == sample[1]["pores"]
    assert [int(r["n_voxels"]) for r in rows] == pores["n_voxels"].tolist()
    assert np.allclose([float(r["z_um"]) for r in rows], pores["z_um"], rtol=1e-5)


def test_the_result_says_spacing_and_what_to_type_next(
    sample: tuple[Path, phantom.Summary],
) -> None:
    result = sample[1]
    assert result["spacing"] == [20.0, 20.0, 20.0]
    words = shlex.split(result["next"][0])
    assert words[:3] == ["fibseg", "import", f"source={sample[0] / 'stack'}"]
    assert "spacing=[20,20,20] polarity=dark" in result["next"][0]


def test_the_same_command_again_leaves_everything_as_it_is(
    sample: tuple[Path, phantom.Summary],
) -> None:
    with untouched(sample[0]):
        assert phantom.run(out=sample[0], **SMALL) == sample[1]


def test_other_contents_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"out": tmp_path, "shape": (4, 16, 16)}
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ExistsError, match="overwrite=true"):
        phantom.run(**settings)
    phantom.run(**settings, overwrite=True)
    with pytest.raises(ExistsError, match="not an empty folder"):
        phantom.run(**{**settings, "shape": (3, 16, 16)})
    phantom.run(**{**settings, "shape": (3, 16, 16)}, overwrite=True)
    assert len(list((tmp_path / "stack").iterdir())) == 3
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_phantom_that_was_killed_is_made_by_the_same_command_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"out": tmp_path / "a", "shape": (4, 16, 16)}

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(phantom, "_write_csv", killed)
        with pytest.raises(KeyboardInterrupt):
            phantom.run(**settings)
    with pytest.raises(ExistsError, match="not an empty folder"):
        phantom.run(**settings, seed=9)
    assert phantom.run(**settings) == phantom.run(**settings)
    assert (tmp_path / "a" / "pores.csv").is_file()


def test_an_incomplete_phantom_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"out": tmp_path / "a", "shape": (4, 16, 16)}
    phantom.run(**settings)
    (tmp_path / "a" / "stack" / "plane_0002.tif").unlink()
    with pytest.raises(ExistsError):
        phantom.run(**settings)
    phantom.run(**settings, overwrite=True)
    assert (tmp_path / "a" / "stack" / "plane_0002.tif").is_file()


def test_senseless_settings_keep_what_stands(tmp_path: Path) -> None:
    phantom.run(out=tmp_path / "a", shape=(4, 16, 16))
    before = sorted((tmp_path / "a").rglob("*"))
    with pytest.raises(UsageError, match="fraction"):
        phantom.run(out=tmp_path / "a", shape=(4, 16, 16), fraction=7.0, overwrite=True)
    assert sorted((tmp_path / "a").rglob("*")) == before


def test_the_text_ends_with_commands_to_type(sample: tuple[Path, phantom.Summary]) -> None:
    lines = sample[1].text().splitlines()
    assert "spacing: [20.0, 20.0, 20.0]" in lines
    assert all(line.startswith("fibseg ") for line in lines[lines.index("next:") + 1 :])


def test_a_file_is_never_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ExistsError, match="not an empty folder"):
            phantom.run(out=tmp_path / "a", shape=(4, 16, 16), overwrite=overwrite)


def test_senseless_settings_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="spacing"):
        phantom.run(out=tmp_path / "a", shape=(4, 4, 4), spacing=(20, 20, -1))
    with pytest.raises(UsageError, match="every"):
        phantom.run(out=tmp_path / "a", shape=(4, 4, 4), every=0)
    assert not (tmp_path / "a").exists()


def test_the_conf_has_the_defaults_of_the_verb() -> None:
    path = Path(__file__).parents[2] / "conf" / "phantom.yaml"
    conf = yaml.safe_load(path.read_text(encoding="utf-8"))
    defaults = phantom.run.__kwdefaults__
    assert set(conf) - {"defaults", "dry_run"} == {"out", *defaults}
    for key, value in defaults.items():
        assert (tuple(conf[key]) if isinstance(conf[key], list) else conf[key]) == value
