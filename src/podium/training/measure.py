"""The look at the hold-out during a training: accuracy only, without test-time augmentation."""

from __future__ import annotations

import numpy as np
import torch

from podium.data import Images
from podium.models import Classifier
from podium.runtime import Runtime

__all__ = ["accuracy_of"]

_BATCH_PIXELS = 1000 * 32 * 32


@torch.inference_mode()
def accuracy_of(classifier: Classifier, images: Images, runtime: Runtime) -> float:
    """Part of the labelled `images` that is classified right. Several processes share them, and all get the figure."""
    classifier.eval()
    num_hits, mine = 0, runtime.world.part(len(images))
    size = max(1, _BATCH_PIXELS // (images.size[0] * images.size[1]))
    assert images.labels is not None
    for rows, pixels in images.batches(size, np.arange(mine.start, mine.stop)):
        with runtime.autocast():
            guesses = classifier(torch.from_numpy(pixels).to(runtime.device).permute(0, 3, 1, 2)).argmax(1)
        num_hits += int((guesses.cpu().numpy() == images.labels[rows]).sum())
    return int(runtime.world.sum(torch.tensor(num_hits))) / len(images)
