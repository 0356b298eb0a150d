"""A network in OpenVINO, which is several times faster on CPUs with bfloat16."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from fibseg.inference.backends import Compiled, Shape4
    from fibseg.inference.int8 import Int8


@functools.cache
def openvino_core() -> Any:
    """The one OpenVINO of this process, never released.

    Its CPU plugin gives the thread that loads it a signal stack of its own and frees that with the
    plugin. Released in another order, the next SIGTERM or Ctrl-C would end in freed memory.
    """
    import openvino

    return openvino.Core()


def compile_openvino(
    network: nn.Module, shape: Shape4, precision: str, int8: Int8 | None = None
) -> Compiled:
    """OpenVINO on the CPU with a static shape, on as many threads as torch may use.

    With `int8`, what is not rounded is computed in float32.
    """
    model = converted(network, shape)
    if int8 is not None:
        model = int8.apply(model)
    request = request_of(model, precision)

    def run(images: Tensor) -> Tensor:
        """Logits of a batch."""
        result = request.infer({0: images.contiguous().numpy()}, share_inputs=True)
        return torch.from_numpy(result[0].copy())

    return run


def request_of(model: Any, precision: str = "float32") -> Any:
    """A graph made ready to compute."""
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    return openvino_core().compile_model(model, "CPU", settings).create_infer_request()


def converted(network: nn.Module, shape: Shape4) -> Any:
    """The network as a graph of OpenVINO for batches of `shape`."""
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
    return model
