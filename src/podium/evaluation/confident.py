"""Confident learning: which labels are likely wrong, by what a classifier says of images that it wasn't trained on.

Source: arXiv 1911.00068: thresholds and confident joint of section 3.1, and the images off the joint's diagonal as
those to look at (section 3.2, method 2), the widest margin first.

Shapes: N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LabelIssues", "find_label_issues"]


@dataclass(frozen=True)
class LabelIssues:
    """Labels that are likely wrong.

    Attributes:
        num_images: N, all that were looked at.
        thresholds: float64 (K,): what a class's probability must reach to be believed: its mean over the images that
            bear its label; infinite for a class without images.
        joint: int64 (K, K): how many images with a row's label are believed to be of a column's class.
        rows: int64 (M,): the images believed to be of another class than their label's, the widest margin first.
        likely: int64 (M,): the class that each is believed to be of.
        margins: float64 (M,): that class's probability less the label's.
    """

    num_images: int
    thresholds: npt.NDArray[np.float64]
    joint: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    likely: npt.NDArray[np.int64]
    margins: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def find_label_issues(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> LabelIssues:
    """Looks for labels that a classifier contradicts with more than its usual confidence.

    Args:
        probabilities: (N, K), of a classifier that wasn't trained on these images.
        labels: (N,), as given, some of them perhaps wrong.
    """
    num_images, num_classes = probabilities.shape
    given = probabilities[np.arange(num_images), labels].astype(np.float64)
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=given, minlength=num_classes)
    thresholds = np.full(num_classes, np.inf)
    np.divide(sums, counts, out=thresholds, where=counts > 0)
    believed = np.where(probabilities >= thresholds, probabilities, -1.0)  # (N, K)
    likely = believed.argmax(1)
    is_believed = believed.max(1) >= 0  # in some class; the others say nothing
    joint = np.bincount(labels[is_believed] * num_classes + likely[is_believed], minlength=num_classes**2)
    margins = probabilities[np.arange(num_images), likely].astype(np.float64) - given
    rows = np.flatnonzero(is_believed & (likely != labels))
    rows = rows[np.argsort(-margins[rows], kind="stable")]
    return LabelIssues(
        num_images, thresholds, joint.reshape(num_classes, num_classes), rows, likely[rows], margins[rows]
    )
