"""What `fibseg suggest` prints to hold out the same again is what a training takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from suggested_cells import HELD_OUT, model_of, painted_store

from fibseg.cli.compose import build_parts, compose_verb, resolved
from fibseg.errors import UsageError
from fibseg.export import ModelSpec, describe_model, load_spec
from fibseg.pipeline.held_out import words_to_hold_out
from fibseg.pipeline.suggest import summary
from fibseg.pipeline.suggest_folder import Decision
from fibseg.pipeline.suggest_plan import Wanted, make_suggest_plan
from fibseg.pipeline.train_data import Prepared, prepare
from fibseg.volume import Volume

NAME = "annotation_mitochondria"
PLANES = ((1, 5, 9, 13, 17, 21), (2, 7, 12, 17, 22))
MORE = ((1, 3, 5, 7, 9, 13, 17, 21), (0, 2, 4, 7, 12, 17, 22))


def stores_of(folder: Path, planes: Sequence[Sequence[int]]) -> list[Volume]:
    """Cells a, b, …"""
    folder.mkdir(exist_ok=True)
    return [
        painted_store(folder / f"{name}.ome.zarr", planes=z, seed=seed)
        for seed, (name, z) in enumerate(zip("ab", planes, strict=False))
    ]


def prepared(stores: Sequence[Volume], words: Sequence[str]) -> tuple[Prepared, dict[str, Any]]:
    """What a training of these words learns from, and its settings."""
    paths = ",".join(str(s.path) for s in stores)
    told = [f"volume=[{paths}]", "annotation=mitochondria", "out=m", "data.gap_nm=80",
            "data.patch=64", *words]
    data = build_parts({"data": resolved(compose_verb("train", told))["data"]})["data"]
    names = [NAME] * len(stores)
    return prepare(stores, names, {"mitochondria": 2}, data=data, context=0), asdict(data)


def spec_of(stores: Sequence[Volume], found: Prepared, data: dict[str, Any]) -> ModelSpec:
    """Description of the model that was trained on it."""
    sources = [{"name": s.name, "raw_digest": s.raw_digest, "annotation": NAME} for s in stores]
    return describe_model(
        network={"name": "unet", "features": [4, 8]}, classes=("mitochondria",), context=0,
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        receptive_field=9, stride_multiple=2, metrics={}, spacing=(40.0, 20.0, 20.0),
        training={"volumes": sources, "split": found.record, "settings": {"data": data}},
    )


@pytest.mark.parametrize(
    ("n", "words", "start"),
    [
        (1, [], "data.held_out=["), (2, [], "data.held_out=[["),
        (2, ["data.held_out=[[],[7]]"], "data.held_out=[[],[7]]"),
        (1, ["data.fold=1"], "data.held_out=["), (2, ["data.leave_out=b"], "data.leave_out=b"),
    ],
)
def test_the_printed_words_hold_out_the_same_when_more_is_painted(
    tmp_path: Path, n: int, words: list[str], start: str
) -> None:
    stores = stores_of(tmp_path / "before", PLANES[:n])
    found, data = prepared(stores, words)
    printed = words_to_hold_out(spec_of(stores, found, data))
    assert printed.startswith(start)
    painted_more = stores_of(tmp_path / "after", MORE[:n])
    again, _ = prepared(painted_more, [*words, *shlex.split(printed)])
    assert again.kind == found.kind
    if "leave_out" in printed:
        assert {h.store for h in again.held_out} == {h.store for h in found.held_out} == {1}
        return
    assert again.held_out == found.held_out
    assert again.record["held_out"] == found.record["held_out"]
    alone, _ = prepared(painted_more, words)
    assert alone.held_out != found.held_out or "data.held_out=[[],[7]]" in words


@pytest.mark.parametrize("split", ["boxes", "none"])
def test_where_no_planes_are_held_out_none_are_printed(tmp_path: Path, split: str) -> None:
    stores = stores_of(tmp_path / "cells", PLANES[:1])
    found, data = prepared(stores, [f"data.split={split}"])
    assert bool(found.held_out) == (split == "boxes")
    assert words_to_hold_out(spec_of(stores, found, data)) == ""
    # It would not only be other than it was: a training of these words refuses it.
    with pytest.raises(UsageError, match=r"goes with data\.split=planes"):
        prepared(stores, [f"data.split={split}", "data.held_out=[5]"])


def printed_of(store: Volume, model: Path, out: Path) -> dict[str, Any]:
    """What the command prints once it has decided on a plane."""
    spec = load_spec(model)
    plan = make_suggest_plan(store, str(model), spec, out, None, Wanted())
    row = {"plane": 15, "y0": 0, "x0": 0, "y1": 8, "x1": 8}
    decision = Decision(plan.key(), [row], {}, [HELD_OUT], [15], {})
    found = summary(plan, decision, n_kept=0)
    return {k: v for k, v in found.items() if k.startswith("to score")}


def test_the_command_prints_them_with_the_order_of_the_volumes(tmp_path: Path) -> None:
    store = painted_store(tmp_path / "a.ome.zarr")

    def printed(**split: Any) -> dict[str, Any]:
        folder = tmp_path / f"m{len(list(tmp_path.glob('m*')))}"
        return printed_of(store, model_of(folder, store, **split), tmp_path / "o")

    same = "to score the next model on the same"
    assert printed() == {f"{same} planes": f"data.held_out=[{HELD_OUT}]"}
    held = {"a": [{"z": HELD_OUT, "boxes": [[0, 0, 8, 8]]}]}
    for kind in ("boxes", "space", "none"):  # rotated planes have a part of the space held out
        assert printed(kind=kind, held_out=held) == {}
    both = printed(more=["b"], held_out={"a": [], "b": [{"z": 4, "boxes": None}]})
    assert both == {f"{same} planes (volumes in this order: a, b)": "data.held_out=[[],[4]]"}
    cell = printed(more=["b c"], kind="cell", left_out="b c", held_out={})
    assert cell == {f"{same} volume (volumes in this order: a, b c)": "'data.leave_out=b c'"}
    assert "held_out" not in str(printed_of(
        painted_store(tmp_path / "new.ome.zarr", seed=7), tmp_path / "m0", tmp_path / "o"
    ))
