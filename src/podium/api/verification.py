"""verify: whether all forms of a run give the same answers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from podium.api.common import check_alone, open_for, split
from podium.api.pictures import judge_of
from podium.api.rehearsal import rehearse
from podium.api.results import check_fits
from podium.api.sampling import each_class, pixels_of, some_of
from podium.api.serving import check_servable
from podium.builtin import DEFAULT
from podium.data import Dataset, Images, Progress
from podium.delivery import export
from podium.delivery.verify import (
    FORMS,
    TOLERANCES,
    Answers,
    Difference,
    Subject,
    Tolerance,
    check_compiler,
    difference,
    made_images,
    net_answers,
    other_tensors,
    reference_answers,
)
from podium.errors import PodiumError, RunError
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime, prepare

__all__ = ["FormCheck", "Status", "Verification", "verify"]

Status = Literal["ok", "differs", "failed", "skipped"]
Pixels = npt.NDArray[np.uint8]

_MADE, _TAKEN = 256, 1000  # images of 32×32 pixels, if nobody says how many; fewer of larger ones
_CALIBRATION = 512
_REHEARSED = 64
_SMALL = 32 * 32


@dataclass(frozen=True)
class FormCheck:
    """What came of asking a form.

    Attributes:
        form: its name.
        status: "ok": within the tolerance. "differs": not. "failed": the form can't be had, or breaks off. "skipped":
            this machine lacks what it needs.
        reason: why it failed or was skipped, in a line; None otherwise.
        difference: from the reference; None if there are no answers, or some of them are no numbers.
        tolerance: that it was held to, at the run's temperature.
        seconds: that it took.
    """

    form: str
    status: Status
    reason: str | None
    difference: Difference | None
    tolerance: Tolerance
    seconds: float


@dataclass(frozen=True)
class Verification:
    """Whether all forms of a run give the same answers.

    Attributes:
        run: what a person calls it.
        images: which images were asked about, in words.
        num_images: how many.
        tta: the test-time augmentation that all forms used.
        temperature: that all of them read their logits with.
        device: on which eager, bf16, compiled and server computed.
        forms: in the order of the table of tolerances.
    """

    run: str
    images: str
    num_images: int
    tta: str
    temperature: float
    device: str
    forms: tuple[FormCheck, ...]

    @property
    def holds(self) -> bool:
        """Whether none differs or failed. One that was skipped says nothing."""
        return all(form.status in ("ok", "skipped") for form in self.forms)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "forms": [asdict(form) for form in self.forms], "holds": self.holds}


def verify(
    run: Run | str | Path | None = None,
    data: Dataset | str | Path | None = None,
    *,
    num_images: int | None = None,
    forms: Iterable[str] | None = None,
    image_size: int | None = None,
    labels: str | None = None,
    runtime: Runtime | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Asks all forms of a run about the same images, and compares their answers with PyTorch's in float32.

    Args:
        run: a finished run; None: the weights that ship, `builtin:cifar10`.
        data: whose evaluation set or hold-out is asked about (where there is neither, training images); None: images
            made from a seed.
        num_images: how many; None: 256 made ones or 1,000 of the data's, fewer of images larger than 32×32 pixels.
        forms: some of the keys of `TOLERANCES`; None: all.
        image_size: as of `open`.
        labels: as of `open`.
        runtime: device and threads, in float32; None: the best there is.
        progress: told what is done.

    Raises:
        DataError: the data can't be read.
        RunError: the run isn't finished or is damaged, its answers are no numbers, the data are of other classes or
            size, there is no such form, or torchrun started several processes.
    """
    check_alone("verify")
    names = _names(forms)
    known = run if isinstance(run, Run) else Run.open(DEFAULT if run is None else run)
    classifier = Classifier.load(known.model_path)
    if num_images is not None and num_images < 1:
        raise RunError(f"{num_images} images can't be: verify needs one at least.")
    say = progress or (lambda what, done, total: None)
    dataset = None
    if data is not None:
        dataset = open_for(known, data, image_size=image_size, labels=labels, progress=progress)
    pixels, what, calibration, few = _images(known, classifier, dataset, num_images)
    runtime = replace(runtime or prepare("fp32"), compute_dtype=torch.float32)
    judge = judge_of(known)
    subject = Subject.about(known, judge, pixels, calibration, runtime)
    say("Asking for the reference", 0, 0)
    with _full_precision(runtime):
        reference = reference_answers(subject)
        if not reference.are_finite:
            raise RunError(f"{known.label} answers with numbers that are none: its training diverged. Train it anew.")
        found = []
        for name in names:
            say(f"Asking {name}", 0, 0)
            found.append(_check(name, subject, reference, few))
    return Verification(
        known.label, what, len(pixels), known.recipe.tta, judge.temperature, str(runtime.device), tuple(found)
    )


