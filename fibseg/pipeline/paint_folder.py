"""A folder of planes to paint: image, masks, how to paint them, and what they are for.

::

    out/
      image/plane_0010.tif      gray values, stain bright
      NAME/plane_0010.tif       mask: 0 unlabelled, 1 background, 2… classes
      HOWTO.txt  paint.json     how to paint and import; what this folder was made for

Masks bear the numbers by which ``fibseg import`` finds their planes. Planes that are painted in
the store already become part of the folder, so that importing it loses nothing; and a mask that
stands in the folder is never written again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.data import Normalisation
from fibseg.data.planes import painted_planes
from fibseg.errors import ExistsError, UsageError
from fibseg.pictures import OKABE_ITO, gray
from fibseg.pipeline.ingest_labels import numbering_of
from fibseg.pipeline.label_values import class_values
from fibseg.volume import Volume
from fibseg.volume.files import checked_name, read_json, write_bytes, write_json
from fibseg.volume.tiff import plane_bytes

IMAGE, RECORD, HOWTO = "image", "paint.json", "HOWTO.txt"
PREFIX = "annotation_"


@dataclass(frozen=True)
class PaintFolder:
    """A folder of planes to paint.

    Parameters
    ----------
    folder
        Its path.
    store
        The volume that the planes are of.
    name
        Of the painting.
    classes
        Value of each class.
    standing
        Name of the painting of the store that the folder takes over; None if there is none.
    """

    folder: Path
    store: Volume
    name: str
    classes: dict[str, int]
    standing: str | None

    def path(self, kind: str, z: int) -> Path:
        """File of a plane, `kind` being ``"image"`` or the name of the painting."""
        first, step = numbering_of(self.store)
        return self.folder / kind / f"plane_{first + step * z:04d}.tif"

    def with_masks(self) -> list[int]:
        """Planes that have a mask in the folder already, painted or not."""
        first, step = numbering_of(self.store)
        numbers = (
            int(path.stem.removeprefix("plane_"))
            for path in (self.folder / self.name).glob("plane_*.tif")
            if path.stem.removeprefix("plane_").isdecimal()
        )
        places = (divmod(number - first, step) for number in numbers)
        return sorted(z for z, off in places if not off and 0 <= z < self.store.shape[0])

    def painted(self, *, runner: Runner | None = None) -> list[int]:
        """Planes that are painted in the store already."""
        if self.standing is None:
            return []
        return painted_planes(self.store.labels(self.standing), runner=runner)

    def check(self) -> None:
        """Nothing, if the folder is new, or was made for the same.

        Raises
        ------
        ExistsError
            If it was made for something else, or holds other files.
        """
        path = self.folder / RECORD
        if path.exists():
            _refuse_other(self.folder, read_json(path), self._record)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise ExistsError(
                f"{self.folder} holds other files. Give a new folder, e.g. out={self.folder}-paint."
            )

    def begin(self, *, note: str = "") -> None:
        """Make the folder, with what it is for and how to paint.

        Parameters
        ----------
        note
            What there is to say beside how to paint.

        Raises
        ------
        ExistsError
            If it was made for something else, or holds other files.
        """
        self.check()
        for kind in (IMAGE, self.name):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECORD, self._record)
        write_bytes(self.folder / HOWTO, (self.howto() + note).encode())

    @property
    def _record(self) -> dict[str, Any]:
        """What the folder is for."""
        return {"raw_digest": self.store.raw_digest, "name": self.name, "classes": self.classes}

    def write(self, z: int, mask: NDArray[np.uint8] | None = None) -> bool:
        """Write a plane and its mask; False where a mask stands already, which is kept.

        Parameters
        ----------
        z
            Number of the plane in the store.
        mask
            What the painter begins with, shape (y, x); what is painted in the store if None.
        """
        image, path = self.path(IMAGE, z), self.path(self.name, z)
        if not image.exists():
            normal = Normalisation.of(self.store)
            plane = gray(
                np.asarray(self.store.raw()[z]), low=normal.low, high=normal.high,
                invert=normal.invert,
            )
            write_bytes(image, plane_bytes(plane, spacing=self.store.spacing))
        if path.exists():
            return False
        if mask is None:
            shape = self.store.shape[1:]
            mask = np.zeros(shape, np.uint8) if self.standing is None else np.asarray(
                self.store.labels(self.standing)[z]
            )
        colors = [(0, 0, 0), (90, 90, 90), *OKABE_ITO]
        write_bytes(path, plane_bytes(mask, colors=colors, spacing=self.store.spacing))
        return True

    @property
    def import_command(self) -> str:
        """What to type when the masks are painted."""
        words = [
            f"source={self.folder / self.name}", f"volume={self.store.path}", "kind=annotation",
            f"name={self.name}",
        ]
        if self.classes != class_values(self.name, None):
            words.append(f"classes={{{','.join(f'{k}:{v}' for k, v in self.classes.items())}}}")
        if self.standing is not None:
            words.append("overwrite=true")
        return f"fibseg import {shlex.join(words)}"

    def howto(self) -> str:
        """How to paint, as text."""
        values = ["0  unlabelled: says nothing, and costs nothing", "1  background"]
        values += [f"{value}  {name}" for name, value in self.classes.items()]
        return HOWTO_TEXT.format(
            name=self.name, values="\n".join(f"    {line}" for line in values),
            command=self.import_command,
        )


HOWTO_TEXT = """Planes to paint: the image is in image/, its masks are in {name}/, file by file.

Values of a mask:
{values}

Paint a plane in parts: a few objects, and background around them. What stays 0 is not taken for
background, so leave out whatever is unclear.

napari: File > Open Files as Stack, first those of image/, then those of {name}/; right-click on
    the second layer, Convert to Labels; paint with the values above. Select the layer, File > Save
    Selected Layers, into one file. Import that file with planes=[...], their numbers in order.
Fiji: open a file of image/ and the one of the same name in {name}/; paint on the second with the
    values above (the paintbrush, its colour set to the value in Color Picker, or a selection and
    Edit > Fill); File > Save.

Then:
    {command}
"""


def open_folder(
    store: Volume, folder: Path, name: str, classes: Mapping[str, int] | Sequence[str] | None
) -> PaintFolder:
    """The folder of this painting of a store; nothing is written yet.

    Raises
    ------
    UsageError
        If name or classes cannot be, or are not those of the painting that stands.
    """
    name = checked_name(name.removeprefix(PREFIX), what="painting")
    if name == IMAGE:
        raise UsageError(f"name={name} is the folder of the image. Give the painting another name.")
    full = PREFIX + name
    standing = full if full in store.label_names(kind="annotation") else None
    values = class_values(name, classes)
    if standing is not None:
        there = {k: v for k, v in store.labels_info(full).classes.items() if v >= 2}
        if classes is not None and values != there:
            raise UsageError(
                f"classes={values}, but labels/{full} of {store.path} has {there}. Leave classes= "
                "out, or give the painting another name."
            )
        values = there
    return PaintFolder(folder, store, name, dict(values), standing)


def _refuse_other(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a folder of another volume or painting."""
    if found != wanted:
        other = next(key for key in wanted if found.get(key) != wanted[key])
        raise ExistsError(
            f"{folder} was made for another {other.replace('raw_digest', 'volume')} "
            f"({found.get(other)}, not {wanted[other]}). Give another out=."
        )
