"""Classifier → ONNX: preprocessing, test-time augmentation if it is wanted, net and softmax in one graph.

The graph takes any number of images and holds nothing of the machine that it was made on: torch notes for each node the
files and lines that it comes from, and that is taken out.

Shapes: N images, K classes, H and W the size that the net takes, V views of an image.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from podium.errors import ExportError
from podium.evaluation.tta import VIEW_WEIGHTS, views
from podium.models import Classifier

__all__ = ["INPUT", "OPSET", "OUTPUTS", "OnnxNetwork", "to_onnx"]

INPUT = "images"
"""uint8 (N, H, W, 3), RGB."""

OUTPUTS = ("probabilities", "logits")
"""Both float32 (N, K). Probabilities are for use, of the run's temperature; ensembles and checks want the logits."""

OPSET = 18
"""Of December 2022: ONNX Runtime has it since 1.14."""


class OnnxNetwork(nn.Module):
    """What is exported.

    Args:
        classifier: in evaluation mode, on the processor.
        tta: as a recipe names it. All views go through the net as one batch, so that the graph holds it once.
        temperature: that the logits are divided by before the softmax.
    """

    weights: Tensor

    def __init__(self, classifier: Classifier, tta: str = "none", temperature: float = 1.0) -> None:
        super().__init__()
        self.classifier = classifier
        self.tta = tta
        self.temperature = temperature
        self.register_buffer("weights", torch.tensor(VIEW_WEIGHTS[tta]).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, H, W, 3) → probabilities and logits, float32 (N, K)."""
        pixels = images.permute(0, 3, 1, 2).float()  # (N, 3, H, W), 0 … 255
        if self.tta == "none":
            logits = self.classifier(pixels)
        else:
            each = self.classifier(torch.cat(views(pixels, self.tta)))  # (V N, K)
            logits = (each.unflatten(0, (len(self.weights), -1)) * self.weights).sum(0)
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return scaled.softmax(1), logits


def to_onnx(
    classifier: Classifier, *, tta: str = "none", temperature: float = 1.0, facts: Mapping[str, str] | None = None
) -> Any:
    """The model as an `onnx.ModelProto`.

    Args:
        classifier: any; it is put into evaluation mode.
        tta: test-time augmentation to have inside.
        temperature: that the logits are divided by for the probabilities.
        facts: what its metadata say.

    Raises:
        ExportError: the net does something that ONNX has no operation for.
    """
    network = OnnxNetwork(classifier.eval(), tta, temperature).eval()
    height, width = classifier.preprocessing.image_size
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)  # of one image torch would take the number for fixed
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example,),
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:  # torch's exporter has dozens of kinds, and an own one for all of them
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"{classifier.model_name} can't be written as ONNX: {reason[:300]}") from error
    return _cleaned(model, dict(facts or {}))


def _cleaned(model: Any, facts: dict[str, str]) -> Any:
    """The same model with the given metadata, and none that tells of files and lines."""
    import onnx  # noqa: PLC0415  # an extra

    graph = model.graph
    assert not model.functions, [one.name for one in model.functions]  # torch's exporter has them inlined
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    model.doc_string = graph.doc_string = ""
    graph.name = "podium"
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    for number, node in enumerate(graph.node):
        node.name = f"{number:04}_{node.op_type}"
    model.producer_name, model.producer_version = "podium", facts.get("podium_version", "")
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of packages that aren't needed."""
    loud = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    loud += [logging.getLogger("torch.onnx._internal.exporter._registration")]
    before = [one.level for one in loud]
    try:
        for one in loud:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loud, before, strict=True):
            one.setLevel(level)
