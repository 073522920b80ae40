"""Each form of a run, asked for its answers. A form reads the run's model anew, so that none can hide another's fault.

All of them look at the same views (the recipe's test-time augmentation, for every image) and read the logits with the
run's temperature, as `podium predict` does. They compute in float32 unless their name says otherwise.

Shapes: N images of H×W pixels, K classes.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from podium.data import Images
from podium.data.fit import fitted
from podium.delivery import export
from podium.delivery.verify.agreement import Answers, Floats
from podium.errors import ExportError
from podium.evaluation import predict_images
from podium.evaluation.judge import Judge
from podium.evaluation.tta import logits_with_tta
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime
from podium.training.engine import Engine

__all__ = ["FORMS", "Subject", "check_compiler", "net_answers", "other_tensors", "reference_answers"]

Pixels = npt.NDArray[np.uint8]
Net = Callable[[Tensor], Tensor]

_BATCH_PIXELS = 32 * 32 * 32


@dataclass(eq=False)
class Subject:
    """A run, and the images that all of its forms are asked about.

    Attributes:
        run: finished.
        judge: how its logits are read.
        pictures: N PNG files.
        calibration: uint8 (M, H, W, 3), for the ranges of int8: other images than those.
        runtime: device and threads, in float32.
    """

    run: Run
    judge: Judge
    pictures: Sequence[bytes]
    calibration: Pixels
    runtime: Runtime

    @staticmethod
    def about(run: Run, judge: Judge, pixels: Pixels, calibration: Pixels, runtime: Runtime) -> Subject:
        """Of images as arrays, uint8 (N, H, W, 3): they become files first, so that all forms see what a file holds."""
        return Subject(run, judge, [_png(one) for one in pixels], calibration, runtime)

    def classifier(self) -> Classifier:
        """The run's, read anew, on the processor. Raises RunError."""
        return Classifier.load(self.run.model_path)

    @cached_property
    def pixels(self) -> Pixels:
        """uint8 (N, H, W, 3): the pictures as the network takes them."""
        one = self.classifier().preprocessing
        return np.stack([fitted(data, "a picture", one.image_size, crops=one.crops) for data in self.pictures])

    @cached_property
    def onnx(self) -> bytes:
        """The exported model. Raises ExportError."""
        tta, temperature = self.run.recipe.tta, self.judge.temperature
        return bytes(export.to_onnx(self.classifier(), tta=tta, temperature=temperature).SerializeToString())

    def answers(self, logits: Floats) -> Answers:
        """What the logits (N, K) say."""
        return Answers(self.judge.probabilities(logits), logits)

    def batches(self) -> Iterator[Pixels]:
        """The pixels, as many images at a time as are quick to compute."""
        height, width = self.pixels.shape[1:3]
        size = max(1, _BATCH_PIXELS // (height * width))
        for start in range(0, len(self.pixels), size):
            yield self.pixels[start : start + size]


def reference_answers(subject: Subject) -> Answers:
    """The network itself, eager, in float32, on the processor: no verb's way of computing stands between."""
    return net_answers(subject, subject.classifier())


# ---- forms


def _eager(subject: Subject) -> Answers:
    """As evaluate, submit and predict compute: a thread for each batch, or on the GPU."""
    return _predicted(subject, subject.runtime)


def _reloaded(subject: Subject) -> Answers:
    """Written to a file and read from it."""
    original = subject.classifier()
    with tempfile.TemporaryDirectory(prefix="podium-verify-") as folder:
        original.save(Path(folder) / "model.safetensors")
        copy = Classifier.load(Path(folder) / "model.safetensors")
    return replace(net_answers(subject, copy), other_tensors=other_tensors(original.state(), copy.state()))


def _bf16(subject: Subject) -> Answers:
    """As `eager`, with matrix products and convolutions in bfloat16."""
    return _predicted(subject, replace(subject.runtime, compute_dtype=torch.bfloat16))


def _compiled(subject: Subject) -> Answers:
    """By torch.compile, as a recipe's `compile = "default"` has it."""
    torch.compiler.reset()  # of many networks in one process torch would compile the first few only
    engine = Engine(replace(subject.run.recipe, compile="default"), subject.runtime)
    engine.begin(subject.classifier()).eval()

    def net(pixels: Tensor) -> Tensor:
        return engine.logits(pixels.to(subject.runtime.device).contiguous(memory_format=torch.channels_last)).cpu()

    try:
        return net_answers(subject, net)
    finally:
        torch.compiler.reset()  # its code isn't needed again, and takes memory


def _onnx(subject: Subject) -> Answers:
    return _asked(subject, subject.onnx)


def _int8(subject: Subject) -> Answers:
    return _asked(subject, export.quantize(subject.onnx, subject.calibration))


def _server(subject: Subject) -> Answers:
    """A server on the loopback, as `podium serve` starts it; the pictures come to it as files, some at once."""
    from podium.delivery.serve import Service, running  # noqa: PLC0415  # of an extra
    from podium.delivery.verify.client import ask  # noqa: PLC0415

    classifier = subject.classifier()
    classes = classifier.preprocessing.classes
    service = Service(subject.run, classifier, subject.runtime, judge=subject.judge)
    with running(service) as address, ThreadPoolExecutor(_CLIENTS, "podium-client") as pool:
        parts = [subject.pictures[first::_CLIENTS] for first in range(_CLIENTS)]
        found = list(pool.map(lambda part: ask(address, part, classes), parts))
    probabilities = np.empty((len(subject.pictures), len(classes)), np.float32)
    for first, some in enumerate(found):
        probabilities[first::_CLIENTS] = some
    return Answers(probabilities)


_CLIENTS = 4

FORMS: dict[str, Callable[[Subject], Answers]] = {
    "eager": _eager,
    "reloaded": _reloaded,
    "bf16": _bf16,
    "compiled": _compiled,
    "onnx": _onnx,
    "int8": _int8,
    "server": _server,
}
"""How each is asked. They raise what their packages do."""


def check_compiler(device: torch.device) -> None:
    """Raises ExportError unless torch.compile works here, by trying it on next to nothing."""
    try:
        torch.compile(lambda x: x + 1, dynamic=False)(torch.zeros(2, device=device))
    except Exception as error:  # it has dozens of kinds, and its own around them
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(
            f"torch.compile doesn't work here: {reason[:200].rstrip('. ')}. It needs a C++ compiler (g++), and on a "
            "GPU Triton."
        ) from error


def other_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[str, ...]:
    """The names of the tensors that aren't the same in both, in kind, form and bits."""

    def bits(tensor: Tensor | None) -> tuple[object, ...]:
        if tensor is None:
            return ()
        plain = tensor.detach().cpu().contiguous()
        return plain.dtype, plain.shape, plain.flatten().view(torch.uint8).numpy().tobytes()

    return tuple(name for name in sorted(one.keys() | other.keys()) if bits(one.get(name)) != bits(other.get(name)))


# ---- how they are asked


def net_answers(subject: Subject, net: Net) -> Answers:
    """Of a net on the processor that takes uint8 (N, 3, H, W) and gives float32 (N, K).

    Its batches are of one size, the last one filled up, since a compiled net is made for one.
    """
    parts = []
    size = 0
    for some in subject.batches():
        size = size or len(some)
        full = np.concatenate([some, np.zeros((size - len(some), *some.shape[1:]), np.uint8)])
        with torch.inference_mode():
            logits = logits_with_tta(net, torch.from_numpy(full).permute(0, 3, 1, 2), subject.run.recipe.tta)
        parts.append(logits[: len(some)].float().numpy())
    return subject.answers(np.concatenate(parts))


def _predicted(subject: Subject, runtime: Runtime) -> Answers:
    classifier = subject.classifier().to(runtime.device)
    images = Images(subject.pixels, None, np.arange(len(subject.pixels)).astype(str), classifier.preprocessing.classes)
    return subject.answers(predict_images(classifier, images, runtime, tta=subject.run.recipe.tta).logits)


def _asked(subject: Subject, model: bytes) -> Answers:
    session = export.OnnxSession(model, subject.runtime.num_threads)
    each = [session(np.ascontiguousarray(some)) for some in subject.batches()]
    return Answers(np.concatenate([one for one, _ in each]), np.concatenate([one for _, one in each]))


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
