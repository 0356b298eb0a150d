"""The three kinds of files that a model travels as: how each is made, compared and recognised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fibseg.export import ModelSpec, bioimageio, czann
from fibseg.export.archive import stored_file
from fibseg.export.bioimageio import Example, bioimageio_bytes, example_side
from fibseg.export.constants import Constants
from fibseg.export.czann import CzannSettings, czann_bytes, czann_description, czann_graph
from fibseg.export.image_onnx import image_onnx
from fibseg.export.passport import passport
from fibseg.export.terms import Terms
from fibseg.inference.parity import Batch, raw_runner, unit_runner
from fibseg.pipeline.export_windows import Scene, image_batches, tile_batches
from fibseg.volume.files import fingerprint

Runner = Callable[[Batch], NDArray[np.float32]]
"""Gives probabilities of a batch."""

PARITY = ".parity.json"
"""What the name of a certificate beside a file adds to that of the file."""

_MOST = 1 << 31
_MOST_TEXT = 1 << 20


@dataclass(frozen=True)
class Travelling:
    """A model, and all that goes into its files.

    Parameters
    ----------
    spec, digest
        Its description, and the digest of its weights and settings.
    constants
        Grey values.
    name, terms
        What it is called, and on which terms it travels.
    czann
        How a CZANN is made.
    """

    spec: ModelSpec
    digest: str
    constants: Constants
    name: str
    terms: Terms
    czann: CzannSettings


class Product(ABC):
    """One file.

    Parameters
    ----------
    model
        What it is made from.
    folder
        Where it is written.
    """

    suffix: ClassVar[str]
    values: ClassVar[str] = "raw"

    def __init__(self, model: Travelling, folder: Path) -> None:
        self.model = model
        self.path = folder / f"{model.name}{self.suffix}"
        self.told = passport(
            model.spec, model.constants, name=model.name, digest=model.digest,
            licence=model.terms.licence, values=self.values,
        )

    @property
    def inputs(self) -> str:
        """Fingerprint of all that decides about the file."""
        return fingerprint({
            "suffix": self.suffix, "passport": self.told, "terms": self.model.terms.record(),
            **self.settings(),
        })

    def settings(self) -> dict[str, Any]:
        """What else decides about the file."""
        return {}

    @abstractmethod
    def graph(self, network: nn.Module) -> bytes:
        """The ONNX graph inside."""

    @abstractmethod
    def batches(self, scene: Scene) -> list[Batch]:
        """Images that it is compared on."""

    def runner(self, graph: bytes) -> Runner:
        """What runs the graph."""
        return raw_runner(graph)

    @abstractmethod
    def files(
        self, graph: bytes, certificate: str, *, scene: Scene, reference: Runner
    ) -> dict[Path, bytes]:
        """What is written, the file itself last.

        Parameters
        ----------
        certificate
            Its text.
        scene, reference
            Where an example may be taken from, and what gives its probabilities.
        """

    @abstractmethod
    def standing(self) -> tuple[bytes | None, bytes | None]:
        """Certificate and graph of the file that stands at the path; None where there is none."""


class OnnxProduct(Product):
    """``NAME.onnx``, with the certificate beside it."""

    suffix = ".onnx"

    def graph(self, network: nn.Module) -> bytes:
        """The file itself."""
        m = self.model
        return image_onnx(network, m.spec, m.constants, self.told, adjustable=True)

    def batches(self, scene: Scene) -> list[Batch]:
        """Of any size, some normalised by other grey values."""
        return image_batches(scene, self.model.spec, self.model.constants, adjustable=True)

    def files(
        self, graph: bytes, certificate: str, *, scene: Scene, reference: Runner
    ) -> dict[Path, bytes]:
        """The graph, and the certificate beside it."""
        return {self._beside: certificate.encode(), self.path: graph}

    def standing(self) -> tuple[bytes | None, bytes | None]:
        """The graph and what is beside it."""
        return (
            self._beside.read_bytes() if self._beside.is_file() else None,
            self.path.read_bytes() if self.path.is_file() else None,
        )

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + PARITY)


class CzannProduct(Product):
    """``NAME.czann``."""

    suffix = ".czann"
    values = "unit"

    def settings(self) -> dict[str, Any]:
        """Tile, type and version."""
        return dict(vars(self.model.czann))

    def graph(self, network: nn.Module) -> bytes:
        """Of one tile."""
        m = self.model
        return czann_graph(network, m.spec, m.constants, m.czann, self.told)

    def batches(self, scene: Scene) -> list[Batch]:
        """Tiles."""
        m = self.model
        return tile_batches(scene, m.spec, m.constants, side=m.czann.tile)

    def runner(self, graph: bytes) -> Runner:
        """Of tiles from 0 to 1, channels last."""
        return unit_runner(graph, self.model.constants.largest)

    def files(
        self, graph: bytes, certificate: str, *, scene: Scene, reference: Runner
    ) -> dict[Path, bytes]:
        """One zip."""
        m = self.model
        told = czann_description(m.spec, m.czann, name=m.name, inputs=self.inputs)
        return {self.path: czann_bytes(
            graph, told, parity=certificate, licence=m.terms.licence
        )}

    def standing(self) -> tuple[bytes | None, bytes | None]:
        """Of the zip."""
        return (
            stored_file(self.path, czann.PARITY, most=_MOST_TEXT),
            stored_file(self.path, czann.GRAPH, most=_MOST),
        )


class PackageProduct(Product):
    """``NAME.bioimageio.zip``."""

    suffix = ".bioimageio.zip"

    def settings(self) -> dict[str, Any]:
        """What its documentation tells of training and test."""
        return {"training": self.model.spec.training, "metrics": self.model.spec.metrics}

    def graph(self, network: nn.Module) -> bytes:
        """Of images of any size; the grey values are fixed, since not all programs skip inputs."""
        m = self.model
        return image_onnx(network, m.spec, m.constants, self.told, adjustable=False)

    def batches(self, scene: Scene) -> list[Batch]:
        """Of any size."""
        return image_batches(scene, self.model.spec, self.model.constants, adjustable=False)

    def files(
        self, graph: bytes, certificate: str, *, scene: Scene, reference: Runner
    ) -> dict[Path, bytes]:
        """One zip."""
        m = self.model
        image = scene.windows(m.spec, side=example_side(m.spec), n=3)[1:2]
        probs = reference(Batch("real", image.astype(np.float32)))
        return {self.path: bioimageio_bytes(
            graph, m.spec, m.constants, Example(image, probs), name=m.name, terms=m.terms,
            told=self.told, parity=certificate,
        )}

    def standing(self) -> tuple[bytes | None, bytes | None]:
        """Of the zip."""
        return (
            stored_file(self.path, bioimageio.PARITY, most=_MOST_TEXT),
            stored_file(self.path, bioimageio.GRAPH, most=_MOST),
        )


PRODUCTS: dict[str, type[Product]] = {
    "onnx": OnnxProduct, "czann": CzannProduct, "bioimageio": PackageProduct,
}
"""Kind of file of each format."""
