from __future__ import annotations

import numpy as np
import pytest

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.geometry import reach_nm
from fibseg.pipeline.chain import describe, planned
from fibseg.pipeline.operators import GLOBAL


def chain(*overrides):
    words = ["volume=a.ome.zarr", "name=mitochondria", *overrides]
    return build_parts(resolved(compose_verb("objects", words)))["postprocess"]


@pytest.mark.parametrize("group", ["default", "mitochondria", "nucleus"])
def test_every_group_is_a_chain_that_can_run(group):
    operators = chain(f"postprocess={group}")
    steps = dict(planned(operators, dtype=np.uint8, known=GLOBAL, spacing=(20.0, 20.0, 20.0)))
    assert list(steps)[-1] == "components"
    assert list(operators) == [
        "smooth", "threshold", "remove_small", "closing", "fill_holes", "components"
    ]


def test_a_setting_and_a_step_left_out_arrive():
    operators = chain("postprocess.closing.radius_nm=40", "postprocess.smooth=null")
    assert reach_nm(operators["closing"]) == 80
    assert next(step["name"] for step in describe(operators)) == "threshold"
