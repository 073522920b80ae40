"""The public functions: each carries one step of the way from raw files to a submission."""

from podium.api.common import open, open_for
from podium.api.results import evaluate, predict, predict_files, submit
from podium.api.training import differences, resume, runtime_of, train

__all__ = [
    "differences",
    "evaluate",
    "open",
    "open_for",
    "predict",
    "predict_files",
    "resume",
    "runtime_of",
    "submit",
    "train",
]
