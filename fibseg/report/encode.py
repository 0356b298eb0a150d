"""Pictures as text, so that a page needs no other file."""

from __future__ import annotations

import base64
import zlib

import imagecodecs
import numpy as np
from numpy.typing import NDArray


def jpeg_uri(gray: NDArray[np.uint8], *, quality: int = 88) -> str:
    """Data URI of a grey plane; noise of electron microscopy is four times smaller than as PNG."""
    return _uri("image/jpeg", imagecodecs.jpeg8_encode(np.ascontiguousarray(gray), level=quality))


def png_uri(picture: NDArray[np.uint8]) -> str:
    """Data URI of an RGB or RGBA picture, without loss."""
    return _uri("image/png", imagecodecs.png_encode(np.ascontiguousarray(picture), level=6))


def picture_uri(png: bytes) -> str:
    """Data URI of a PNG file."""
    return _uri("image/png", png)


def svg_uri(svg: str) -> str:
    """Data URI of a drawing; as an image it can neither run scripts nor load anything."""
    return _uri("image/svg+xml", svg.encode())


def packed(data: bytes) -> str:
    """Bytes as text, compressed; the page unpacks them with the browser's own DecompressionStream.

    Numbers are not sent as the colours of a PNG: some browsers blur what is read from a picture.
    """
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def packed_numbers(values: NDArray[np.integer]) -> str:
    r"""`packed` bytes of little-endian numbers.

    >>> unpacked = zlib.decompress(base64.b64decode(packed_numbers(np.array([1], np.uint16))))
    >>> unpacked
    b'\x01\x00'
    """
    return packed(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())


def _uri(kind: str, data: bytes | bytearray) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
