"""Progress: what a training says of itself after each step."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a training is. Sent after each step.

    Attributes:
        step, num_steps: done and in all.
        epoch: from 1, of the step just done.
        ends_epoch: whether that was its last step.
        num_epochs: in all; may be a fraction.
        loss, accuracy: means over an epoch's images so far, as they were trained on; on a GPU, and of several
            processes, as last read: at the end of each epoch and about once a second.
        hold_out_accuracy: without test-time augmentation, where the step ended with a look at it; of the averaged
            weights, if there are such.
        images_per_second: median of the last steps, without evaluation.
        train_seconds: spent on steps, over all sittings.
        seconds_left: of training, at that speed.
    """

    step: int
    num_steps: int
    epoch: int
    ends_epoch: bool
    num_epochs: float
    loss: float
    accuracy: float
    hold_out_accuracy: float | None
    images_per_second: float
    train_seconds: float
    seconds_left: float
