"""The parity certificate: that a file gives what the model gave, measured, and on what."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.errors import DataError

TOLERANCE = 1e-4
"""Largest difference in probability between a file and torch, both in float32."""


@dataclass(frozen=True)
class Compared:
    """Images of one kind, given to both.

    Parameters
    ----------
    kind
        ``"real"``, ``"constant"``, ``"extreme"``, ``"odd-sized"`` or ``"other grey values"``.
    n_windows, n_pixels
        How much it was.
    max_dp
        Largest difference in any probability; NaN where the file gave one.
    n_agree
        Pixels whose likeliest channel is the same.
    """

    kind: str
    n_windows: int
    n_pixels: int
    max_dp: float
    n_agree: int


@dataclass(frozen=True)
class Certificate:
    """All comparisons of one file.

    Parameters
    ----------
    file
        Its name.
    sha256
        Of the ONNX graph that was run.
    inputs
        Fingerprint of all that the file was made from.
    images
        In words, where the real windows come from.
    versions
        Releases that computed both sides.
    compared
        One entry per kind.
    """

    file: str
    sha256: str
    inputs: str
    images: str
    versions: dict[str, str]
    compared: Sequence[Compared]

    @property
    def max_dp(self) -> float:
        """Largest difference of all; NaN if there is one."""
        worst = [c.max_dp for c in self.compared]
        return math.nan if any(map(math.isnan, worst)) else max(worst, default=math.nan)

    @property
    def agreement(self) -> float:
        """Share of all pixels whose likeliest channel is the same."""
        return sum(c.n_agree for c in self.compared) / sum(c.n_pixels for c in self.compared)

    def refuse_unequal(self, *, norm: str = "batch") -> None:
        """Nothing, if the file gives what torch gives.

        Parameters
        ----------
        norm
            Of the network. Others than batch norm divide by the spread of the plane at hand: where
            that has one value, they divide rounding by nearly nothing, in torch as elsewhere.

        Raises
        ------
        DataError
            If it does not; it names the kind of images that differ most.
        """
        if self.max_dp <= TOLERANCE:
            return
        worst = max(self.compared, key=lambda c: math.inf if math.isnan(c.max_dp) else c.max_dp)
        raise DataError(
            f"{self.file} would give other probabilities than the model, by up to "
            f"{worst.max_dp:.2g} on {worst.kind} images ({TOLERANCE:g} is allowed), so nothing was "
            f"written. {_REMEDY if norm == 'batch' else _OF_NORM.format(norm=norm)}"
        )

    def text(self) -> str:
        """The certificate as JSON."""
        told: dict[str, Any] = {
            "file": self.file, "sha256_onnx": self.sha256, "inputs": self.inputs,
            "reference": "the fibseg model in torch, float32, same grey values",
            "versions": self.versions, "tolerance": TOLERANCE, "passed": self.max_dp <= TOLERANCE,
            "max_abs_difference_of_probability": self.max_dp, "label_agreement": self.agreement,
            "real_windows_from": self.images,
            "windows": {
                c.kind: {
                    "n": c.n_windows, "pixels": c.n_pixels,
                    "max_abs_difference_of_probability": c.max_dp,
                    "label_agreement": c.n_agree / c.n_pixels,
                }
                for c in self.compared
            },
        }
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def vouches(certificate: bytes | None, graph: bytes | None, inputs: str) -> bool:
    """Whether this text of a certificate is of this very graph, made from these `inputs`."""
    if certificate is None or graph is None:
        return False
    try:
        told = json.loads(certificate)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(told, dict) and told.get("passed") is True and told.get("inputs") == inputs
        and told.get("sha256_onnx") == hashlib.sha256(graph).hexdigest()
    )


_REMEDY = "Weights of the model may be extreme: train again with a lower learning rate."
_OF_NORM = (
    "Its network.norm={norm} makes rounding large where a plane has one value nearly everywhere, "
    "so that no two programs agree there: train with network.norm=batch."
)
