"""A network in ONNX Runtime: in float32 on a CPU about as fast as OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fibseg.export import graph_to_onnx

if TYPE_CHECKING:
    from fibseg.inference.backends import Compiled, Shape4

_INPUT, _OUTPUT = "image", "logits"


def compile_onnx(network: nn.Module, shape: Shape4) -> Compiled:
    """ONNX Runtime on the CPU, on as many threads as torch may use."""
    import onnxruntime

    # Tracing runs the network, so it is done on a small image; the shape is set afterwards.
    small = torch.zeros(1, shape[1], *(min(n, 64 + n % 64) for n in shape[2:]))
    axes = {0: "batch", 2: "y", 3: "x"}
    data = graph_to_onnx(
        network.eval().cpu().float(), [small], inputs=[_INPUT], output=_OUTPUT,
        free={_INPUT: axes, _OUTPUT: axes},
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A plan of all tensors at once takes twice the memory and no less time.
    options.enable_mem_pattern = False
    for name, n in zip(("batch", "y", "x"), (shape[0], *shape[2:]), strict=True):
        options.add_free_dimension_override_by_name(name, n)
    # Its threads spin while they wait, which is time that a busy machine does not have.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        """Logits of a batch."""
        (logits,) = session.run([_OUTPUT], {_INPUT: images.contiguous().numpy()})
        return torch.from_numpy(logits)

    return run
