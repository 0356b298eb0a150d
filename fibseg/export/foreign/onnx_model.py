"""A bare ONNX file as a model: what it does not tell is taken as is usual, by rules stated here."""

from __future__ import annotations

from dataclasses import dataclass

from fibseg.errors import DataError
from fibseg.export.foreign.graph import Graph, check_sizes, read_graph
from fibseg.export.foreign.model import ForeignModel, Side, classes_of, nominal, sides_of
from fibseg.export.foreign.passport import CONSTANTS, Passport, passport_of
from fibseg.export.foreign.steps import Step

UNIT = Step("unit")
"""Grey values divided by the largest of their type: 0 to 1."""

DTYPES = ("float32", "float64", "float16", "uint8", "uint16")
"""Types of images that are given."""


@dataclass(frozen=True)
class Told:
    """What a file tells of its graph beside the graph itself; None and () where it does not.

    Parameters
    ----------
    kind, digest, stem
        Of the file.
    layout, result_layout
        Order of the axes.
    sides, margin, square
        Windows, y and x.
    names
        Of the channels of the result.
    before, after
        Steps outside the graph; `before` None: usual ones.
    probabilities
        Whether the result is told to be between 0 and 1.
    spacing
        nm, (z, y, x).
    """

    kind: str
    digest: str
    stem: str
    layout: str | None = None
    result_layout: str | None = None
    sides: tuple[Side, Side] | None = None
    margin: tuple[int, int] | None = None
    square: bool = False
    names: tuple[str, ...] | None = None
    before: tuple[Step, ...] | None = None
    after: tuple[Step, ...] = ()
    probabilities: bool = False
    spacing: tuple[float | None, float, float] | None = None


def read_model(data: bytes, told: Told, where: str) -> ForeignModel:
    """The model of an ONNX graph.

    Raises
    ------
    DataError
        If the graph is hostile, damaged, or not one that turns planes into probabilities.
    """
    graph = read_graph(data, where)
    own = passport_of(graph, where)
    layout = _layout(graph.image.dims, told.layout, own, where)
    sides = _sides(graph, layout, told.sides, where)
    if own is not None and told.sides is None:
        sides = tuple(  # type: ignore[assignment]
            Side(own.multiple, own.multiple) if s.step else s for s in sides
        )
    shape = _shape(layout, nominal(sides), 1 if own is None else 2 * own.context + 1)
    out = _result_layout(graph, layout, told.result_layout, where)
    n = _n_channels(check_sizes(data, shape, where), shape, layout, out, where)
    n = n or graph.result.dims[out.index("c")] or len(told.names or ())
    end, exclusive = _activation(graph, told, own, n)
    classes = classes_of(
        _names(own, n) or told.names, n, exclusive=exclusive, stem=told.stem, where=where
    )
    return ForeignModel(
        kind=told.kind, digest=told.digest, graph=data, image=graph.image.name,
        result=graph.result.name, dtype=_dtype(graph, where), layout=layout, result_layout=out,
        sides=sides, margin=_margin(told, own), classes=classes,
        before=_before(graph, told, own), after=told.after, activation=end,
        context=0 if own is None else own.context,
        spacing=told.spacing if own is None else own.spacing,
        multiple=1 if own is None else own.multiple, core=None if own is None else own.core,
        polarity=_polarity(graph, own), square=told.square,
    )


def _layout(
    dims: tuple[int | None, ...], told: str | None, own: Passport | None, where: str
) -> str:
    """Order of the axes of the image: as told, or by where the only channel can be."""
    planes = 1 if own is None else 2 * own.context + 1
    fitting = {4: ("bcyx", "byxc"), 3: ("cyx", "yxc"), 2: ("yx",)}.get(len(dims), ())
    for layout in fitting if told is None else (told,):
        at = dict(zip(layout, dims, strict=len(layout) == len(dims)))
        if len(layout) == len(dims) and at.get("b") in (None, 1) and at.get("c", 1) == planes:
            return layout
    raise DataError(
        f"{where} takes images of shape {[n or 'any' for n in dims]}. fibseg gives planes (y, x) "
        f"with {planes} channel{'s' * (planes > 1)}, one at a time or any number of them. Use a "
        "2D model of one grey channel."
    )


