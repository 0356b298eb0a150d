"""The store: one OME-Zarr group per sample, with labels, probabilities, tables and runs in it."""

from fibseg.volume.files import fingerprint
from fibseg.volume.layout import OmeVersion
from fibseg.volume.product import Kind, Product, ProductInfo
from fibseg.volume.runs import Run
from fibseg.volume.store import BACKGROUND, UNLABELLED, Polarity, Volume

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
]
