"""The public functions: each carries one step of the way from raw files to a submission."""

from podium.api.common import classifier_of, open, open_for
from podium.api.compared import Comparison
from podium.api.comparison import compare
from podium.api.download import download
from podium.api.gluon import export_gluon, import_gluon
from podium.api.jobs import open_run
from podium.api.kaggle import KaggleSubmission, sign_in
from podium.api.onnx import OnnxExport, export_onnx
from podium.api.reporting import report
from podium.api.results import evaluate, predict, predict_files, submit
from podium.api.training import check_resumable, differences, resume, runtime_of, train
from podium.checkup import Checkup, doctor

__all__ = [
    "Checkup",
    "Comparison",
    "KaggleSubmission",
    "OnnxExport",
    "check_resumable",
    "classifier_of",
    "compare",
    "differences",
    "doctor",
    "download",
    "evaluate",
    "export_gluon",
    "export_onnx",
    "import_gluon",
    "open",
    "open_for",
    "open_run",
    "predict",
    "predict_files",
    "report",
    "resume",
    "runtime_of",
    "sign_in",
    "submit",
    "train",
]
