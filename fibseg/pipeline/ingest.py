"""`fibseg import`: a stack of planes becomes the raw image, labels or annotation of a volume."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner, Serial
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.pipeline import ingest_labels
from fibseg.pipeline.ingest_blocks import copy, survey
from fibseg.pipeline.ingest_memory import Memory
from fibseg.pipeline.pyramid import finish_raw, most_bytes
from fibseg.types import Spacing
from fibseg.volume import OmeVersion, Polarity, Volume, fingerprint, locked
from fibseg.volume.sources import (
    Source,
    Survey,
    bad_voxels,
    expected_spacing,
    open_source,
    refuse_gaps,
    refuse_unless_image,
)

KINDS = ("image", "labels", "annotation")
KEPT = ("uint8", "uint16")
_FULL = np.iinfo(np.uint16).max
_log = logging.getLogger("fibseg.pipeline")


def run(
    *, source: str | Path, volume: str | Path, kind: str = "image", name: str | None = None,
    spacing: Sequence[float] | None = None, polarity: Polarity | None = None,
    intensity_range: Sequence[float] | None = None, dataset: str | None = None,
    array: str | None = None, planes: Sequence[int] | None = None, objects: str | None = None,
    classes: Mapping[str, int] | Sequence[str] | None = None, memory_gb: float = 2.0,
    blocks: Runner | None = None, ome_version: OmeVersion = "0.5", trust_spacing: bool = False,
    unchanged: str = "refuse", overwrite: bool = False, config: dict[str, Any] | None = None,
    overrides: list[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Summary of what was imported; importing the same again does nothing.

    Every voxel is read once before anything is written (values, NaN, damage, digest) and once
    more while it is stored, both within `memory_gb`, which all processes share. An import that was
    stopped or killed goes on with the blocks that are left.

    Parameters
    ----------
    source, dataset, array
        What is read: see `fibseg.volume.sources.open_source`.
    volume
        OME-Zarr store: made for an image, added to for labels and annotations.
    kind
        ``"image"``, ``"labels"`` (numbered objects) or ``"annotation"`` (sparse painting:
        0 unlabelled, 1 background, 2 … classes).
    name
        Name of labels or annotation.
    spacing
        nm (z, y, x); by default what the file states, or those of a folder that state one.
    trust_spacing
        Use `spacing` although the file states another one, or files of a folder different ones.
    polarity
        Whether stain is ``"dark"`` or ``"bright"`` in the image.
    intensity_range
        Values of a float, signed or 32-bit image that become 0 and 65535; by default all.
    blocks
        Where blocks are computed, serially by default.
    planes
        Plane of the volume (from 0) of each plane of an annotation that has only some.
    objects
        ``"components"`` numbers the 26-connected pieces of a mask.
    classes
        Class names of an annotation with their values, or in order from 2; by default `name`: 2.
    unchanged
        What is done with regions of an annotation that still are the prediction that `fibseg
        suggest` began them with: ``"refuse"``, ``"drop"`` (unlabelled) or ``"accept"``.

    Raises
    ------
    UsageError, DataError, ExistsError
        Before anything is written, if the settings or the data cannot be meant.
    PartlyDoneError, InterruptedRunError, DiskFullError
        While it is stored; the same command goes on.
    BusyError
        If another import writes to the same target.
    """
    record = config or {k: str(v) if isinstance(v, Path) else v for k, v in locals().items()}
    if kind not in KINDS:
        raise UsageError(f"kind={kind} is none of {', '.join(KINDS)}.")
    memory = Memory(memory_gb, blocks or Serial())
    if ome_version not in get_args(OmeVersion):
        raise UsageError(f"ome_version={ome_version} is none of {', '.join(get_args(OmeVersion))}.")
    if Path(volume).name in ("", ".."):
        raise UsageError(f"volume={volume} has no name of its own. Write e.g. cell.ome.zarr.")
    if Path(source).resolve() == Path(volume).resolve():
        raise UsageError(f"source and volume are both {source}. Choose another path for volume=.")
    with open_source(source, dataset=dataset, array=array) as opened:
        if kind == "image":
            _refuse_keys(kind, name=name, planes=planes, objects=objects, classes=classes)
            with locked(volume):
                return _import_image(
                    opened, Path(volume), spacing=spacing, trust_spacing=trust_spacing,
                    polarity=polarity, intensity_range=intensity_range, memory=memory,
                    ome_version=ome_version, overwrite=overwrite,
                    record=record, overrides=overrides or [],
                )  # fmt: skip
        _refuse_keys(kind, polarity=polarity, intensity_range=intensity_range)
        return ingest_labels.add(
            opened, Volume.open(volume), kind=kind, name=name, spacing=spacing,
            trust_spacing=trust_spacing, planes=planes, objects=objects, classes=classes,
            memory=memory, unchanged=unchanged, overwrite=overwrite, record=record,
            overrides=overrides or [],
        )  # fmt: skip


