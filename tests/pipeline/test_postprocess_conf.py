from __future__ import annotations

import functools
import inspect

import numpy as np
import pytest

from fibseg.cli.compose import build_parts, compose_verb, conf_dir, resolved
from fibseg.geometry import reach_nm
from fibseg.pipeline.chain import arrays_of, describe, planned
from fibseg.pipeline.operators import GLOBAL

CLEAN = ["smooth", "threshold", "remove_small", "closing", "fill_holes", "components"]
SOLID = ["closing", "fill_holes", "smooth_surface", "components"]
CHAINS = {
    "default": CLEAN,
    "mitochondria": [*CLEAN, "watershed", "filter_objects"],
    "nucleus": ["smooth", "threshold", "remove_small", *SOLID],
    "cell": ["threshold", "keep_largest", "fill_holes", "components"],
    "hysteresis": ["smooth", "hysteresis_threshold", "closing", "fill_holes", "components"],
    "particles": ["enhance_particles", "threshold", "components", "filter_objects"],
    "pores": [
        "smooth", "preserve_bright_particles", "threshold", "components", "split_large",
        "grow_regions", "filter_objects",
    ],
    "touching": [
        "smooth", "threshold", "fill_holes", "components", "watershed", "grow_regions"
    ],
}


def chain(*overrides):
    words = ["volume=a.ome.zarr", "name=mitochondria", *overrides]
    return build_parts(resolved(compose_verb("objects", words)))["postprocess"]


@pytest.mark.parametrize("group", CHAINS)
def test_every_group_is_a_chain_that_can_run(group):
    operators = chain(f"postprocess={group}")
    steps = list(planned(operators, dtype=np.uint8, known=GLOBAL, spacing=(20.0, 20.0, 20.0)))
    assert list(operators) == CHAINS[group]
    # A filter that is given no column costs no pass.
    last = "watershed" if group == "mitochondria" else CHAINS[group][-1]
    assert steps[-1].name == last


def test_the_groups_are_all_there_are():
    there = {path.stem for path in (conf_dir() / "postprocess").glob("*.yaml")}
    assert there == set(CHAINS)


def test_every_setting_of_every_operator_can_be_typed():
    """A keyword that a list leaves out could only be given with a plus before it."""
    for group in CHAINS:
        for name, operator in chain(f"postprocess={group}").items():
            parameters = inspect.signature(operator.func).parameters.values()
            first = next(iter(parameters)).name
            wanted = {p.name for p in parameters if p.name not in (first, "spacing")}
            assert set(operator.keywords) == wanted, f"{group}: {name}"


def test_a_setting_and_a_step_left_out_arrive():
    operators = chain("postprocess.closing.radius_nm=40", "postprocess.smooth=null")
    assert reach_nm(operators["closing"]) == 80
    assert next(step["name"] for step in describe(operators)) == "threshold"


def test_a_filter_that_is_given_a_column_is_a_step():
    words = [f"postprocess.filter_objects.{word}" for word in ("column=sphericity", "minimum=0.5")]
    operators = chain("postprocess=mitochondria", *words)
    steps = planned(operators, dtype=np.uint8, known=GLOBAL, spacing=(20.0, 20.0, 20.0))
    assert [step.name for step in steps][-2:] == ["watershed", "filter_objects"]


def test_settings_of_the_global_operators_arrive():
    operators = chain(
        "postprocess=touching", "postprocess.watershed.max_object_voxels=1000",
        "postprocess.grow_regions.distance_nm=60",
    )
    assert isinstance(operators["watershed"], functools.partial)
    assert operators["watershed"].keywords["max_object_voxels"] == 1000
    assert arrays_of("watershed", operators["watershed"]) == {"probs": "probabilities"}
    assert reach_nm(operators["grow_regions"]) == 60
    assert chain("postprocess=hysteresis")["hysteresis_threshold"].keywords["high"] == 0.7
