"""Whether an exported model answers as the one that it was made from: PyTorch in float32 is the measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from podium.delivery.export.session import OnnxSession
from podium.errors import ExportError
from podium.evaluation.tta import logits_with_tta
from podium.models import Classifier

__all__ = ["TOLERANCE", "Agreement", "check_answers", "generated_images"]

TOLERANCE = 1e-4
"""Largest difference of two logits of the same image, as part of the largest logit there is. Rounding makes about a
hundredth of it; a wrong mean, padding or order of channels a thousand times it."""

_BATCH = 32


@dataclass(frozen=True)
class Agreement:
    """How an exported model's answers lie beside PyTorch's.

    Attributes:
        num_images: that were compared.
        what: which, in words.
        logits: the largest difference of two logits, as part of the largest logit.
        probabilities: the largest difference of two probabilities.
        num_other_guesses: images for which another class comes first.
    """

    num_images: int
    what: str
    logits: float
    probabilities: float
    num_other_guesses: int


def check_answers(
    session: OnnxSession,
    classifier: Classifier,
    pixels: npt.NDArray[np.uint8],
    what: str,
    tta: str = "none",
    temperature: float = 1.0,
) -> Agreement:
    """Compares the answers for some images; the first one also alone, as any number of images must do.

    Args:
        session: of the exported model.
        classifier: that it was made from, on the processor.
        pixels: uint8 (N, H, W, 3), at least one.
        what: which images these are, in words.
        tta: that the exported model has inside.
        temperature: likewise.

    Raises:
        ExportError: they differ by more than rounding.
    """
    theirs = [session(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)]
    probabilities = np.concatenate([one for one, _ in theirs])
    logits = np.concatenate([one for _, one in theirs])
    with torch.inference_mode():
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        ours = torch.cat([logits_with_tta(classifier.eval(), some, tta) for some in parts])
    expected, shares = ours.numpy(), (ours / temperature).softmax(1).numpy()
    scale = _largest(expected) or 1.0
    alone = session(pixels[:1])[1]
    found = Agreement(
        num_images=len(pixels),
        what=what,
        logits=max(_largest(logits - expected), _largest(alone - expected[:1])) / scale,
        probabilities=_largest(probabilities - shares),
        num_other_guesses=int((logits.argmax(1) != expected.argmax(1)).sum()),
    )
    own = (torch.from_numpy(logits) / temperature).softmax(1).numpy()
    if not found.logits <= TOLERANCE or not _largest(probabilities - own) <= TOLERANCE:  # so that NaN is none
        raise ExportError(
            f"The exported model doesn't answer as PyTorch does: its logits differ by {found.logits:.1e} of the "
            f"largest ({len(pixels)} {what}; {TOLERANCE:.0e} is allowed).\nNothing was written. Please report it, with "
            "the versions that `podium doctor` tells."
        )
    return found


def generated_images(num_images: int, size: tuple[int, int], seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8 (N, H, W, 3): coarse coloured patches under noise, with the black and the white one among them."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.integers(0, 256, (num_images, (height + 3) // 4, (width + 3) // 4, 3))
    fine = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width] + rng.integers(-40, 41, (num_images, height, width, 3))
    images = fine.clip(0, 255).astype(np.uint8)
    images[:1], images[1:2] = 0, 255
    return images


def _largest(values: npt.NDArray[np.float32]) -> float:
    return float(np.abs(values).max())
