"""What is done to values before and after a graph, as data; names of the bioimage.io format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.errors import DataError
from fibseg.export.schema import is_number

FLOATS = ("float32", "float64")
WHOLE = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
_REMEDY = "Have the model exported with steps that fibseg knows, or with them inside the graph."


@dataclass(frozen=True)
class Step:
    """One step.

    Parameters
    ----------
    name
        Of `BEFORE` or `AFTER`.
    numbers
        Its settings by name; those that are counted over the volume are not among them.
    dtype
        Of ``ensure_dtype``.
    """

    name: str
    numbers: tuple[tuple[str, float], ...] = ()
    dtype: str = ""

    @property
    def of_volume(self) -> bool:
        """Whether it depends on the intensities of the whole volume."""
        return self.name in ("scale_range", "zero_mean_unit_variance") or (
            self.name == "clip" and any(key.endswith("percentile") for key, _ in self.numbers)
        )

    def __getitem__(self, key: str) -> float:
        return dict(self.numbers)[key]


def read_steps(data: Any, where: str, *, before: bool) -> tuple[Step, ...]:
    """Steps of a bioimage.io tensor, each checked.

    Parameters
    ----------
    data
        The list ``preprocessing`` or ``postprocessing``, or None.
    before
        Whether they come before the network.

    Raises
    ------
    DataError
        If one is not known, or its settings cannot be meant.
    """
    if data is None:
        return ()
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise DataError(f"{where} is {data!r}, not a list of steps. {_REMEDY}")
    known = _BEFORE if before else _AFTER
    found = []
    for number, step in enumerate(data):
        name = step.get("id") if isinstance(step, Mapping) else None
        if name not in known:
            raise DataError(
                f"{where}[{number}] is the step {name!r}; known here are {', '.join(known)}. "
                f"{_REMEDY}"
            )
        unknown = set(step) - {"id", "kwargs"}
        if unknown:
            raise DataError(f"{where}[{number}] has the keys {sorted(unknown)}. {_REMEDY}")
        here = f"{where}[{number}] {name}"
        read = _READ[name](_mapping(step.get("kwargs") or {}, here), here)
        if read.of_volume and not before:
            raise DataError(f"{here} counts over all results. {_REMEDY}")
        found.append(read)
    return tuple(found)


def _linear(k: dict[str, Any], where: str) -> Step:
    _only(k, ("gain", "offset", "axis"), where)
    gain, offset = (_single(k.get(*pair)) for pair in (("gain", 1.0), ("offset", 0.0)))
    return _numbers("scale_linear", where, gain=gain, offset=offset)


def _range(k: dict[str, Any], where: str) -> Step:
    _only(k, ("min_percentile", "max_percentile", "axes", "eps", "reference_tensor"), where)
    if k.get("reference_tensor") is not None:
        raise DataError(f"{where} looks at another tensor. {_REMEDY}")
    _plane(k.get("axes"), where)
    step = _numbers(
        "scale_range", where, low=k.get("min_percentile", 0.0), high=k.get("max_percentile", 100.0),
        eps=k.get("eps", 1e-6),
    )
    if not 0 <= step["low"] < step["high"] <= 100 or not 0 < step["eps"] <= 0.1:
        raise DataError(f"{where} has {dict(step.numbers)}, which cannot be meant. {_REMEDY}")
    return step


def _fixed(k: dict[str, Any], where: str) -> Step:
    _only(k, ("mean", "std", "axis"), where)
    step = _numbers(
        "fixed_zero_mean_unit_variance", where, mean=_single(k.get("mean")),
        std=_single(k.get("std")),
    )
    return _positive(step, "std", where)


def _standard(k: dict[str, Any], where: str) -> Step:
    _only(k, ("axes", "eps"), where)
    _plane(k.get("axes"), where)
    step = _numbers("zero_mean_unit_variance", where, eps=k.get("eps", 1e-6))
    return _positive(step, "eps", where)


def _clip(k: dict[str, Any], where: str) -> Step:
    _only(k, ("min", "max", "min_percentile", "max_percentile", "axes"), where)
    _plane(k.get("axes"), where)
    given = {key: v for key, v in k.items() if v is not None and key != "axes"}
    step = _numbers("clip", where, **given)
    low, high = (
        [v for key, v in step.numbers if key.startswith(end)] for end in ("min", "max")
    )
    shares = [v for key, v in step.numbers if key.endswith("percentile")]
    if not given or max(len(low), len(high)) > 1 or not all(0 <= p <= 100 for p in shares):
        raise DataError(f"{where} has {k}, which cannot be meant. {_REMEDY}")
    return step


def _binarize(k: dict[str, Any], where: str) -> Step:
    _only(k, ("threshold", "axis"), where)
    return _numbers("binarize", where, threshold=_single(k.get("threshold")))


def _dtype(k: dict[str, Any], where: str) -> Step:
    _only(k, ("dtype",), where)
    if k.get("dtype") not in FLOATS + WHOLE:
        raise DataError(f"{where} asks for the type {k.get('dtype')!r}. {_REMEDY}")
    return Step("ensure_dtype", dtype=k["dtype"])


def _sigmoid(k: dict[str, Any], where: str) -> Step:
    _only(k, (), where)
    return Step("sigmoid")


def _softmax(k: dict[str, Any], where: str) -> Step:
    _only(k, ("axis",), where)
    if k.get("axis", "channel") not in ("channel", "c"):
        raise DataError(f"{where} goes along {k['axis']!r}, not along the channels. {_REMEDY}")
    return Step("softmax")


_READ = {
    "scale_linear": _linear, "scale_range": _range, "fixed_zero_mean_unit_variance": _fixed,
    "zero_mean_unit_variance": _standard, "clip": _clip, "binarize": _binarize,
    "ensure_dtype": _dtype, "sigmoid": _sigmoid, "softmax": _softmax,
}
_BEFORE = tuple(name for name in _READ if name != "softmax")
_AFTER = ("scale_linear", "clip", "binarize", "ensure_dtype", "sigmoid", "softmax")


def _numbers(name: str, where: str, **values: Any) -> Step:
    """Step whose settings are all finite numbers."""
    for key, value in values.items():
        if not is_number(value):
            raise DataError(f"{where} has {key}={value!r}, not a number. {_REMEDY}")
    return Step(name, tuple((key, float(value)) for key, value in values.items()))


def _positive(step: Step, key: str, where: str) -> Step:
    if step[key] <= 0:
        raise DataError(f"{where} has {key}={step[key]:g}, not above 0. {_REMEDY}")
    return step


def _single(value: Any) -> Any:
    """The value for the only channel, where there is a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _plane(axes: Any, where: str) -> None:
    """Refuse statistics of anything less than whole planes: here they are of the whole volume."""
    if axes is not None and not {"y", "x"} <= set(map(str, axes if isinstance(axes, list) else ())):
        raise DataError(f"{where} counts along {axes!r}, not over whole planes. {_REMEDY}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{where} has the settings {value!r}, no mapping. {_REMEDY}")
    return dict(value)


def _only(k: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(k) - set(known))
    if unknown:
        raise DataError(f"{where} has the unknown settings {unknown}. {_REMEDY}")
