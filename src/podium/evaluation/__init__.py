"""ROOM 5: Run + Images → Predictions → numbers.

`podium.evaluation.comparison` and `podium.evaluation.grad_cam` are imported where they are used.
"""

from podium.evaluation.blend import Blend, blend
from podium.evaluation.confident import LabelIssues, find_label_issues
from podium.evaluation.metrics import (
    CalibrationBin,
    Evaluation,
    calibration_bins,
    evaluate_predictions,
    wilson_interval,
)
from podium.evaluation.predict import predict_images
from podium.evaluation.predictions import Predictions, concatenated, ensemble, pooled

__all__ = [
    "Blend",
    "CalibrationBin",
    "Evaluation",
    "LabelIssues",
    "Predictions",
    "blend",
    "calibration_bins",
    "concatenated",
    "ensemble",
    "evaluate_predictions",
    "find_label_issues",
    "pooled",
    "predict_images",
    "wilson_interval",
]
