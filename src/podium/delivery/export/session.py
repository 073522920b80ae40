"""ONNX Runtime, as podium uses it: on the processor, with as many threads as it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.data import Images
from podium.delivery.export.network import INPUT, OUTPUTS
from podium.errors import ExportError
from podium.evaluation import Predictions

__all__ = ["OnnxSession"]

_BATCH_PIXELS = 125 * 32 * 32  # a small batch is as fast as a large one, and takes less memory


class OnnxSession:
    """An exported model that answers.

    Args:
        model: the file, or its content.
        num_threads: to compute with; None: as ONNX Runtime likes.

    Raises:
        ExportError: it is no model that ONNX Runtime takes.
    """

    def __init__(self, model: Path | bytes, num_threads: int | None = None) -> None:
        import onnxruntime  # noqa: PLC0415  # an extra

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
            options.inter_op_num_threads = 1
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it has a kind for each of its states, with no common one
            where = "The model" if isinstance(model, bytes) else str(model)
            raise ExportError(f"{where} isn't taken by ONNX Runtime: {str(error).splitlines()[0][:300]}") from error

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities and logits, float32 (N, K), of uint8 (N, H, W, 3)."""
        probabilities, logits = self._session.run(list(OUTPUTS), {INPUT: pixels})
        return probabilities, logits

    def predict(
        self, images: Images, classes: tuple[str, ...], on_progress: Callable[[int, int], None] | None = None
    ) -> Predictions:
        """Logits for every image, in batches; the labels count the images' own classes.

        Args:
            images: of the model's size.
            classes: the names of the K outputs.
            on_progress: called with (images done, images in all) after each batch.
        """
        height, width = images.size
        logits = np.empty((len(images), len(classes)), np.float32)
        done = 0
        for rows, pixels in images.batches(max(1, _BATCH_PIXELS // (height * width))):
            logits[rows] = self(np.ascontiguousarray(pixels))[1]
            done += len(rows)
            if on_progress is not None:
                on_progress(done, len(images))
        return Predictions(images.ids, classes, logits, images.labels)

    @property
    def facts(self) -> dict[str, str]:
        """What the model's metadata say."""
        return dict(self._session.get_modelmeta().custom_metadata_map)
