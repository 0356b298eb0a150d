from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError
from fibseg.metrics import IGNORED, Scores, painted_objects, plane_components, score_planes

SPACING = (40.0, 10.0, 10.0)


def painted() -> np.ndarray:
    """Two painted planes of five: three whole objects, one cut by unpainted ground."""
    annotation = np.zeros((5, 30, 40), np.uint8)
    for z in (1, 3):
        annotation[z, :, :30] = 1
        annotation[z, 4:10, 4:10] = 2
        annotation[z, 15:22, 12:20] = 2
        annotation[z, 5:11, 24:30] = 2  # runs into what is not painted
    return annotation


def test_truth_itself_is_perfect() -> None:
    annotation = painted()
    got = score_planes(annotation == 2, annotation, value=2, spacing=SPACING).compute()
    for name in ("iou", "dice", "boundary_f1", "object_f1_50", "object_f1_75", "panoptic_quality"):
        assert got[name] == 1.0, name
    assert got["n_true_objects"] == got["n_objects"] == 4
    assert got["n_scored"] == 2 * 30 * 30
    assert got["voi_split"] == got["voi_merge"] == got["adapted_rand_error"] == 0


def test_what_is_predicted_on_unpainted_ground_does_not_matter() -> None:
    annotation = painted()
    prediction = annotation == 2
    want = score_planes(prediction, annotation, value=2, spacing=SPACING)
    noisy = prediction | ((annotation == 0) & (np.arange(40) > 33))
    noisy[0] = True
    assert score_planes(noisy, annotation, value=2, spacing=SPACING) == want


def test_planes_add_up() -> None:
    annotation = painted()
    prediction = ndimage.shift(annotation == 2, (0, 1, 2), order=0)
    whole = score_planes(prediction, annotation, value=2, spacing=SPACING)
    parts = Scores()
    for z in range(5):
        parts = parts + score_planes(
            prediction[z : z + 1], annotation[z : z + 1], value=2, spacing=SPACING
        )
    assert parts.overlap == whole.overlap
    assert parts.boundary == whole.boundary
    assert parts.compute() == pytest.approx(whole.compute(), nan_ok=True)


def test_objects_are_those_of_the_plane_even_if_labels_join_them() -> None:
    annotation = painted()
    joined = (annotation == 2).astype(np.uint32) * 7  # one 3D object
    got = score_planes(joined, annotation, value=2, spacing=SPACING).compute()
    assert got["object_f1_75"] == 1.0


def test_lost_and_invented_objects_are_counted() -> None:
    annotation = painted()
    prediction = annotation == 2
    prediction[1, 4:10, 4:10] = False
    prediction[3, 25:28, 2:6] = True
    got = score_planes(prediction, annotation, value=2, spacing=SPACING).compute()
    assert got["object_recall_50"] == 0.75
    assert got["object_precision_50"] == 0.75


def test_components_agree_with_scipy_and_cut_ones_are_unknown() -> None:
    plane = painted()[1]
    want, n = ndimage.label(plane == 2, np.ones((3, 3)))
    assert plane_components(plane == 2).max() == n == 3
    truth = painted_objects(plane == 2, scored=plane > 0)
    assert set(np.unique(truth[truth != IGNORED])) == set(np.unique(want[:, :23]))
    assert (truth[5:11, 24:30] == IGNORED).all()
    assert (truth[:, 30:] == IGNORED).all()


def test_an_object_at_the_rim_of_the_plane_is_whole() -> None:
    plane = np.ones((10, 10), np.uint8)
    plane[:3, :3] = 2
    assert painted_objects(plane == 2, scored=plane > 0)[0, 0] != IGNORED


def test_touching_objects_stay_apart_where_they_are_numbered() -> None:
    objects = np.zeros((1, 20, 20), np.uint32)
    objects[0, 3:9, 3:9], objects[0, 3:9, 9:15] = 5, 6
    dense = np.where(objects > 0, 2, 1)
    kind = {"value": 2, "spacing": SPACING}
    assert score_planes(objects, dense, objects=objects, **kind).objects.n_matched_75 == 2
    assert score_planes(objects > 0, dense, objects=objects, **kind).objects.n_matched_75 == 0
    assert score_planes(objects > 0, dense, **kind).objects.n_truth == 1


def test_other_shape_is_refused() -> None:
    with pytest.raises(DataError, match="shapes differ"):
        score_planes(painted()[:2] == 2, painted(), value=2, spacing=SPACING)
