from __future__ import annotations

from fibseg.report.methods import (
    ClassifierFacts,
    ModelFacts,
    ObjectFacts,
    methods_text,
    spacing_text,
)

VOLUME = {"shape": (730, 2000, 1800), "dtype": "uint8", "version": "0.1.0",
          "spacing": (20.0, 20.0, 20.0)}


def test_full_story() -> None:
    model = ModelFacts(
        "mito", network={"name": "unet", "features": [16, 32], "context": 1}, n_planes=73,
        n_volumes=2, n_steps=5400, spacing=(20.0, 20.0, 20.0),
    )
    steps = {"threshold": {"_target_": "fibseg.postprocess.threshold", "level": 0.5},
             "closing": {"radius_nm": 40.0, "shape": None}, "components": {}, "other": 3}
    text = methods_text(
        objects=[ObjectFacts("mitochondria", n_objects=1133, model=model, postprocess=steps)],
        scores=[("Mitochondria", "labels/truth", {"iou": 0.912, "dice": None})], **VOLUME,
    )
    assert text[0].startswith("The image stack of 730 × 2000 × 1800 voxels")
    assert "2D U-Net (features 16, 32) that sees 1 neighbouring plane on" in text[1]
    assert "sparse painting of 73 planes of 2 volumes for 5,400 steps" in text[1]
    assert "threshold (level 0.5); closing (radius nm 40); components; other" in text[1]
    assert "_target_" not in text[1]
    assert text[1].endswith("other. This gave 1,133 objects (mitochondria).")
    assert text[2] == "Mitochondria agreed with labels/truth (IoU 0.912)."


def test_what_is_not_recorded_is_not_claimed() -> None:
    text = methods_text(objects=[ObjectFacts("nucleus")], scores=[("N", "t", {"iou": None})],
                        **VOLUME)
    assert len(text) == 1
    (_, one) = methods_text(objects=[ObjectFacts("x", model=ModelFacts("m"))], scores=[], **VOLUME)
    assert one == "The class x was segmented with a 2D U-Net."
    (_, one) = methods_text(objects=[ObjectFacts("er_sheet", n_objects=1)], scores=[], **VOLUME)
    assert one == "There was 1 object (er sheet)."
    (_, one) = methods_text(objects=[ObjectFacts("er", n_objects=2)], scores=[], **VOLUME)
    assert one == "There were 2 objects (er).", "nobody segmented them here"


def test_settings_that_do_nothing_are_not_told() -> None:
    steps = {
        "threshold": {"_target_": "fibseg.postprocess.threshold", "level": 0.5},
        "opening": {"_target_": "fibseg.postprocess.opening", "radius_nm": 0.0},
        "smooth": {"sigma_nm": 0}, "hole": None,
        "remove_small": {"min_volume_um3": 0.01, "min_voxels": None},
        "filter_objects": {"table": None, "column": None, "minimum": None, "keep_missing": False},
        "by_shape": {"_target_": "fibseg.postprocess.filter_objects", "column": None},
    }
    (_, one) = methods_text(
        objects=[ObjectFacts("er", n_objects=2, postprocess=steps)], scores=[], **VOLUME
    )
    assert one == (
        "Probabilities were turned into objects by threshold (level 0.5); remove small "
        "(min volume um3 0.01). This gave 2 objects (er)."
    )
    kept = {"filter_objects": {"column": "sphericity", "minimum": 0.5, "maximum": None}}
    (_, one) = methods_text(objects=[ObjectFacts("er", postprocess=kept)], scores=[], **VOLUME)
    assert "filter objects (column sphericity, minimum 0.5)" in one


def test_a_classifier_is_told_from_a_network() -> None:
    facts = ClassifierFacts(
        n_painted=1200, n_trees=32, seed=5, precision_nm=40.0,
        sigmas_nm={"volume": (20.0, 40.0), "border": (10.0,)},
    )
    steps = {"smooth": None, "threshold": {"level": 0.5}}
    (_, one) = methods_text(
        objects=[ObjectFacts("cell", model=facts, postprocess=steps)], scores=[], **VOLUME
    )
    assert "forests of 32 extremely randomised trees, trained on 1,200 painted voxels" in one
    assert "voxels (seed 5); features were mean, gradient, " in one
    assert "under 3D Gaussians of 20 and 40 nm on voxels of at most 40 nm" in one
    assert "near borders of 10 nm on the next finer pyramid level." in one
    assert "objects by threshold (level 0.5)." in one, "a step left out is not told"
    (_, one) = methods_text(
        objects=[ObjectFacts("cell", model=ClassifierFacts())], scores=[], **VOLUME
    )
    assert one == "The class cell was told apart voxel by voxel with forests of random trees."


def test_spacing_in_words() -> None:
    assert spacing_text((50.0, 8.25, 8.25)) == "50 × 8.25 × 8.25 nm"
