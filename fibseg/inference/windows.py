"""MONAI's sliding windows on a box whose windows lie on the global grid.

MONAI lays its windows relative to the array that it is given. A box of whole windows, its corner on
a multiple of the core, makes that the global grid; a weight of 1 in the core and 0 in the margin
makes windows equal the whole plane.
"""

from __future__ import annotations

import torch
from monai.inferers import sliding_window_inference
from monai.inferers.utils import compute_importance_map
from torch import Tensor

from fibseg.errors import DataError
from fibseg.inference.backends import Compiled
from fibseg.inference.finer import Slots
from fibseg.inference.plan import Plan
from fibseg.inference.symmetries import Symmetry, average


class Windows:
    """A compiled network on the windows of one plan.

    Parameters
    ----------
    network
        Logits of a static batch.
    plan
        The grid.
    ways
        Symmetries whose probabilities are averaged.
    """

    def __init__(self, network: Compiled, plan: Plan, ways: tuple[Symmetry, ...]) -> None:
        self.plan = plan
        self.slots = Slots(plan.y, plan.x, blended=plan.blended)
        self._network = network
        self._ways = ways
        self._weights = _weights(plan)

    def run(self, images: Tensor) -> Tensor:
        """Slots (n, classes · ky · kx, y, x) of images (n, channels, y, x), margins included.

        The images are whole windows; in the outer margin of the box the result means nothing.
        """
        y, x = self.plan.y, self.plan.x
        # MONAI takes int(window · (1 - overlap)) as its stride: half a pixel keeps it exact.
        overlap = [max(0.0, 1 - (a.core + 0.5) / a.window) for a in (y, x)]
        result = sliding_window_inference(
            images, roi_size=(y.window, x.window), sw_batch_size=self.plan.batch,
            predictor=self._predict, overlap=overlap, roi_weight_map=self._weights,
        )
        if not isinstance(result, Tensor):
            raise TypeError(f"MONAI returned {type(result).__name__}")
        return result

    def _predict(self, images: Tensor) -> Tensor:
        """Slots of up to a batch of windows."""
        n = len(images)
        if n < self.plan.batch:
            padding = images.new_zeros(self.plan.batch - n, *images.shape[1:])
            images = torch.cat([images, padding])
        return self.slots.fill(average(self._probabilities, images, self._ways)[:n])

    def _probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of the classes, background left out, float32."""
        logits = self._network(images)
        if not bool(torch.isfinite(logits).all()):
            bad = int((~torch.isfinite(logits)).sum())
            raise DataError(
                f"the network gave {bad} NaN or infinite values. Try precision=float32; if that "
                "does not help, train again with a lower learning rate."
            )
        return logits.float().softmax(1)[:, 1:]


def _weights(plan: Plan) -> Tensor:
    """Weight of each pixel of a window: its core alone, or a gaussian over its whole width."""
    y, x = plan.y, plan.x
    if plan.blended:
        weights: Tensor = compute_importance_map(
            (y.window, x.window), mode="gaussian", sigma_scale=0.125, device="cpu"
        )
        return weights
    weights = torch.zeros(y.window, x.window)
    weights[y.margin : y.margin + y.core, x.margin : x.margin + x.core] = 1
    return weights
