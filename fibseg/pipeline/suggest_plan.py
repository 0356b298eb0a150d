"""What `fibseg suggest` may suggest: the painting, and the planes that are left for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner
from fibseg.data.dense import is_objects
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export import ModelSpec, weights_digest
from fibseg.metrics import UNCERTAINTIES, packed
from fibseg.pipeline.comparable import in_short
from fibseg.pipeline.held_out import source_of
from fibseg.pipeline.paint_folder import PREFIX, PaintFolder, open_folder
from fibseg.volume import Volume, fingerprint

GAP_NM = 100.0
"""Of models that do not say how far from a held-out plane they were trained."""


@dataclass(frozen=True)
class Wanted:
    """How much is to be suggested, and by what; see `fibseg.pipeline.suggest.run`."""

    n: int = 5
    n_regions: int = 4
    region_nm: float = 1500.0
    gap_nm: float | None = None
    look_at: int = 40
    uncertainty: str = "margin"
    diversity: float = 0.5
    sure: float = 0.8

    def __post_init__(self) -> None:
        for key in ("n", "n_regions", "look_at"):
            if getattr(self, key) < 1:
                raise UsageError(f"{key}={getattr(self, key)} is none. Use 1 or more.")
        if not self.region_nm > 0:
            raise UsageError(f"region_nm={self.region_nm:g} is no size. Use e.g. 1500.")
        if self.gap_nm is not None and not self.gap_nm >= 0:
            raise UsageError(f"gap_nm={self.gap_nm:g} is no distance. Use 0 or more.")
        if self.uncertainty not in UNCERTAINTIES:
            raise UsageError(
                f"uncertainty={self.uncertainty} is none of {', '.join(UNCERTAINTIES)}."
            )
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"diversity={self.diversity:g} is no share. Use 0 to 1.")
        if not 0.5 < self.sure <= 1:
            raise UsageError(
                f"sure={self.sure:g} is no probability above 0.5. Use e.g. 0.8; 1 fills in next "
                "to nothing."
            )


@dataclass(frozen=True)
class Kept:
    """Planes that are not suggested, by the reason.

    Attributes
    ----------
    painted
        Painted in the store.
    to_paint
        With a mask in the folder already.
    held_out, reserved
        On which models are scored.
    """

    painted: list[int] = field(default_factory=list)
    to_paint: list[int] = field(default_factory=list)
    held_out: list[int] = field(default_factory=list)
    reserved: list[int] = field(default_factory=list)

    @property
    def all(self) -> list[int]:
        """Their numbers, ascending."""
        return sorted({*self.painted, *self.to_paint, *self.held_out, *self.reserved})

    def words(self) -> dict[str, str]:
        """Those that there are, for people."""
        titles = {
            "painted": self.painted, "to paint already": self.to_paint,
            "held out of training": self.held_out, "reserved for the test": self.reserved,
        }
        return {title: in_short(z) for title, z in titles.items() if z}


@dataclass(frozen=True)
class SuggestPlan:
    """All that a suggestion rests on.

    Parameters
    ----------
    store, folder
        The volume, and the folder of planes to paint.
    model, spec
        Model folder and its description.
    wanted
        Settings.
    gap_nm
        Planes nearer than this to a kept one, or to each other, are not suggested.
    """

    store: Volume
    folder: PaintFolder
    model: str
    spec: ModelSpec
    wanted: Wanted
    gap_nm: float

    @property
    def apart(self) -> float:
        """The gap in planes; neighbours that are channels of the network widen it."""
        # Without any, a plane is still not suggested twice.
        return max(self.gap_nm / self.store.spacing[0], 2.0 * self.spec.context, 1.0)

    def key(self) -> str:
        """Hash of all that decides about the suggestion; no path is part."""
        standing = self.folder.standing
        digest = None if standing is None else self.store.labels_info(standing).digest
        return fingerprint({
            "verb": "suggest", "model": weights_digest(self.model), "raw": self.store.raw_digest,
            "name": self.folder.name, "classes": self.folder.classes, "painting": digest,
            "wanted": self.wanted.__dict__, "gap_nm": self.gap_nm,
        })

    def kept(self, *, runner: Runner | None) -> Kept:
        """Planes that are not suggested."""
        there = self.folder.with_masks()
        painted = self.folder.painted(runner=runner)
        source, split = source_of(self.store, self.spec), self.spec.training.get("split", {})
        name = None if source is None else source["name"]
        held = {int(h["z"]) for h in split.get("held_out", {}).get(name, [])}
        return Kept(
            painted, sorted({*there} - {*painted}), sorted(held),
            sorted(int(z) for z in split.get("reserved", {}).get(name, [])),
        )

    def candidates(self, kept: Kept) -> list[int]:
        """Planes to look at: `look_at` of those that may be suggested, evenly spread.

        Raises
        ------
        DataError
            If there are not as many as are to be suggested.
        """
        taken, reach = kept.all, self.apart - 1e-9
        free = [
            z for z in range(self.store.shape[0]) if not any(abs(z - k) < reach for k in taken)
        ]
        room = packed(free, self.apart)
        if room < self.wanted.n:
            raise DataError(self._no_room(room, kept))
        n = max(self.wanted.look_at, self.wanted.n)
        step = len(free) / min(n, len(free))
        some = [free[int((k + 0.5) * step)] for k in range(min(n, len(free)))]
        return some if packed(some, self.apart) >= self.wanted.n else free

    def _no_room(self, room: int, kept: Kept) -> str:
        """What is wrong, and the remedy."""
        words = "; ".join(f"{why}: {z}" for why, z in kept.words().items()) or "none is painted"
        remedy = f"Ask for n={room}" if room else "Paint elsewhere"
        return (
            f"n={self.wanted.n} planes cannot be suggested: of the {self.store.shape[0]} planes of "
            f"{self.store.path} {room} lie {self.gap_nm:g} nm from each other and from those that "
            f"are not suggested ({words}). {remedy}, or set a smaller gap_nm."
        )


def make_suggest_plan(
    store: Volume, model: str, spec: ModelSpec, out: Path, name: str | None, wanted: Wanted
) -> SuggestPlan:
    """The plan, after all that can be refused without reading voxels.

    Raises
    ------
    UsageError
        If it is not clear which painting is meant.
    DataError
        If painting and model have different classes.
    ExistsError
        If the folder was made for another volume or painting.
    """
    painting = painting_of(store, spec, name)
    full = PREFIX + painting
    standing = full in store.label_names(kind="annotation")
    classes = None if standing else {c: k for k, c in enumerate(spec.classes, start=2)}
    folder = open_folder(store, out, painting, classes)
    if set(folder.classes) != set(spec.classes):
        raise DataError(
            f"{full} of {store.path} has the classes {sorted(folder.classes)}, the model finds "
            f"{sorted(spec.classes)}. Name the painting that the model learned from with name=…, "
            "or train a model on this one."
        )
    folder.check()
    settings: Mapping[str, Any] = spec.training.get("settings", {}).get("data", {})
    gap = wanted.gap_nm
    if gap is None:
        gap = float(settings.get("gap_nm", GAP_NM))
    return SuggestPlan(store, folder, model, spec, wanted, gap)


def painting_of(store: Volume, spec: ModelSpec, name: str | None) -> str:
    """Name, without prefix, of the painting that planes are suggested for.

    Raises
    ------
    UsageError
        If the model does not tell.
    """
    if name is not None:
        return name.removeprefix(PREFIX)
    source = source_of(store, spec)
    sources: Sequence[Mapping[str, Any]] = (
        spec.training.get("volumes", []) if source is None else [source]
    )
    found = {str(s["annotation"]) for s in sources}
    if len(found) == 1 and not is_objects(next(iter(found))):
        return found.pop().removeprefix(PREFIX)
    raise UsageError(
        f"The model learned from {', '.join(sorted(found)) or 'nothing that it names'}, which does "
        "not tell what is to be painted. Name the painting, e.g. name=mitochondria."
    )


def refuse_other(found: Mapping[str, Any], key: str, folder: Path) -> None:
    """Nothing, if what stands in the folder was suggested for the same.

    Raises
    ------
    ExistsError
        If it was not.
    """
    if found.get("key") != key:
        raise ExistsError(
            f"{folder} holds suggestions of another model, painting or settings (for the planes "
            f"{in_short(sorted({int(r['plane']) for r in found.get('regions', [])}))}). Paint and "
            "import those first, and give another out= for the next."
        )
