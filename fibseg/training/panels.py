"""Pictures of fixed held-out planes during training: raw, painting, probability, error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fibseg.data import HeldOutPlane, normalise
from fibseg.metrics import Overlap
from fibseg.pictures import annotation_overlay, error_map, gray, probability, tile

SIDE = 384
"""Largest height and width of a picture, working pixels."""

MOST = 3
"""Largest number of held-out planes that are drawn."""


class HeldOutPictures:
    """A few fixed parts of held-out planes, drawn with any state of the network.

    Parameters
    ----------
    planes
        What is held out, `MOST` of them.
    classes
        Value of each class.
    multiple
        Height and width are a multiple of this.
    """

    def __init__(
        self, planes: Sequence[HeldOutPlane], classes: dict[str, int], *, multiple: int
    ) -> None:
        self.classes = classes
        self.parts: list[tuple[str, NDArray[np.float32], NDArray[np.uint8]]] = []
        for plane in planes:
            ys, xs = _window(plane.annotation, multiple)
            image = normalise(plane.image[:, ys, xs], plane.normalisation)
            self.parts.append((plane.name, image, plane.annotation[ys, xs]))

    def draw(self, network: nn.Module) -> tuple[dict[str, NDArray[np.uint8]], dict[str, float]]:
        """Pictures by name, uint8 (y, x, 3), and the IoU of each class over all parts."""
        images: dict[str, NDArray[np.uint8]] = {}
        overlaps = dict.fromkeys(self.classes, Overlap())
        for name, image, annotation in self.parts:
            probs = _predict(network, image)
            raw = gray(image[len(image) // 2], low=-2.5, high=2.5)
            for channel, (label, value) in enumerate(self.classes.items(), start=1):
                mask, truth, known = probs[channel] > 0.5, annotation == value, annotation > 0
                overlaps[label] = overlaps[label].update(mask, truth, scored=known)
                images[f"{label}/{name}"] = tile([
                    raw, annotation_overlay(raw, annotation), probability(probs[channel]),
                    error_map(raw, mask, truth, scored=known),
                ])
        scores = {f"held_out/iou_{k}": v.compute()["iou"] for k, v in overlaps.items()}
        return images, scores if self.parts else {}


def _window(annotation: NDArray[np.uint8], multiple: int) -> tuple[slice, slice]:
    """Part of a plane around what is painted, of a size that the network takes."""
    cuts = []
    for axis in (0, 1):
        n = annotation.shape[axis]
        size = min(SIDE // multiple * multiple, n // multiple * multiple)
        painted = np.flatnonzero((annotation > 0).any(1 - axis))
        middle = int(painted[len(painted) // 2]) if len(painted) else n // 2
        start = min(max(0, middle - size // 2), n - size)
        cuts.append(slice(start, start + size))
    return cuts[0], cuts[1]


@torch.no_grad()
def _predict(network: nn.Module, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of each channel, shape (c, y, x)."""
    weight: Any = next(network.parameters())
    tensor = torch.from_numpy(image)[None].to(weight.device)
    was = network.training
    network.eval()
    logits = network(tensor.contiguous(memory_format=torch.channels_last))
    network.train(was)
    probs: NDArray[np.float32] = logits.float().softmax(1)[0].cpu().numpy()
    return probs