def _refuse_keys(kind: str, **keys: Any) -> None:
    """`UsageError` for settings that belong to another kind of import."""
    wrong = [f"{key}=" for key, value in keys.items() if value is not None]
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)} means nothing for kind={kind}. Leave it out, or set another kind "
            f"({', '.join(KINDS)})."
        )


def _import_image(
    source: Source, path: Path, *, spacing: Sequence[float] | None, trust_spacing: bool,
    polarity: Polarity | None, intensity_range: Sequence[float] | None, memory: Memory,
    ome_version: OmeVersion, overwrite: bool, record: dict[str, Any], overrides: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Check, survey, store, finish."""
    refuse_unless_image(source)
    refuse_gaps(source)
    nm = expected_spacing(source, spacing, trust_given=trust_spacing)
    polarity = _checked_polarity(polarity)
    limits = _checked_range(source, intensity_range)
    _refuse_standing(path, source, nm, polarity, overwrite=overwrite)
    found = survey(source, memory=memory, histogram=source.dtype.name in KEPT)
    if source.dtype.name not in KEPT:
        limits = limits or (found.lowest, found.highest)
    _refuse_useless(source, found)
    inputs = fingerprint({"image": found.digest, "range": limits})
    volume = Volume.create(
        path, shape=source.shape, dtype=source.dtype if limits is None else np.uint16, spacing=nm,
        polarity=polarity, intensity_range=limits, ome_version=ome_version,
        inputs=inputs, overwrite=overwrite,
    )  # fmt: skip
    unchanged = volume.complete
    if unchanged:
        _log.info("%s holds this image already; nothing to do", path)
    else:
        _store(source, volume, limits, found, inputs, memory, record, overrides)
    return _summary(volume, source, nm, unchanged=unchanged)


def _store(
    source: Source, volume: Volume, limits: tuple[float, float] | None, found: Survey,
    fingerprint: str, memory: Memory, record: dict[str, Any], overrides: list[str],
) -> None:  # fmt: skip
    """Write the raw image, and the run."""
    inputs = {str(source.path): found.digest}
    with volume.start_run("import", config=record, overrides=overrides, inputs=inputs) as run:
        if limits is not None:
            _log.info(
                "%s voxels are stored as uint16: %g to 0, %g to %d", source.dtype, *limits, _FULL
            )
        copy(
            source, volume.raw(), unit=volume.block_shape, convert=Stored(limits), memory=memory,
            journal=volume.journal_path, fingerprint=fingerprint, scratch=volume.path / "raw",
            label="import",
        )  # fmt: skip
        runner, _ = memory.shared(most_bytes(volume.pyramid))
        finish_raw(volume, histogram=found.histogram, runner=runner)
        run.finish(products={"raw": volume.raw_digest}, metrics=ingest_labels.numbering(source))


@dataclass(frozen=True)
class Stored:
    """Function from voxels of the source to stored voxels: as they are, or from limits to uint16.

    Parameters
    ----------
    limits
        Values that become 0 and 65535.
    """

    limits: tuple[float, float] | None

    def __call__(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Voxels as they are stored."""
        if self.limits is None:
            return voxels
        low, high = self.limits
        out = np.empty(voxels.shape, np.uint16)
        for k, plane in enumerate(voxels):  # float64 of one plane at a time
            share = np.clip((plane.astype(np.float64) - low) / (high - low), 0, 1)
            out[k] = np.rint(share * _FULL)
        return out


def _checked_polarity(polarity: Polarity | None) -> Polarity:
    if polarity not in ("dark", "bright"):
        raise UsageError(
            f"polarity={polarity or '(not given)'} must be dark or bright: dark if stained "
            "membranes are darker than the resin around the cell (usual for inverted backscatter "
            "and TEM-like contrast), bright if they are brighter. The stored image stays as it is."
        )
    return polarity


def _checked_range(
    source: Source, given: Sequence[float] | None
) -> tuple[float, float] | None:
    """Lower and upper limit, as far as given."""
    if given is None:
        return None
    if source.dtype.name in KEPT:
        raise UsageError(
            f"intensity_range={list(given)} is for float, signed and 32-bit images; {source.path} "
            f"is {source.dtype} and stored as it is. Leave intensity_range= out."
        )
    if len(given) != 2 or not -np.inf < given[0] < given[1] < np.inf:
        raise UsageError(
            f"intensity_range={list(given)} is no range. Give two numbers, the lower first: "
            "intensity_range=[0,1]."
        )
    return float(given[0]), float(given[1])


def _refuse_useless(source: Source, found: Survey) -> None:
    """`DataError` for NaN, infinity, and an image without any contrast."""
    if found.n_bad:
        raise bad_voxels(source, found)
    if found.lowest == found.highest:
        raise DataError(
            f"Every voxel of {source.path} is {found.lowest:g}. This is no image; check the export."
        )


def _refuse_standing(
    path: Path, source: Source, nm: Spacing, polarity: Polarity, *, overwrite: bool
) -> None:
    """`ExistsError` where it can be told before reading voxels that the volume is another one."""
    _refuse_inside(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    volume = Volume(path)
    try:
        complete = volume.complete
    except DataError:
        raise ExistsError(
            f"{path} exists and is no volume of fibseg. Choose another path for volume=."
        ) from None
    if not complete or (overwrite and not volume.label_names(kind="annotation")):
        return
    stands = {"shape": volume.shape, "spacing": volume.spacing, "polarity": volume.polarity}
    wanted = {"shape": source.shape, "spacing": nm, "polarity": polarity}
    for key, value in stands.items():
        if value != wanted[key]:
            painted = volume.label_names(kind="annotation")
            way = (
                f", since it holds the painting {', '.join(painted)}" if painted
                else ", or use overwrite=true to replace it with all its labels"
            )
            raise ExistsError(
                f"{path} stands already with {key} {value}, this import has {wanted[key]}. Choose "
                f"another path for volume={way}."
            )


def _refuse_inside(path: Path) -> None:
    """`UsageError` for a volume inside of another Zarr store: nothing would look for it there."""
    for folder in path.absolute().parents:
        if any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
            raise UsageError(
                f"volume={path} lies inside of the store {folder}. Choose a path beside it."
            )


def _summary(
    volume: Volume, source: Source, nm: Spacing, *, unchanged: bool
) -> dict[str, Any]:
    size = " x ".join(f"{n * s / 1000:.3g}" for n, s in zip(volume.shape, nm, strict=True))
    return {
        "volume": str(volume.path),
        "status": "unchanged" if unchanged else "imported",
        "shape": volume.shape,
        "type": f"{volume.dtype} (from {source.dtype})",
        "spacing_nm": volume.spacing,
        "size_um": size,
        "levels": volume.n_levels,
        "polarity": volume.polarity,
        "intensity_range": volume.intensity_range,
    }
