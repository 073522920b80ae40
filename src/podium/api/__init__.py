"""The public functions: each carries one step of the way from raw files to a submission."""

from podium.api.again import check_resumable, differences, runtime_of
from podium.api.choice import Choice
from podium.api.common import check_alone, classifier_of, open, open_for
from podium.api.compared import Comparison
from podium.api.comparison import compare
from podium.api.downloading import download
from podium.api.gluon import export_gluon, import_gluon
from podium.api.jobs import open_run
from podium.api.kaggle import KaggleSubmission, sign_in
from podium.api.onnx import OnnxExport, export_onnx
from podium.api.pictures import Answer, predict_each, predict_files
from podium.api.reporting import report
from podium.api.reproduction import Reproduction, reproduce
from podium.api.results import evaluate, predict
from podium.api.serving import check_servable, serve
from podium.api.submission import submit
from podium.api.training import resume, train
from podium.api.tuning import Tuned, check_tunable, tune
from podium.api.verification import FormCheck, Verification, verify
from podium.checkup import Checkup, doctor

__all__ = [
    "Answer",
    "Checkup",
    "Choice",
    "Comparison",
    "FormCheck",
    "KaggleSubmission",
    "OnnxExport",
    "Reproduction",
    "Tuned",
    "Verification",
    "check_alone",
    "check_resumable",
    "check_servable",
    "check_tunable",
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
    "predict_each",
    "predict_files",
    "report",
    "reproduce",
    "resume",
    "runtime_of",
    "serve",
    "sign_in",
    "submit",
    "train",
    "tune",
    "verify",
]
