"""A trained model in forms that others run: ONNX, in float32 and int8, with a model card.

What they need is an extra: `pip install 'podium-vision[onnx]'`.
"""

from podium.delivery.export.card import Accuracy, CardFacts, model_card, tta_notes
from podium.delivery.export.check import Agreement, check_answers, generated_images
from podium.delivery.export.int8 import quantize
from podium.delivery.export.needed import check_installed
from podium.delivery.export.network import INPUT, OUTPUTS, to_onnx
from podium.delivery.export.session import OnnxSession

__all__ = [
    "INPUT",
    "OUTPUTS",
    "Accuracy",
    "Agreement",
    "CardFacts",
    "OnnxSession",
    "check_answers",
    "check_installed",
    "generated_images",
    "model_card",
    "quantize",
    "to_onnx",
    "tta_notes",
]
