"""PNG planes: the header without decoding, the voxels with imagecodecs."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from imagecodecs import png_decode
from numpy.typing import NDArray

from fibseg.errors import DataError

_GREY, _PALETTE = 0, 3
_COLOURS = {2: "RGB", 4: "grey with transparency", 6: "RGB with transparency"}


def png_header(path: Path) -> tuple[tuple[int, int], np.dtype[Any], bool]:
    """Shape (y, x), dtype and whether voxels index a colour table.

    Raises
    ------
    DataError
        For a file that is no PNG, for colours, and for 2 or 4 bits a voxel.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise DataError(f"{path} is not a readable PNG. Copy or export it again.")
    width, height, bits, colour = struct.unpack(">IIBB", head[16:26])
    if colour in _COLOURS:
        raise DataError(
            f"{path} is {_COLOURS[colour]}. Convert it to one grey channel "
            "(in Fiji: Image > Type > 8-bit)."
        )
    if bits in (2, 4) and colour == _GREY:
        raise DataError(f"{path} has {bits} bits a voxel. Save it with 8 or 16 bits.")
    dtype = np.dtype({1: bool, 16: np.uint16}.get(bits if colour == _GREY else 8, np.uint8))
    return (height, width), dtype, colour == _PALETTE


def read_png(path: Path) -> NDArray[Any]:
    """Voxels of a PNG, shape (y, x): bool, uint8 or uint16; indices where there is a palette.

    Raises
    ------
    DataError
        If it cannot be decoded.
    """
    shape, dtype, palette = png_header(path)
    try:
        if palette:  # imagecodecs would apply the colours; their numbers are what was painted
            from PIL import Image

            with Image.open(path) as image:
                data = np.asarray(image)
        else:
            data = png_decode(path.read_bytes())
    except Exception as error:
        raise DataError(
            f"{path} cannot be decoded ({error}). The file is damaged; copy or export it again."
        ) from error
    return data.reshape(shape) != 0 if dtype.kind == "b" else data.reshape(shape)
