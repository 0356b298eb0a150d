from __future__ import annotations

import functools

import numpy as np
import pytest

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.geometry import reach_nm
from fibseg.pipeline.chain import describe, planned
from fibseg.pipeline.operators import GLOBAL

CLEAN = ["smooth", "threshold", "remove_small", "closing", "fill_holes", "components"]
CHAINS = {
    "default": CLEAN,
    "mitochondria": CLEAN,
    "nucleus": CLEAN,
    "hysteresis": ["smooth", "hysteresis", "closing", "fill_holes", "components"],
    "single": ["smooth", "threshold", "largest", "closing", "fill_holes", "components"],
    "cell": ["smooth", "threshold", "largest", "closing", "fill_holes", "components"],
    "touching": ["smooth", "threshold", "fill_holes", "components", "split_objects", "grow"],
}


def chain(*overrides):
    words = ["volume=a.ome.zarr", "name=mitochondria", *overrides]
    return build_parts(resolved(compose_verb("objects", words)))["postprocess"]


@pytest.mark.parametrize("group", CHAINS)
def test_every_group_is_a_chain_that_can_run(group):
    operators = chain(f"postprocess={group}")
    steps = dict(planned(operators, dtype=np.uint8, known=GLOBAL, spacing=(20.0, 20.0, 20.0)))
    assert list(operators) == CHAINS[group]
    last = list(steps)[-1]
    assert last == CHAINS[group][-1]


def test_a_setting_and_a_step_left_out_arrive():
    operators = chain("postprocess.closing.radius_nm=40", "postprocess.smooth=null")
    assert reach_nm(operators["closing"]) == 80
    assert next(step["name"] for step in describe(operators)) == "threshold"


def test_protrusions_of_a_cell_are_neither_smoothed_nor_joined():
    operators = chain("postprocess=cell")
    assert [name for name, step in operators.items() if step is None] == ["smooth", "closing"]


def test_settings_of_the_global_operators_arrive():
    operators = chain(
        "postprocess=touching", "postprocess.split_objects.max_object_voxels=1000",
        "postprocess.grow.distance_nm=60",
    )
    assert isinstance(operators["split_objects"], functools.partial)
    assert operators["split_objects"].keywords == {"depth_nm": 20.0, "max_object_voxels": 1000}
    assert reach_nm(operators["grow"]) == 60
    assert chain("postprocess=hysteresis")["hysteresis"].keywords["high"] == 0.7
