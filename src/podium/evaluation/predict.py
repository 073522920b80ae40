"""Classifier + Images → Predictions, in batches, so that memory doesn't grow with the images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from podium.data import Images
from podium.errors import RunError
from podium.evaluation.predictions import Predictions
from podium.evaluation.tta import logits_with_tta
from podium.models import Classifier
from podium.runtime import Runtime

__all__ = ["predict_images"]

_BATCH_PIXELS = 1000 * 32 * 32


@torch.inference_mode()
def predict_images(
    classifier: Classifier,
    images: Images,
    runtime: Runtime,
    *,
    tta: str = "none",
    on_progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Logits for every image.

    Args:
        classifier: in evaluation mode, on the runtime's device.
        images: of the size that the classifier takes.
        runtime: device and precision.
        tta: test-time augmentation, as a recipe names it.
        on_progress: called with (images done, images in all) after each batch.

    Raises:
        RunError: the images are of another size.
    """
    expected = classifier.preprocessing.image_size
    if images.size != expected:
        raise RunError(
            f"These images are {images.size[0]}×{images.size[1]} pixels; the run was trained on "
            f"{expected[0]}×{expected[1]}.\nGive --image-size {expected[0]} to have them resized."
        )
    classifier.eval()
    size = max(1, _BATCH_PIXELS // (expected[0] * expected[1]))
    logits = np.empty((len(images), len(classifier.preprocessing.classes)), np.float32)
    for start in range(0, len(images), size):
        batch = torch.from_numpy(np.array(images.pixels[start : start + size])).to(runtime.device)  # (N, H, W, 3)
        with runtime.autocast():
            some = logits_with_tta(classifier, batch.permute(0, 3, 1, 2), tta)
        logits[start : start + len(batch)] = some.float().cpu().numpy()
        if on_progress is not None:
            on_progress(start + len(batch), len(images))
    return Predictions(images.ids, classifier.preprocessing.classes, logits, images.labels)