def _sides(
    graph: Graph, layout: str, told: tuple[Side, Side] | None, where: str
) -> tuple[Side, Side]:
    """What windows are allowed by the graph and by what is told."""
    lengths = [graph.image.dims[layout.index(a)] for a in "yx"]
    by_graph = sides_of(lengths, where)
    if told is None:
        return by_graph
    found = []
    for length, fixed, side in zip(lengths, by_graph, told, strict=True):
        if length is not None and not side.takes(length):
            raise DataError(
                f"{where} takes windows of {lengths} px, its description tells "
                f"{[s.least for s in told]}. Have it exported again."
            )
        found.append(side if length is None else fixed)
    sides_of([s.least for s in found], where)
    return found[0], found[1]


def _shape(layout: str, window: tuple[int, int], planes: int) -> tuple[int, ...]:
    """Shape of one image in the order of the graph."""
    return tuple({"b": 1, "c": planes, "y": window[0], "x": window[1]}[a] for a in layout)


def _result_layout(graph: Graph, layout: str, told: str | None, where: str) -> str:
    """Order of the axes of the result: that of the image, perhaps without channels."""
    rank = len(graph.result.dims)
    for out in (layout, layout.replace("c", "")) if told is None else (told,):
        if len(out) == rank:
            return out
    raise DataError(
        f"{where} gives results of {rank} axes for images of {len(layout)}: not a value for each "
        "pixel. Use a model for semantic segmentation."
    )


def _n_channels(
    dims: tuple[int, ...], shape: tuple[int, ...], layout: str, out: str, where: str
) -> int:
    """Values for a pixel, each pixel of the window having them; 0 where a length is not known."""
    given = {a: dims[out.index(a)] for a in out}
    for a in "yx":
        if given[a] not in (0, shape[layout.index(a)]):
            raise DataError(
                f"{where} gives results of shape {list(dims)} for images of {list(shape)}: not a "
                "value for each pixel. Use a model for semantic segmentation."
            )
    return given.get("c", 1)


def _dtype(graph: Graph, where: str) -> str:
    """Type of the image."""
    if graph.image.dtype not in DTYPES or not graph.result.dtype.startswith("float"):
        raise DataError(
            f"{where} takes {graph.image.dtype} and gives {graph.result.dtype}; images are given "
            f"as {', '.join(DTYPES)}, and probabilities are floats. Have it exported that way."
        )
    return graph.image.dtype


def _activation(graph: Graph, told: Told, own: Passport | None, n: int) -> tuple[str, bool]:
    """What makes probabilities of the result, and whether those of a pixel add up to 1.

    What the file tells, or what its graph or the steps after it end in; else the values are taken
    for logits: of exclusive classes where there are several, of a single one where there is one.
    """
    last = [s for s in told.after if s.name in ("sigmoid", "softmax", "binarize", "clip")][-1:]
    inside = bool(last) and (
        last[0].name != "clip" or dict(last[0].numbers) == {"min": 0.0, "max": 1.0}
    )
    if own is not None or told.probabilities or inside or (graph.end and not told.after):
        ends = {graph.end, *(s.name for s in told.after)}
        return "none", own is not None or "softmax" in ends
    return ("softmax", True) if n > 1 else ("sigmoid", False)


def _names(own: Passport | None, n: int) -> tuple[str, ...] | None:
    """Names of the channels as fibseg has written them, with or without the background."""
    if own is None:
        return None
    return own.classes[1:] if len(own.classes) == n + 1 else own.classes


def _margin(told: Told, own: Passport | None) -> tuple[int, int] | None:
    """What does not count at the border of a window."""
    return told.margin if own is None else (own.margin, own.margin)


def _before(graph: Graph, told: Told, own: Passport | None) -> tuple[Step, ...]:
    """Steps before the graph: as told, else values of 0 to 1, or all values of a whole type."""
    if told.before is not None:
        return told.before
    if own is not None:
        return (UNIT,) if own.unit else ()
    if graph.image.dtype.startswith("float"):
        return (UNIT,)
    largest = 255.0 if graph.image.dtype == "uint8" else 65535.0
    return (UNIT, Step("scale_linear", (("gain", largest), ("offset", 0.0))))


def _polarity(graph: Graph, own: Passport | None) -> str | None:
    """Of fibseg's own, if the grey values of another volume can be given."""
    free = {o.name for o in graph.options} >= set(CONSTANTS)
    return own.polarity if own is not None and free and not own.unit else None