def _names(forms: Iterable[str] | None) -> list[str]:
    """Those asked for, in the table's order. Raises RunError if there is none such."""
    asked = list(TOLERANCES if forms is None else forms)
    for name in asked:
        if name not in TOLERANCES:
            raise RunError(f"There is no form '{name}'. Those there are: {', '.join(TOLERANCES)}.")
    return [name for name in TOLERANCES if name in asked]


# ---- a form


def _check(name: str, subject: Subject, reference: Answers, few: Images) -> FormCheck:
    """Asks a form. What goes wrong in it is its own fault, and said as such; only its own files are the user's."""
    tolerance, began = TOLERANCES[name].at(subject.judge.temperature), time.monotonic()

    def outcome(status: Status, reason: str | None = None, seen: Difference | None = None) -> FormCheck:
        return FormCheck(name, status, reason, seen, tolerance, round(time.monotonic() - began, 1))

    try:
        _NEEDS.get(name, _nothing)(subject)
    except PodiumError as error:
        return outcome("skipped", " ".join(str(error).split()))
    try:
        answers = _resumed(subject, few) if name == "resumed" else FORMS[name](subject)
    except Exception as error:  # a form that breaks off is a finding, whatever broke
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return outcome("failed", f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__)
    if not answers.are_finite:
        return outcome("differs", "some of its answers are no numbers")
    found = difference(answers.beside or reference, answers, tolerance)
    return outcome("ok" if found.holds else "differs", None, found)


def _nothing(_: Subject) -> None:
    """Of a form that needs nothing more."""


_NEEDS: dict[str, Callable[[Subject], None]] = {
    "compiled": lambda subject: check_compiler(subject.runtime.device),
    "onnx": lambda _: export.check_installed(),
    "int8": lambda _: export.check_installed(),
    "server": lambda _: check_servable(),
}
"""What raises a PodiumError where a form can't be had on this machine."""


def _resumed(subject: Subject, few: Images) -> Answers:
    """Of a short training that was stopped and gone on with, beside those of one that ran through."""
    with tempfile.TemporaryDirectory(prefix="podium-verify-") as folder:
        through, resumed = rehearse(subject.run, few, subject.runtime.num_threads, Path(folder))
        both = [Classifier.load(one.model_path) for one in (through, resumed)]
    answers = [net_answers(subject, one) for one in both]
    others = other_tensors(both[0].state(), both[1].state())
    return replace(answers[1], beside=answers[0], other_tensors=others)


def _full_precision(runtime: Runtime) -> AbstractContextManager[object]:
    """Has a GPU convolve in float32, which it is told; by itself it takes TF32's 11 bits."""
    if runtime.device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)


# ---- images


def _images(
    run: Run, classifier: Classifier, dataset: Dataset | None, count: int | None
) -> tuple[Pixels, str, Pixels, Images]:
    """Those to ask about, and what they are; those for the ranges of int8; and a few labelled ones to train on."""
    size, classes = classifier.preprocessing.image_size, classifier.preprocessing.classes
    share = min(1.0, _SMALL / (size[0] * size[1]) * 4)  # of images up to 64×64 pixels all
    num_calibration = max(32, round(_CALIBRATION * share))
    if dataset is None:
        count = max(16, round(_MADE * share)) if count is None else count
        labels = np.arange(max(_REHEARSED, len(classes))) % len(classes)
        few = _in_memory(made_images(len(labels), size, seed=2), labels, classes)
        what = "images made from a seed"
        return made_images(count, size), what, made_images(num_calibration, size, seed=1), few
    train = dataset.train
    is_own = dataset.fingerprint == run.manifest["data"]["fingerprint"]
    if not is_own:
        check_fits(run, dataset)
    if train.size != size:
        raise RunError(
            f"These images are {train.size[0]}×{train.size[1]} pixels; {run.label} was trained on "
            f"{size[0]}×{size[1]}.\nGive --image-size {size[0]} to have them resized."
        )
    assert train.labels is not None
    count = max(64, round(_TAKEN * share)) if count is None else count
    trained, held_out = split(train, run.recipe) if is_own else (np.arange(len(train)), np.arange(0))
    asked, rows, what = train, trained, f"training images of {dataset.name}"
    if (evaluation := dataset.evaluation) is not None:
        asked, rows, what = evaluation, np.arange(len(evaluation)), f"{dataset.evaluation_name} of {dataset.name}"
    elif len(held_out):
        rows, what = held_out, f"hold-out of {dataset.name}"
    elif not is_own:
        what = f"images of {dataset.name}"
    calibration = pixels_of(train, some_of(trained, num_calibration))
    chosen = each_class(train.labels, _REHEARSED)
    few = _in_memory(pixels_of(train, chosen), train.labels[chosen], train.classes)
    return pixels_of(asked, some_of(rows, count)), what, calibration, few


def _in_memory(pixels: Pixels, labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> Images:
    return Images(pixels, labels.astype(np.int64), np.arange(len(pixels)).astype(str), classes)
