"""A model folder as files for other programs, each with the certificate that it gives the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from fibseg.data import Normalisation
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export import is_forest, load_network, load_spec, weights_digest
from fibseg.export.certificate import Certificate, vouches
from fibseg.export.constants import constants_of, trained_constants
from fibseg.export.czann import CzannSettings
from fibseg.export.terms import Terms
from fibseg.inference.parity import Batch, compare, releases, torch_runner
from fibseg.pipeline.export_products import PRODUCTS, Product, Runner, Travelling
from fibseg.pipeline.export_windows import Scene, scene_of, training_store
from fibseg.progress import track
from fibseg.volume import Volume, locked
from fibseg.volume.files import checked_name, write_bytes

ALL = "all"


def export_model(
    model: str, *, kind: str, out: str, volume: str | None, name: str | None, terms: Terms,
    czann: CzannSettings, overwrite: bool,
) -> dict[str, str]:
    """Write the files of a model; nothing is written unless all of them give what torch gives.

    Files that were made from the same before are left as they are.

    Parameters
    ----------
    model
        Model folder.
    kind
        A format of `PRODUCTS`, or ``"all"``.
    out, name, overwrite
        Folder, name of the files, and whether others may be replaced.
    volume
        Store whose grey values go into the files; those of training if None.
    terms, czann
        On which terms it travels; how a CZANN is made.

    Raises
    ------
    UsageError
        If the format is unknown, or the tile does not fit.
    DataError
        If it is no model that can travel so, its grey values are unknown, or a file would not
        give the same.
    ExistsError
        If a file stands that holds something else.
    """
    kinds = kinds_of(kind)
    refuse_forest(model)
    spec, store = load_spec(model), None if volume is None else Volume.open(volume)
    if "czann" in kinds:
        czann.check(spec)
    constants = trained_constants(spec, model) if store is None else constants_of(store)
    travelling = Travelling(
        spec, weights_digest(model), constants,
        checked_name(name or Path(model).resolve().name, what="file"), terms, czann,
    )
    products = [PRODUCTS[k](travelling, Path(out)) for k in kinds]
    with locked(Path(out)):
        missing = [p for p in products if not stands(p, overwrite=overwrite)]
        told = {str(p.path): "made before" for p in products}
        if missing:
            network, _ = load_network(model)
            scene = scene_of(spec, constants, store or training_store(spec))
            told |= _make(missing, network, scene)
    return told


def kinds_of(kind: str) -> list[str]:
    """Formats that a word stands for.

    Raises
    ------
    UsageError
        If there is no such format of a model.
    """
    if kind != ALL and kind not in PRODUCTS:
        raise UsageError(
            f"format={kind!r} is none that a model travels in. Use one of: "
            f"{', '.join([*PRODUCTS, ALL])}."
        )
    return list(PRODUCTS) if kind == ALL else [kind]


def refuse_forest(model: str) -> None:
    """Nothing, if the folder is not that of a pixel classifier.

    Raises
    ------
    DataError
        If it is: its trees are asked with features that only fibseg computes.
    """
    if is_forest(model):
        raise DataError(
            f"{model} holds a pixel classifier. Its forests are ONNX files already, but they are "
            "asked with features in 3D that only fibseg computes, so that they are of no use "
            f"elsewhere. Use it with 'fibseg classify model={model} volume=…', and export the "
            "labels that it makes."
        )


def stands(product: Product, *, overwrite: bool) -> bool:
    """Whether this very file was made before.

    Raises
    ------
    ExistsError
        If something else stands there and `overwrite` is not set.
    """
    if not product.path.exists():
        return False
    if vouches(*product.standing(), product.inputs):
        return True
    if not overwrite or product.path.is_dir():
        raise ExistsError(
            f"{product.path} stands already and was made from another model or with other "
            "settings. Choose another out= or name=, or set overwrite=true."
        )
    return False


def _make(products: list[Product], network: nn.Module, scene: Scene) -> dict[str, str]:
    """Make, compare and write files; what they are, by path."""
    model = products[0].model
    values = Normalisation(model.constants.low, model.constants.high, model.constants.invert)
    reference = torch_runner(network, values, multiple=model.spec.stride_multiple)
    contents: dict[Path, bytes] = {}
    told = {}
    for product in products:
        graph = product.graph(network)
        certificate = _certified(product, graph, scene, reference)
        files = product.files(graph, certificate.text(), scene=scene, reference=reference)
        contents |= files
        told[str(product.path)] = (
            f"{len(files[product.path]) / 1e6:.3g} MB, largest difference to torch "
            f"{certificate.max_dp:.1e}, labels agree on {certificate.agreement:.4%} of pixels"
        )
    for path, data in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    return told


def _certified(
    product: Product, graph: bytes, scene: Scene, reference: Runner
) -> Certificate:
    """Certificate of a graph that passed."""
    compared = compare(
        product.runner(graph), reference, _tracked(product.batches(scene), product.path.name)
    )
    certificate = Certificate(
        file=product.path.name, sha256=hashlib.sha256(graph).hexdigest(), inputs=product.inputs,
        images=scene.text, versions=releases(), compared=compared,
    )
    certificate.refuse_unequal(norm=str(product.model.spec.network.get("norm", "batch")))
    return certificate


def _tracked(batches: list[Batch], name: str) -> Iterator[Batch]:
    """Batches, with the progress shown."""
    return track(batches, total=len(batches), label=f"compare {name}", unit="image")
