"""ROOM 5: Run + Images → Predictions → numbers."""

from podium.evaluation.metrics import Evaluation, evaluate_predictions, wilson_interval
from podium.evaluation.predict import predict_images
from podium.evaluation.predictions import Predictions, concatenated, ensemble

__all__ = [
    "Evaluation",
    "Predictions",
    "concatenated",
    "ensemble",
    "evaluate_predictions",
    "predict_images",
    "wilson_interval",
]
