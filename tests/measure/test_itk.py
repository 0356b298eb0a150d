"""The same numbers as SimpleITK's label statistics, on real geometry and on made-up objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import label_volumes, spacings

from fibseg.measure import regions, shape
from fibseg.measure.axes import covariances

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")


def itk_image(array, spacing):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in reversed(spacing)])
    return image


def itk_shapes(labels, spacing):
    """ITK's own table, columns named and ordered (z, y, x) as here, lengths in µm."""
    stats = sitk.LabelShapeStatisticsImageFilter()
    stats.Execute(itk_image(labels, spacing))
    table = {"label": np.array(sorted(stats.GetLabels()))}
    boxes = np.array([stats.GetBoundingBox(int(i)) for i in table["label"]]).reshape(-1, 6)
    table["n_voxels"] = np.array([stats.GetNumberOfPixels(int(i)) for i in table["label"]])
    for axis, name in enumerate("zyx"):
        table[f"bbox_{name}_start"] = boxes[:, 2 - axis]
        table[f"bbox_{name}_stop"] = boxes[:, 2 - axis] + boxes[:, 5 - axis]
        table[f"centroid_{name}_um"] = np.array(
            [stats.GetCentroid(int(i))[2 - axis] * 1e-3 for i in table["label"]]
        )
    table["volume_um3"] = np.array([stats.GetPhysicalSize(int(i)) * 1e-9 for i in table["label"]])
    table["touches_border"] = np.array(
        [stats.GetNumberOfPixelsOnBorder(int(i)) > 0 for i in table["label"]]
    )
    table["moments_um2"] = np.array(
        [stats.GetPrincipalMoments(int(i)) for i in table["label"]]
    ).reshape(-1, 3) * 1e-6
    for name, of in (("elongation", stats.GetElongation), ("flatness", stats.GetFlatness)):
        table[name] = np.array([of(int(i)) for i in table["label"]])
    return table


def assert_same(labels, table, other, spacing):
    for name, values in other.items():
        if values.dtype.kind in "iub":
            np.testing.assert_array_equal(table[name], values, err_msg=name)
        elif name not in ("moments_um2", "elongation", "flatness"):
            np.testing.assert_allclose(table[name], values, rtol=1e-6, atol=1e-9, err_msg=name)
    # ITK takes voxels for points.
    sums = regions.partial(labels, start=(0, 0, 0))
    points = covariances(sums, spacing=spacing) - np.diag(np.square(spacing) / 12)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(points) * 1e-6, other["moments_um2"], rtol=1e-6, atol=1e-9
    )


def test_on_a_whole_real_cell(real_data):
    labels = real_data("hela_cell_labels.npz")["label"]
    spacing = (50.0, 40.0, 40.0)
    table = shape.measure(labels, keep_border=True, spacing=spacing)
    assert table["label"].tolist() == [1, 2, 3, 4, 5]
    other = itk_shapes(labels, spacing)
    assert_same(labels, table, other, spacing)
    np.testing.assert_allclose(table["elongation"], other["elongation"], rtol=1e-3)
    np.testing.assert_allclose(table["flatness"], other["flatness"], rtol=1e-3)


def test_brightness_on_a_whole_real_cell(real_data):
    labels = real_data("hela_cell_labels.npz")["label"][:100]
    image = np.random.default_rng(0).integers(0, 65536, labels.shape, np.uint16)
    table = shape.measure(labels, image, spacing=(50.0, 40.0, 40.0))
    stats = sitk.LabelStatisticsImageFilter()
    stats.Execute(sitk.GetImageFromArray(image), sitk.GetImageFromArray(labels))
    for row, label in enumerate(table["label"].tolist()):
        assert table["n_voxels"][row] == stats.GetCount(label)
        assert table["intensity_min"][row] == stats.GetMinimum(label)
        assert table["intensity_max"][row] == stats.GetMaximum(label)
        assert table["intensity_mean"][row] == pytest.approx(stats.GetMean(label), rel=1e-12)
        n = stats.GetCount(label)  # ITK's is that of a sample
        of_sample = table["intensity_sd"][row] * np.sqrt(n / (n - 1))
        assert of_sample == pytest.approx(stats.GetSigma(label), rel=1e-6)


@settings(deadline=None, max_examples=30)
@given(label_volumes(high=9), spacings())
def test_on_any_objects(labels, spacing):
    table = shape.measure(labels, keep_border=True, spacing=spacing)
    assert_same(labels, table, itk_shapes(labels, spacing), spacing)
