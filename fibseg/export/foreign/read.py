"""A model file from anywhere: what it is by its content, then read by the rules of its format."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fibseg.errors import DataError
from fibseg.export.folder import is_pickle
from fibseg.export.foreign import bioimage, czann
from fibseg.export.foreign.archive import Archive
from fibseg.export.foreign.limits import FILE_BYTES
from fibseg.export.foreign.model import ForeignModel, plain_name
from fibseg.export.foreign.onnx_model import Told, read_model

KINDS = "an ONNX file, a CZANN, or a bioimage.io package (zip, format 0.5)"


def is_model_file(path: str | Path) -> bool:
    """Whether a path is a file, so that it can be a model only if it was made to travel."""
    return Path(path).is_file()


def read_foreign(path: str | Path) -> ForeignModel:
    """The model in a file; nothing in it is run, and nothing of it is written.

    Raises
    ------
    DataError
        If it is no model, damaged, hostile, or does something that fibseg does not.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no model file {path}. Give {KINDS}.")
    if path.stat().st_size > FILE_BYTES:
        raise DataError(
            f"{path} has {path.stat().st_size} bytes, at most {FILE_BYTES} are read. Use a "
            "smaller model."
        )
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    stem = plain_name(path.stem)
    if head.startswith(b"PK"):
        return _of_archive(path, digest, stem)
    if is_pickle(path):
        raise DataError(_pickle(path))
    told = Told(kind="onnx", digest=digest, stem=stem)
    return read_model(path.read_bytes(), told, str(path))


def _of_archive(path: Path, digest: str, stem: str) -> ForeignModel:
    """The model of a zip."""
    try:
        archive = Archive(path)
    except DataError as error:
        # torch.save packs its pickle in a way of its own; that it is one, is what helps.
        raise (DataError(_pickle(path)) if _begins_with_pickle(path) else error) from None
    is_czann = {czann.DESCRIPTION, czann.GRAPH} <= set(archive.names)
    described = [name for name in bioimage.DESCRIPTIONS if name in archive.names]
    if is_czann + len(described) > 1:
        raise DataError(
            f"{path} is several models in one: it holds {archive.names[:10]}. Ask where it comes "
            "from, and give a file of one model."
        )
    if is_czann:
        return czann.read_czann(archive, digest=digest, stem=stem)
    if described:
        return bioimage.read_bioimage(archive, digest=digest, stem=stem)
    if is_pickle(path):
        raise DataError(_pickle(path))
    raise DataError(
        f"{path} is a zip of {archive.names[:10]}, which is no model that fibseg knows. Give "
        f"{KINDS}."
    )


def _begins_with_pickle(path: Path) -> bool:
    """Whether the first entry of a zip is called a pickle, as ``torch.save`` has it."""
    with path.open("rb") as file:
        header = file.read(30)
        name = file.read(int.from_bytes(header[26:28], "little"))
    return name.endswith(b".pkl")


def _pickle(path: Path) -> str:
    return (
        f"{path} is a pickle or a training checkpoint: loading one can run any code, so fibseg "
        f"never does. Give the model folder of fibseg train, {KINDS}."
    )
