"""The store: one OME-Zarr group per sample, with labels, probabilities, tables and runs in it."""

from fibseg.volume.files import fingerprint
from fibseg.volume.layout import OmeVersion
from fibseg.volume.lock import locked
from fibseg.volume.product import Kind, Product, ProductInfo
from fibseg.volume.record import BACKGROUND, UNLABELLED, Polarity
from fibseg.volume.runs import Run
from fibseg.volume.store import Volume
from fibseg.volume.tiff import write_tiff, write_tiff_stack

__all__ = [
    "BACKGROUND",
    "UNLABELLED",
    "Kind",
    "OmeVersion",
    "Polarity",
    "Product",
    "ProductInfo",
    "Run",
    "Volume",
    "fingerprint",
    "locked",
    "write_tiff",
    "write_tiff_stack",
]
