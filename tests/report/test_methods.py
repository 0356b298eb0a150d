from __future__ import annotations

from fibseg.report.methods import ModelFacts, ObjectFacts, methods_text, spacing_text

VOLUME = {"shape": (730, 2000, 1800), "dtype": "uint8", "version": "0.1.0",
          "spacing": (20.0, 20.0, 20.0)}


def test_full_story() -> None:
    model = ModelFacts(
        "mito", network={"name": "unet", "features": [16, 32], "context": 1}, n_planes=73,
        n_volumes=2, n_steps=5400, spacing=(20.0, 20.0, 20.0),
    )
    steps = {"threshold": {"_target_": "fibseg.postprocess.threshold", "level": 0.5},
             "closing": {"radius_nm": 40.0}, "components": {}, "other": 3}
    text = methods_text(
        objects=[ObjectFacts("mitochondria", n_objects=1133, model=model, postprocess=steps)],
        scores=[("Mitochondria", "labels/truth", {"iou": 0.912, "dice": None})], **VOLUME,
    )
    assert text[0].startswith("The image stack of 730 × 2000 × 1800 voxels")
    assert "2D U-Net (features 16, 32) that sees 1 neighbouring plane on" in text[1]
    assert "sparse painting of 73 planes of 2 volumes for 5,400 steps" in text[1]
    assert "threshold (level 0.5); closing (radius nm 40); components; other" in text[1]
    assert "_target_" not in text[1]
    assert "1,133 objects (mitochondria)" in text[1]
    assert text[2] == "Mitochondria agreed with labels/truth (IoU 0.912)."


def test_what_is_not_recorded_is_not_claimed() -> None:
    text = methods_text(objects=[ObjectFacts("nucleus")], scores=[("N", "t", {"iou": None})],
                        **VOLUME)
    assert len(text) == 1
    (_, one) = methods_text(objects=[ObjectFacts("x", model=ModelFacts("m"))], scores=[], **VOLUME)
    assert one == "The class x was segmented with a 2D U-Net."
    (_, one) = methods_text(objects=[ObjectFacts("er_sheet", n_objects=1)], scores=[], **VOLUME)
    assert "1 object (er sheet)" in one


def test_spacing_in_words() -> None:
    assert spacing_text((50.0, 8.25, 8.25)) == "50 × 8.25 × 8.25 nm"
