"""Small bright particles, such as vesicles and granules, told from uneven ground by their size."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.errors import UsageError
from fibseg.geometry import halo_voxels, reach
from fibseg.postprocess.morphology import row_widths, spread
from fibseg.types import Probs, Spacing

RATIO = 1.6
"""Of the two Gaussians of a difference: Marr and Hildreth, Proc. R. Soc. B 207 (1980) 187."""
TRUNCATE = 4.0
"""Gaussians end after so many standard deviations."""
METHODS = ("laplacian", "difference")


@reach(lambda diameter_nm: diameter_nm)
def preserve_bright_particles(
    image: NDArray[Any], *, diameter_nm: float, spacing: Spacing
) -> NDArray[Any]:
    """How far bright things stand out that a ball of `diameter_nm` does not fit into.

    This is the white top-hat: the image minus its opening by a ball, which takes away whatever is
    narrower than the ball and leaves the ground and all larger things [1]_.

    Parameters
    ----------
    image
        Unsigned integers or floats, shape (z, y, x); the result is of the same type.
    diameter_nm
        Of the ball; particles must be smaller.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the diameter is negative.

    References
    ----------
    .. [1] Soille, Morphological image analysis, 2nd edition, Springer 2003, section 4.5.

    >>> preserve_bright_particles(np.array([[[9, 9, 30, 9, 60, 60, 60]]]), diameter_nm=20,
    ...                           spacing=(10, 10, 10))
    array([[[ 0,  0, 21,  0,  0,  0,  0]]])
    """
    if diameter_nm < 0:
        raise UsageError(f"diameter_nm={diameter_nm:g} is negative. Give 0 or more.")
    widths = row_widths(diameter_nm / 2, tuple(float(s) for s in spacing))
    return np.asarray(image - spread(spread(image, widths, np.minimum), widths, np.maximum))


@reach(lambda diameter_nm: TRUNCATE * math.sqrt(RATIO) * _sigma_nm(diameter_nm))
def enhance_particles(
    image: NDArray[Any],
    *,
    diameter_nm: float,
    method: Literal["laplacian", "difference"] = "laplacian",
    spacing: Spacing,
) -> Probs:
    """How much each place looks like a bright ball of that diameter (float32, 0 or more).

    A ball of exactly that diameter on dark ground gives its contrast in its middle, 1 for the
    whole range; smaller and larger ones give less, even ground gives 0. In 3D the Laplacian of a
    Gaussian answers most to a ball of radius √3 σ [1]_.

    Parameters
    ----------
    image
        Unsigned integers, whose whole range stands for 0 to 1, or floats; shape (z, y, x).
    diameter_nm
        Of the particles.
    method
        ``"laplacian"`` of a Gaussian, or ``"difference"`` of two Gaussians, which is broader.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the diameter is not above 0, or the method is unknown.

    References
    ----------
    .. [1] Lindeberg, Feature detection with automatic scale selection, IJCV 30 (1998) 79–116.
    """
    if method not in METHODS:
        raise UsageError(f"method={method} is unknown. Use one of {', '.join(METHODS)}.")
    if not diameter_nm > 0:
        raise UsageError(f"diameter_nm={diameter_nm:g} is no diameter. Give more than 0.")
    whole = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1
    values = image.astype(np.float32) / np.float32(whole)
    if values.size == 0:
        return values
    answer = _laplacian if method == "laplacian" else _difference
    found = answer(values, _sigma_nm(diameter_nm), spacing)
    return np.maximum(found, np.float32(0), out=found)


def _laplacian(values: Probs, sigma_nm: float, spacing: Spacing) -> Probs:
    """``-σ² ∇² (G ∗ image)``, over what a ball of contrast 1 gives in its middle."""
    smooth, bent = [], []
    for size_nm in spacing:
        smooth.append(_gaussian(sigma_nm / size_nm))
        bent.append(_second_derivative(sigma_nm / size_nm) * (sigma_nm / size_nm) ** 2)
    total = np.zeros_like(values)
    for curved in range(3):
        total -= _separable(values, [bent[a] if a == curved else smooth[a] for a in range(3)])
    return total / np.float32(4 * math.pi * 3**1.5 * (2 * math.pi) ** -1.5 * math.exp(-1.5))


def _difference(values: Probs, sigma_nm: float, spacing: Spacing) -> Probs:
    """``G₁ ∗ image - G₂ ∗ image``, over what a ball of contrast 1 gives in its middle."""
    narrow, wide = sigma_nm / math.sqrt(RATIO), sigma_nm * math.sqrt(RATIO)
    parts = [
        _separable(values, [_gaussian(sigma / s) for s in spacing]) for sigma in (narrow, wide)
    ]
    inside = [_inside_ball(math.sqrt(3) * sigma_nm / sigma) for sigma in (narrow, wide)]
    return (parts[0] - parts[1]) / np.float32(inside[0] - inside[1])


def _sigma_nm(diameter_nm: float) -> float:
    return diameter_nm / 2 / math.sqrt(3)


def _inside_ball(radius: float) -> float:
    """Share of a 3D Gaussian that lies within so many standard deviations of its middle."""
    tail = math.sqrt(2 / math.pi) * radius * math.exp(-(radius**2) / 2)
    return math.erf(radius / math.sqrt(2)) - tail


def _separable(values: Probs, kernels: list[NDArray[np.float64]]) -> Probs:
    """`values` under one kernel per axis; what lies beyond the faces goes on as at them."""
    for axis, kernel in enumerate(kernels):
        values = ndimage.correlate1d(values, kernel, axis=axis, mode="nearest")
    return values


def _places(sigma: float) -> NDArray[np.float64]:
    (half, _, _) = halo_voxels(TRUNCATE * sigma, (1.0, 1.0, 1.0))
    return np.arange(-half, half + 1.0)


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """Gaussian of `sigma` voxels, sum 1."""
    kernel = np.exp(-0.5 * (_places(sigma) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum())


def _second_derivative(sigma: float) -> NDArray[np.float64]:
    """Second derivative of a Gaussian: 0 on any slope, and on x²/2 exactly 1.

    Sampled alone it would answer to even ground where the voxels are coarse.
    """
    x = _places(sigma)
    gaussian = np.exp(-0.5 * (x / sigma) ** 2)
    kernel = (x**2 / sigma**2 - 1) * gaussian
    kernel -= gaussian * (kernel.sum() / gaussian.sum())
    return np.asarray(kernel / (kernel * x**2 / 2).sum())
