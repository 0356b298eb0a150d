"""Sliding windows on a box whose windows lie on the global grid.

Windows that are cut at their cores are put side by side: with a margin as wide as the receptive
field they equal the whole plane, and nothing is weighed or added up. Blended ones are MONAI's: it
lays its windows relative to the array that it is given, and a box of whole windows, its corner on a
multiple of the core, makes that the global grid.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.inferers.utils import compute_importance_map
from torch import Tensor

from fibseg.inference.backends import Compiled
from fibseg.inference.finer import Slots
from fibseg.inference.plan import Plan
from fibseg.inference.symmetries import Symmetry, average
from fibseg.inference.transfer import refuse_bad
from fibseg.types import Mask


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

    Attributes
    ----------
    bad
        How many values of the network on a GPU were no numbers since this was set to None.
    """

    def __init__(self, network: Compiled, plan: Plan, ways: tuple[Symmetry, ...]) -> None:
        self.plan = plan
        self.slots = Slots(plan.y, plan.x, blended=plan.blended)
        self._network = network
        self._ways = ways
        self.bad: Tensor | None = None
        self._weights = _gaussian(plan) if plan.blended else None

    def run(self, images: Tensor, where: Mask | None = None) -> Tensor:
        """Slots (n, classes · ky · kx, y, x) of images (n, channels, y, x), margins included.

        The images are whole windows; in the outer margin of the box the result means nothing.

        Parameters
        ----------
        where
            Windows to be computed, (n, rows, columns), which are cut and not blended; elsewhere
            the result means nothing. All if left out.
        """
        if not self.plan.blended:
            return self._cut(images, where)
        y, x = self.plan.y, self.plan.x
        # MONAI takes int(window · (1 - overlap)) as its stride: half a pixel keeps it exact.
        overlap = [max(0.0, 1 - (a.core + 0.5) / a.window) for a in (y, x)]
        if self._weights is not None:
            self._weights = self._weights.to(images.device)
        result = sliding_window_inference(
            images, roi_size=(y.window, x.window), sw_batch_size=self.plan.batch,
            predictor=self._predict, overlap=overlap,
            roi_weight_map=self._weights,
        )
        if not isinstance(result, Tensor):
            raise TypeError(f"MONAI returned {type(result).__name__}")
        return result

    def _cut(self, images: Tensor, where: Mask | None) -> Tensor:
        """Slots of the cores, each where it belongs."""
        n, _, height, width = images.shape
        y, x, batch = self.plan.y, self.plan.x, self.plan.batch
        rows, columns = (height - 2 * y.margin) // y.core, (width - 2 * x.margin) // x.core
        wanted = np.ones((n, rows, columns), bool) if where is None else where
        corners = [(int(k), int(i) * y.core, int(j) * x.core) for k, i, j in np.argwhere(wanted)]
        out = torch.empty(0)
        for at in range(0, len(corners), batch):
            part = corners[at : at + batch]
            found = self._predict(torch.stack(
                [images[k, :, t : t + y.window, s : s + x.window] for k, t, s in part]
            ))
            if at == 0:
                make = found.new_empty if where is None else found.new_zeros
                out = make((n, found.shape[1], height, width))
            for (k, t, s), slots in zip(part, found, strict=True):
                t, s = t + y.margin, s + x.margin
                out[k, :, t : t + y.core, s : s + x.core] = slots
        return out

    def _predict(self, images: Tensor) -> Tensor:
        """Slots of up to a batch of windows."""
        n = len(images)
        if n < self.plan.batch:
            padding = images.new_zeros(self.plan.batch - n, *images.shape[1:])
            images = torch.cat([images, padding])
        return self.slots.fill(average(self._probabilities, images, self._ways)[:n])

    def _look_for_nan(self, logits: Tensor) -> None:
        """Refuse what is no number; on a GPU, whose answer would be waited for, count it."""
        if logits.device.type == "cuda":
            bad = (~torch.isfinite(logits)).sum()
            self.bad = bad if self.bad is None else self.bad + bad
        # One pass; a sum of numbers may overflow, and then it is looked at each.
        elif not bool(torch.isfinite(logits.sum())):
            refuse_bad(int((~torch.isfinite(logits)).sum()))

    def _probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of the classes, background left out, float32."""
        logits = self._network(images)
        self._look_for_nan(logits)
        rows, columns = self.slots.needs
        logits = logits[:, :, rows, columns].float()
        if logits.shape[1] == 2:  # the same as softmax, in half the passes
            return torch.sigmoid(logits[:, 1:] - logits[:, :1])
        return logits.softmax(1)[:, 1:]


def _gaussian(plan: Plan) -> Tensor:
    """Weight of each pixel of a window that is blended."""
    weights: Tensor = compute_importance_map(
        (plan.y.window, plan.x.window), mode="gaussian", sigma_scale=0.125, device="cpu"
    )
    return weights
