"""What a forest knows of a voxel: intensity, edges and texture at several sizes, in 3D, in nm.

The usual features of trainable pixel classifiers: C. Sommer et al., ilastik, IEEE ISBI (2011) 230;
I. Arganda-Carreras et al., Trainable Weka Segmentation, Bioinformatics 33 (2017) 2424.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.errors import UsageError
from fibseg.geometry import halo_voxels
from fibseg.types import Spacing

FEATURES = ("mean", "gradient", "laplacian", "deviation")
"""What is computed with each Gaussian, in this order."""

TRUNCATE = 3.0
"""A Gaussian ends after so many standard deviations."""

Floats = NDArray[np.float32]


def pixel_features(image: Floats, *, sigmas_nm: Sequence[float], spacing: Spacing) -> Floats:
    """Features of every voxel, float32, shape (features, z, y, x), finest Gaussian first.

    For each Gaussian: the mean under it; length of the gradient and Laplacian of that mean, times
    sigma and its square, so that they are in units of the image; the standard deviation under it.
    Beyond the faces of `image` its outermost voxels count on.

    Parameters
    ----------
    image
        Normalised intensities, shape (z, y, x).
    sigmas_nm
        Standard deviations of the Gaussians, nm.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If a sigma is not above 0.

    >>> image = np.zeros((1, 1, 3), np.float32)
    >>> pixel_features(image, sigmas_nm=(20.0, 40.0), spacing=(20.0, 20.0, 20.0)).shape
    (8, 1, 1, 3)
    """
    if not sigmas_nm or min(sigmas_nm) <= 0:
        raise UsageError(f"sigmas_nm={list(sigmas_nm)} are no sizes. Give e.g. [20, 40, 80].")
    out = np.empty((len(FEATURES) * len(sigmas_nm), *image.shape), np.float32)
    if image.size:
        found = (f for sigma in sigmas_nm for f in _of_one_size(image, sigma, spacing))
        for row, feature in zip(out, found, strict=True):
            row[...] = feature
    return out


def feature_halo(sigmas_nm: Sequence[float], spacing: Spacing) -> tuple[int, int, int]:
    """Voxels (z, y, x) beside a voxel that its features depend on.

    >>> feature_halo((10.0, 20.0), (30.0, 10.0, 10.0))
    (3, 7, 7)
    """
    # One more than the Gaussian itself: derivatives are differences of neighbours.
    z, y, x = halo_voxels(TRUNCATE * max(sigmas_nm), spacing)
    return z + 1, y + 1, x + 1


def _of_one_size(image: Floats, sigma_nm: float, spacing: Spacing) -> Iterator[Floats]:
    """The features of one Gaussian, one after the other."""
    mean = _under_gaussian(image, sigma_nm, spacing)
    yield mean
    steep = np.zeros_like(mean)
    for axis, step in enumerate(spacing):
        steep += np.square(_along(mean, (-0.5, 0.0, 0.5), axis) * np.float32(sigma_nm / step))
    yield np.sqrt(steep, out=steep)
    bend = np.zeros_like(mean)
    for axis, step in enumerate(spacing):
        bend += _along(mean, (1.0, -2.0, 1.0), axis) * np.float32((sigma_nm / step) ** 2)
    yield bend
    spread = _under_gaussian(np.square(image), sigma_nm, spacing) - np.square(mean)
    yield np.sqrt(np.maximum(spread, 0, out=spread), out=spread)


def _under_gaussian(image: Floats, sigma_nm: float, spacing: Spacing) -> Floats:
    """Mean under a Gaussian that ends, however far the array goes on."""
    return np.asarray(ndimage.gaussian_filter(
        image, [sigma_nm / s for s in spacing], mode="nearest",
        radius=halo_voxels(TRUNCATE * sigma_nm, spacing),
    ))


def _along(image: Floats, weights: tuple[float, float, float], axis: int) -> Floats:
    """Weighted sum of each voxel and its two neighbours along `axis`."""
    return np.asarray(ndimage.correlate1d(image, weights, axis=axis, mode="nearest"))
