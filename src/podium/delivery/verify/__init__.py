"""Whether all forms of a run give the same answers: what each may differ by, and how each is asked."""

from podium.delivery.verify.agreement import Answers, Difference, difference
from podium.delivery.verify.forms import (
    FORMS,
    Subject,
    check_compiler,
    net_answers,
    other_tensors,
    reference_answers,
)
from podium.delivery.verify.images import made_images
from podium.delivery.verify.tolerance import TOLERANCES, Tolerance

__all__ = [
    "FORMS",
    "TOLERANCES",
    "Answers",
    "Difference",
    "Subject",
    "Tolerance",
    "check_compiler",
    "difference",
    "made_images",
    "net_answers",
    "other_tensors",
    "reference_answers",
]
