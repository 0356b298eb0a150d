"""What runs a network: torch, ONNX Runtime or OpenVINO, as wished and as this machine has them."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fibseg.errors import UsageError
from fibseg.inference.int8 import Int8

log = logging.getLogger("fibseg.inference")

BACKENDS = ("auto", "torch", "compile", "onnxruntime", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")

Compiled = Callable[[Tensor], Tensor]
"""From a static batch of images (b, c, y, x), float32, to logits (b, k, y, x), float32."""

Shape4 = tuple[int, int, int, int]

_EXTRAS = {"openvino": ("OpenVINO", "'fibseg[openvino]'"),
           "onnxruntime": ("ONNX Runtime", "onnxruntime")}


@dataclass(frozen=True)
class Backend:
    """What runs a network, settled for this machine.

    Parameters
    ----------
    name
        ``"torch"``, ``"compile"`` (torch.compile), ``"onnxruntime"`` or ``"openvino"``.
    precision
        ``"float32"``, ``"bfloat16"`` or ``"int8"``.
    device
        ``"cpu"``, or ``"cuda"`` with torch.
    int8
        How int8 rounds; None until it was measured on a volume.
    """

    name: str
    precision: str
    device: str = "cpu"
    int8: Int8 | None = None

    def __str__(self) -> str:
        """Words for a log and for the cache of rates."""
        return " ".join((self.name, self.precision, *(["cuda"] if self.device == "cuda" else [])))

    @classmethod
    def read(cls, record: Any) -> Backend | None:
        """From the record of a product; None if it cannot be meant."""
        if not isinstance(record, dict):
            return None
        words = {k: v for k, v in record.items() if k != "int8"}
        if set(words) != {"name", "precision", "device"}:
            return None
        int8 = Int8.read(record.get("int8"))
        return None if (int8 is None) == ("int8" in record) else cls(**words, int8=int8)

    def record(self) -> dict[str, Any]:
        """As plain data, for the record of a product."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # lists, as it is read again
        return {k: v for k, v in found.items() if v is not None}

    @classmethod
    def choose(cls, backend: str = "auto", precision: str = "auto") -> Backend:
        """Backend for these words; ``"auto"`` goes by a rule, and nothing is measured.

        Raises
        ------
        UsageError
            If a word is unknown, or the backend is not installed or has no such precision.
        """
        return Wish(backend, precision).candidates()[0]

    def compile(self, network: nn.Module, shape: Shape4) -> Compiled:
        """Network made ready for batches of exactly `shape`, (b, c, y, x).

        Raises
        ------
        UsageError
            If ``torch.compile`` does not work on this machine, or int8 has no ranges.
        """
        log.debug("%s, batch %s", self, shape)
        if self.name == "openvino":
            from fibseg.inference.run_openvino import compile_openvino

            if self.precision == "int8" and self.int8 is None:
                raise UsageError(
                    "precision=int8 needs ranges that fibseg infer measures on a volume first. Use "
                    "precision=auto here."
                )
            return compile_openvino(network, shape, self.precision, self.int8)
        if self.name == "onnxruntime":
            from fibseg.inference.run_onnx import compile_onnx

            return compile_onnx(network, shape)
        from fibseg.inference.run_torch import compile_torch

        return compile_torch(
            network, shape, self.precision, self.device, optimised=self.name == "compile"
        )


@dataclass(frozen=True)
class Wish:
    """The words ``backend=`` and ``precision=`` of a command.

    Raises
    ------
    UsageError
        If a word is unknown.
    """

    backend: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        for key, value, known in (
            ("backend", self.backend, BACKENDS), ("precision", self.precision, PRECISIONS)
        ):
            if value not in known:
                raise UsageError(f"{key}={value!r} is unknown. Use one of: {', '.join(known)}.")

    def allows(self, backend: Backend) -> bool:
        """Whether `backend` is what is wished, and this machine has it; auto never means int8."""
        any_other = self.precision == "auto" and backend.precision != "int8"
        return (
            self.backend in ("auto", backend.name)
            and (any_other or self.precision == backend.precision)
            and (backend.device == "cpu" or torch.cuda.is_available())
            and _installed(backend.name)
        )

    def candidates(self) -> tuple[Backend, ...]:
        """What may run, at least one, the one that a rule prefers first.

        ``auto`` never means ``compile``: on CPUs that takes half a minute and was not faster than
        torch without it (benchmarks/RESULTS.md), on GPUs it could not be tried.

        Raises
        ------
        UsageError
            If the backend is not installed, or has no such precision.
        """
        if self.precision == "int8":
            return (self._int8(),)
        cuda = torch.cuda.is_available()
        if self.backend == "auto":
            names = ("torch",) if cuda else _by_rule()
            return tuple(
                self._settled(n, cuda) for n in names
                if _installed(n) and not (n == "onnxruntime" and self.precision == "bfloat16")
            )
        if not _installed(self.backend):
            raise UsageError(_missing(f"backend={self.backend}", self.backend, "backend=torch"))
        if self.backend == "onnxruntime" and self.precision == "bfloat16":
            raise UsageError(
                "backend=onnxruntime computes in float32 on CPUs, and precision=bfloat16 is asked "
                "for. Leave precision= out, or use backend=openvino or torch."
            )
        return (self._settled(self.backend, cuda),)

    def _int8(self) -> Backend:
        """OpenVINO, the one that computes in 8-bit integers."""
        if self.backend not in ("auto", "openvino"):
            raise UsageError(
                f"precision=int8 is computed by OpenVINO, and backend={self.backend} is asked for. "
                "Leave backend= out, or use precision=auto."
            )
        if not _installed("openvino"):
            raise UsageError(_missing("precision=int8", "openvino", "precision=auto"))
        return Backend("openvino", "int8")

    def _settled(self, name: str, cuda: bool) -> Backend:
        """The backend `name` with its device and precision."""
        device = "cuda" if cuda and name in ("torch", "compile") else "cpu"
        if self.precision != "auto":
            return Backend(name, self.precision, device)
        fast = device == "cuda" or native_bfloat16()
        return Backend(name, "bfloat16" if fast and name != "onnxruntime" else "float32", device)


def native_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16; without that it is slower than float32."""
    capability = torch.backends.cpu.get_cpu_capability()
    found: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return capability.startswith("AVX512") and bool(found is not None and found())


def _missing(asked: str, name: str, instead: str) -> str:
    title, package = _EXTRAS[name]
    return (
        f"{asked}, but {title} is not installed. Install it with pip install {package}, or use "
        f"{instead}."
    )


def _by_rule() -> tuple[str, ...]:
    """Backends of a CPU, the one first that is usually the fastest."""
    if native_bfloat16():
        return "openvino", "torch", "onnxruntime"
    return "openvino", "onnxruntime", "torch"


def _installed(name: str) -> bool:
    return name not in _EXTRAS or importlib.util.find_spec(name) is not None
