from __future__ import annotations

import numpy as np
import pytest
from stores import noise_store, untouched

from fibseg.cli import main
from fibseg.errors import UsageError
from fibseg.measure.classes import NAMES, by_mixture
from fibseg.measure.settings import ClassRule, Correlating


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return noise_store(tmp_path_factory.mktemp("cell") / "c.ome.zarr", shape=(4, 5, 6))


@pytest.mark.parametrize(
    ("part", "settings", "said"),
    [
        (ClassRule, {"rule": "kmeans"}, "classes.rule=kmeans is none of mixture, thresholds"),
        (ClassRule, {"near_um": 1.0}, "nothing to a mixture.*classes.rule=thresholds"),
        (ClassRule, {"rule": "thresholds"}, "needs classes.near_um below classes.far_um"),
        (ClassRule, {"rule": "thresholds", "near_um": 2.0, "far_um": 2.0}, "not 2.0 and 2.0"),
        (ClassRule, {"rule": "thresholds", "near_um": float("nan"), "far_um": 2.0}, "not nan"),
        (ClassRule, {"seed": -1}, "classes.seed=-1 is below 0"),
        (Correlating, {"n_bootstrap": 99}, "n_bootstrap=99 draws"),
        (Correlating, {"n_simulations": -1}, "n_simulations=-1 is no number"),
        (Correlating, {"voxel_nm": 0.0}, "voxel_nm=0.0 is no size"),
        (Correlating, {"voxel_nm": float("inf")}, "voxel_nm=inf is no size"),
        (Correlating, {"seed": -3}, "correlations.seed=-3"),
        (ClassRule, {"seed": 5_000_000_000}, "classes.seed=5000000000 is above 4294967295"),
        (Correlating, {"seed": 2**32}, "correlations.seed=4294967296 is above 4294967295"),
    ],
)
def test_what_cannot_be_meant_is_refused(part, settings, said):
    with pytest.raises(UsageError, match=said):
        part(**settings)


def test_the_largest_seed_starts_a_mixture():
    values = np.concatenate([np.arange(5.0) + start for start in (0, 50, 100)])
    found = by_mixture(values, seed=ClassRule(seed=2**32 - 1).seed)
    assert [np.count_nonzero(found.names == name) for name in NAMES] == [5, 5, 5]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classes.rule=near"], "classes.rule=near is none of"),
        (["classes.near_um=a"], "classes.near_um=a is not a number or null"),
        (["classes.near_um=0.5", "classes.far_um=2"], "classes.rule=thresholds"),
        (["correlations.n_simulations=many"], "n_simulations=many is not a whole number"),
        (["correlations.simulations=9"], "correlations.n_simulations"),
        (["classes.seed=5000000000"], "classes.seed=5000000000 is above 4294967295"),
        (["neighbours=2.5"], "neighbours=2.5 is not a whole number"),
    ],
)
def test_the_command_refuses_it_without_a_trace(store, capsys, words, said):
    with untouched(store.path):
        assert main(["measure", f"volume={store.path}", "objects=m", *words]) == 2
    assert said in capsys.readouterr().err


def test_help_tells_of_every_key(capsys):
    assert main(["measure", "--help"]) == 0
    text = capsys.readouterr().out
    for key in ("classes.rule", "correlations.n_simulations", "neighbours", "extend"):
        line = next(line for line in text.splitlines() if line.startswith(f"  {key} "))
        assert len(line.split()) > 4
