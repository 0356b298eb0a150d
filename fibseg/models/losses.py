"""Losses on sparse annotation: only labelled pixels count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Total = Callable[[Tensor], Tensor]
"""Sums over this process to sums over all of them, with the gradient of the own part."""

LABELLED = 0.5
"""A pixel counts if at least this much of it is labelled (targets are soft after warping)."""


def masked_dice_ce(
    logits: Tensor, target: Tensor, *, dice_weight: float = 1.0,
    class_weights: Sequence[float] | None = None, total: Total | None = None,
) -> Tensor:
    """Cross-entropy plus soft Dice over labelled pixels, a scalar; 0 with gradient 0 if none is.

    Dice is taken over the batch as a whole and over the classes without background
    (Milletari 2016, arXiv:1606.04797), with 1 added above and below so that an absent class
    costs nothing when it is not predicted.

    Parameters
    ----------
    logits
        Shape (b, 1 + n_classes, y, x).
    target
        Share of each class in each pixel, same shape; all zeros where a pixel is unlabelled.
    dice_weight
        Weight of the Dice term.
    class_weights
        Weight of each channel in the cross-entropy; 1 for each if None.
    total
        Adds up what several processes have, numerators and denominators before any is divided:
        the mean of each one's loss would count a pixel the more, the fewer its process has.
    """
    share = target.sum(1, keepdim=True)
    mask = (share > LABELLED).to(logits.dtype)
    wanted = target / share.clamp_min(1e-3) * mask
    log_probs = functional.log_softmax(logits, 1)
    weighted = wanted
    if class_weights is not None:
        weighted = wanted * logits.new_tensor(list(class_weights)).view(1, -1, 1, 1)
    probs = log_probs.exp() * mask
    axes = (0, 2, 3)
    sums = torch.cat([
        torch.stack([-(weighted * log_probs).sum(), weighted.sum()]),
        (probs * wanted).sum(axes), probs.sum(axes) + wanted.sum(axes),
    ])
    sums, n = _whole(sums, total), logits.shape[1]
    both, either = sums[2 : 2 + n], sums[2 + n :]
    cross_entropy = sums[0] / sums[1].clamp_min(1.0)
    dice = 1 - (2 * both + 1) / (either + 1)
    return cross_entropy + dice_weight * dice[1:].mean()


def consistency(
    logits: Tensor, teacher: Tensor, usable: Tensor, *, confidence: float,
    total: Total | None = None,
) -> Tensor:
    """Cross-entropy to a teacher's probabilities where it is sure, a scalar (mean teacher).

    After Tarvainen 2017 (arXiv:1703.01780); the weight of a pixel rises from 0 at `confidence`
    to 1 at a probability of 1.

    Parameters
    ----------
    logits, teacher
        Shape (b, c, y, x); logits of the student, probabilities of the teacher.
    usable
        Boolean, shape (b, 1, y, x): inside the volume and unlabelled.
    confidence
        Probability of the likeliest class below which a pixel does not count.
    total
        As of `masked_dice_ce`.
    """
    sure = ((teacher.amax(1, keepdim=True) - confidence) / (1 - confidence)).clamp(0, 1)
    weight = sure * usable
    entropy = -(teacher * functional.log_softmax(logits, 1)).sum(1, keepdim=True)
    part = torch.stack([(entropy * weight).sum(), usable.sum().to(entropy.dtype)])
    whole = _whole(part, total)
    return whole[0] / (whole[1] + 1)


def _whole(part: Tensor, total: Total | None) -> Tensor:
    """Sums over all processes."""
    return part if total is None else total(part)
