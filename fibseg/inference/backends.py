"""What runs a network: torch, or OpenVINO, which is several times faster on CPUs with bfloat16."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fibseg.errors import UsageError

log = logging.getLogger("fibseg.inference")

BACKENDS = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16")

Compiled = Callable[[Tensor], Tensor]
"""From a static batch of images (b, c, y, x), float32, to logits (b, k, y, x), float32."""


@dataclass(frozen=True)
class Backend:
    """What runs a network, settled for this machine.

    Parameters
    ----------
    name
        ``"torch"`` or ``"openvino"``.
    precision
        ``"float32"`` or ``"bfloat16"``.
    device
        ``"cpu"``, or ``"cuda"`` with torch.
    """

    name: str
    precision: str
    device: str = "cpu"

    @classmethod
    def choose(cls, backend: str = "auto", precision: str = "auto") -> Backend:
        """Backend for these words; ``"auto"`` takes the fastest one of this machine.

        Raises
        ------
        UsageError
            If a word is unknown, or OpenVINO is asked for and not installed.
        """
        if backend not in BACKENDS:
            raise UsageError(f"backend={backend!r} is unknown. Use one of: {', '.join(BACKENDS)}.")
        if precision not in PRECISIONS:
            raise UsageError(
                f"precision={precision!r} is unknown. Use one of: {', '.join(PRECISIONS)}."
            )
        installed = importlib.util.find_spec("openvino") is not None
        if backend == "openvino" and not installed:
            raise UsageError(
                "backend=openvino, but OpenVINO is not installed. Install it with "
                "pip install 'fibseg[openvino]', or use backend=torch."
            )
        cuda = torch.cuda.is_available()
        if backend == "auto":
            backend = "openvino" if installed and not cuda else "torch"
        device = "cuda" if backend == "torch" and cuda else "cpu"
        if precision == "auto":
            precision = "bfloat16" if device == "cuda" or _native_bfloat16() else "float32"
        return cls(backend, precision, device)

    def compile(self, network: nn.Module, shape: tuple[int, int, int, int]) -> Compiled:
        """Network made ready for batches of exactly `shape`, (b, c, y, x)."""
        log.debug("%s %s on %s, batch %s", self.name, self.precision, self.device, shape)
        if self.name == "openvino":
            return _compile_openvino(network, shape, self.precision)
        return _compile_torch(network, self.precision, self.device)


def _native_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16; without that it is slower than float32."""
    capability = torch.backends.cpu.get_cpu_capability()
    found: Any = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return capability.startswith("AVX512") and bool(found is not None and found())


def _compile_torch(network: nn.Module, precision: str, device: str) -> Compiled:
    """Eager torch, channels last, under autocast where bfloat16 is asked for."""
    place = torch.device(device)
    ready = network.eval().to(place)
    ready = ready.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(images: Tensor) -> Tensor:
        """Logits of a batch."""
        images = images.to(place, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(
            place.type, torch.bfloat16, enabled=precision == "bfloat16"
        ):
            logits: Tensor = ready(images)
            return logits.float().cpu().contiguous()

    return _window_per_thread(run) if device == "cpu" else run


def _window_per_thread(run: Compiled) -> Compiled:
    """Windows of a batch side by side, each on one thread.

    A convolution split over threads adds up in another order: its result would depend on the
    number of threads, hence of workers.
    """
    pool = ThreadPoolExecutor(
        torch.get_num_threads(), thread_name_prefix="window",
        initializer=torch.set_num_threads, initargs=(1,),
    )

    def spread(images: Tensor) -> Tensor:
        """Logits of a batch, a window per thread."""
        with _threads_of_one():
            return torch.cat(list(pool.map(run, (image[None] for image in images))))

    return spread


@contextlib.contextmanager
def _threads_of_one() -> Iterator[None]:
    """Time in which a matrix product uses one thread, and so do threads that are made in it.

    What `torch.set_num_threads` says in a thread of the pool holds there for convolutions, but for
    MKL, and for threads made later, in the whole process: left at 1, the engine would go on with
    one core.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _openvino_core() -> Any:
    """The one OpenVINO of this process, never released.

    Its CPU plugin gives the thread that loads it a signal stack of its own and frees that with the
    plugin. Released in another order, the next SIGTERM or Ctrl-C would end in freed memory.
    """
    import openvino

    return openvino.Core()


def _compile_openvino(
    network: nn.Module, shape: tuple[int, int, int, int], precision: str
) -> Compiled:
    """OpenVINO on the CPU with a static shape, on as many threads as torch may use."""
    # openvino.convert_model does the same, but reports every call to its makers over the network,
    # from forked copies of this process.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    # Tracing runs the network, so it is done on a small image; the shape is set afterwards.
    small = torch.zeros(1, shape[1], *(min(n, 64 + n % 64) for n in shape[2:]))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO traces with torch.jit, which torch deprecates
        traced = TorchScriptPythonDecoder(network.eval().cpu().float(), example_input=small)
        model = frontend.convert(frontend.load(traced))
    model.reshape({model.input(0): list(shape)})
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    request = _openvino_core().compile_model(model, "CPU", settings).create_infer_request()

    def run(images: Tensor) -> Tensor:
        """Logits of a batch."""
        result = request.infer({0: images.contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(result[0].copy())

    return run
