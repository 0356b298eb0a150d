"""Files of a model, put in place so that a crash leaves either a whole model or none.

`model.json` is written last and removed first: a folder that has one is whole.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from fibseg.errors import ExistsError
from fibseg.volume.files import write_bytes

DESCRIPTION, CARD = "model.json", "README.md"
_PICKLE_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def write_folder(
    folder: str | Path, contents: Mapping[str, bytes], *, key: str, overwrite: bool
) -> Path:
    """Path of the folder with a model in it; other files there are left alone.

    Parameters
    ----------
    folder
        Created if missing.
    contents
        What the files hold, by name, `model.json` among them.
    key
        Key of the command that names the folder, for the message.
    overwrite
        Replace another model that stands there.

    Raises
    ------
    ExistsError
        If another model stands there and `overwrite` is not set.
    """
    folder = Path(folder)
    if _stands(folder, contents):
        return folder
    if (folder / DESCRIPTION).exists():
        if not overwrite:
            raise ExistsError(
                f"Another model stands in {folder}. Choose another {key}=, or set overwrite=true."
            )
        (folder / DESCRIPTION).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(contents, key=lambda name: name == DESCRIPTION):
        write_bytes(folder / name, contents[name])
    return folder


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by its content, or by its name."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_PICKLE_STARTS):
        # A safetensors file starts with the length of its header, which may read alike.
        return head[8:9] != b"{"
    if head.startswith(b"PK\x03\x04"):
        # torch.save writes a zip around a pickle; an .npz or .docx is a zip as well.
        try:
            with zipfile.ZipFile(path) as archive:
                return any(n.endswith(_PICKLE_SUFFIXES) for n in archive.namelist())
        except zipfile.BadZipFile:
            return True
    return path.suffix in _PICKLE_SUFFIXES


def _stands(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Whether this very model is in the folder already."""
    return all(
        (folder / name).is_file() and (folder / name).read_bytes() == data
        for name, data in contents.items()
    )
