"""Steps around a graph: those of bioimage.io 0.5 that make sense here, all others by name."""

from __future__ import annotations

import pytest

from fibseg.errors import DataError
from fibseg.export.foreign.steps import Step, read_steps


def read(name, before=True, **kwargs):
    step = {"id": name, **({"kwargs": kwargs} if kwargs else {})}
    return read_steps([step], "it", before=before)


@pytest.mark.parametrize(("name", "kwargs", "wanted"), [
    ("scale_linear", {"gain": 2}, {"gain": 2.0, "offset": 0.0}),
    ("scale_linear", {"gain": [2.0], "offset": [1], "axis": "channel"}, {"gain": 2, "offset": 1}),
    ("scale_range", {}, {"low": 0, "high": 100, "eps": 1e-6}),
    ("scale_range", {"axes": ["channel", "y", "x"], "min_percentile": 1, "max_percentile": 99.8},
     {"low": 1, "high": 99.8, "eps": 1e-6}),
    ("zero_mean_unit_variance", {}, {"eps": 1e-6}),
    ("zero_mean_unit_variance", {"axes": ["batch", "y", "x"], "eps": 1e-4}, {"eps": 1e-4}),
    ("fixed_zero_mean_unit_variance", {"mean": 100, "std": 20.5}, {"mean": 100, "std": 20.5}),
    ("fixed_zero_mean_unit_variance", {"mean": [1], "std": [2], "axis": "channel"},
     {"mean": 1, "std": 2}),
    ("clip", {"min": 0, "max": 1}, {"min": 0, "max": 1}),
    ("clip", {"min": 0.5}, {"min": 0.5}),
    ("clip", {"min_percentile": 1, "max": 9, "axes": ["y", "x"]}, {"min_percentile": 1, "max": 9}),
    ("binarize", {"threshold": 0.5}, {"threshold": 0.5}),
    ("binarize", {"threshold": [3], "axis": "channel"}, {"threshold": 3}),
    ("sigmoid", {}, {}),
])
def test_known_steps_are_read(name, kwargs, wanted):
    (step,) = read(name, **kwargs)
    assert step == Step(name, tuple((k, float(v)) for k, v in wanted.items()))
    assert step.of_volume == (name in ("scale_range", "zero_mean_unit_variance")
                              or "min_percentile" in kwargs)


@pytest.mark.parametrize(("name", "before"), [
    ("custom", True), ("custom", False), ("stardist_postprocessing", False),
    ("cellpose_flow_dynamics", False), ("scale_mean_variance", False), ("softmax", True),
    ("zero_mean_unit_variance", False), ("scale_range", False), ("__import__", True), (None, True),
])
def test_other_steps_are_refused_by_name(name, before):
    with pytest.raises(DataError, match=f"the step {name!r}; known here are"):
        read(name, before=before)


@pytest.mark.parametrize(("name", "kwargs"), [
    ("scale_linear", {"gain": "2"}), ("scale_linear", {"gain": [1, 2]}),
    ("scale_linear", {"gain": float("nan")}), ("scale_linear", {"power": 2}),
    ("scale_range", {"min_percentile": 99, "max_percentile": 1}),
    ("scale_range", {"max_percentile": 101}), ("scale_range", {"axes": ["channel"]}),
    ("scale_range", {"axes": "yx"}), ("scale_range", {"reference_tensor": "other"}),
    ("scale_range", {"eps": 0}), ("zero_mean_unit_variance", {"axes": ["y"]}),
    ("zero_mean_unit_variance", {"mode": "fixed"}), ("zero_mean_unit_variance", {"eps": -1}),
    ("fixed_zero_mean_unit_variance", {"mean": 1, "std": 0}),
    ("fixed_zero_mean_unit_variance", {"mean": 1}), ("clip", {"axes": ["y", "x"]}),
    ("clip", {"min": 0, "min_percentile": 1}), ("clip", {"min_percentile": 200}),
    ("binarize", {}), ("binarize", {"threshold": [1, 2]}), ("ensure_dtype", {}),
    ("ensure_dtype", {"dtype": "object"}), ("sigmoid", {"axis": "channel"}),
])
def test_settings_that_cannot_be_meant_are_refused(name, kwargs):
    with pytest.raises(DataError):
        read(name, **kwargs)


def test_steps_after_the_graph():
    steps = read_steps(
        [{"id": "softmax", "kwargs": {"axis": "channel"}}, {"id": "clip", "kwargs": {"max": 1}},
         {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}], "it", before=False,
    )
    assert [s.name for s in steps] == ["softmax", "clip", "ensure_dtype"]
    assert steps[2].dtype == "float32"
    with pytest.raises(DataError, match="along 'x'"):
        read("softmax", before=False, axis="x")
    with pytest.raises(DataError, match="counts over all results"):
        read("clip", before=False, min_percentile=1)
    assert read_steps(None, "it", before=True) == ()


@pytest.mark.parametrize("data", ["sigmoid", 5, ["sigmoid"], [{"name": "sigmoid"}],
                                  [{"id": "sigmoid", "source": "a.py"}],
                                  [{"id": "sigmoid", "kwargs": [1]}], [[]]])
def test_what_is_no_list_of_steps_is_refused(data):
    with pytest.raises(DataError):
        read_steps(data, "it", before=False)
