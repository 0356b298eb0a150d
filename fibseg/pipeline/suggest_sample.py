"""The rehearsal of `fibseg suggest`: one plane in a store of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fibseg.export import load_spec
from fibseg.geometry import Box
from fibseg.pipeline.sample import Parts, Sample, cut_out
from fibseg.pipeline.suggest_plan import Wanted, make_suggest_plan
from fibseg.volume import Volume


def sample_of(parts: Parts, folder: Path) -> Sample:
    """One plane that is looked at and suggested, for a painting that there is not.

    Raises
    ------
    FibsegError
        Whatever the command refuses.
    """
    store, spec = Volume.open(parts["volume"]), load_spec(parts["model"])
    keys = [field.name for field in dataclasses.fields(Wanted)]
    wanted = Wanted(**{key: parts[key] for key in keys})
    plan = make_suggest_plan(
        store, parts["model"], spec, Path(parts["out"]), parts["name"], wanted
    )
    planes = plan.candidates(plan.kept(runner=parts.get("blocks")))
    first, reach = planes[len(planes) // 2], spec.context + 1
    box = Box((first - reach, 0, 0), (first + reach + 1, *store.shape[1:])).clip(store.shape)
    small = cut_out(store, folder / store.name, box)
    return Sample(
        parts | {"volume": str(small.path), "out": str(folder / "paint"), "name": "sample",
                 "n": 1, "look_at": 1, "gap_nm": 0.0},
        Path(parts["out"]), f"plane {first}, one of {len(planes)} to look at",
        factor=wanted.n, factors={"look at planes": len(planes)}, disk_factor=wanted.n,
    )
