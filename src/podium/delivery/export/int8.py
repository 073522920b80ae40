"""float32 → int8: weights per channel, activations by ranges that training images show (static quantization).

Source: ONNX Runtime's quantization tool, in its QDQ form: weights signed, activations unsigned, as processors with
int8 dot products (AVX-512 VNNI, AVX-VNNI, Arm's dot product) take them. The preprocessing, the views and the last
layers stay float32: they cost little, and their rounding would.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.delivery.export.network import INPUT
from podium.errors import ExportError

__all__ = ["quantize"]

_BATCH = 32
_QUANTIZED = ["Conv", "MaxPool", "AveragePool", "Add", "Concat", "Relu"]


def quantize(model: bytes, pixels: npt.NDArray[np.uint8], facts: Mapping[str, str] | None = None) -> bytes:
    """An int8 form of an exported model.

    Args:
        model: what `to_onnx` made, serialized.
        pixels: uint8 (N, H, W, 3), training images; a few hundred are enough.
        facts: what its metadata say.

    Raises:
        ExportError: ONNX Runtime can't quantize it.
    """
    import onnx  # noqa: PLC0415  # an extra
    from onnxruntime import quantization  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter([pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)])

        def get_next(self) -> dict[str, Any] | None:
            some = next(self._batches, None)
            return None if some is None else {INPUT: np.ascontiguousarray(some)}

    with tempfile.TemporaryDirectory(prefix="podium-int8-") as name, _quiet():
        plain, folded, small = (Path(name) / file for file in ("plain.onnx", "folded.onnx", "int8.onnx"))
        plain.write_bytes(model)
        try:
            quant_pre_process(str(plain), str(folded), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(folded),
                str(small),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_QUANTIZED,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                nodes_to_exclude=_preprocessing(onnx.load(str(folded))),
            )
            made = onnx.load(str(small))
        except Exception as error:  # of many kinds, its own and others
            raise ExportError(f"ONNX Runtime can't quantize the model: {str(error).splitlines()[0][:300]}") from error
    del made.metadata_props[:]
    made.doc_string = made.graph.doc_string = ""
    made.producer_name, made.producer_version = "podium", dict(facts or {}).get("podium_version", "")
    onnx.helper.set_model_props(made, dict(facts or {}))
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


def _preprocessing(model: Any) -> list[str]:
    """The nodes before the first convolution, which stay as they are."""
    before = []
    for node in model.graph.node:  # in topological order
        if node.op_type == "Conv":
            break
        before.append(node.name)
    return before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the tool prints and logs; the errors that matter are raised."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)
