"""Room 2: batch → batch, uint8, batched on the device, one random draw an image."""

from podium.augment.colour import adjust_brightness, turn_hue
from podium.augment.crop import resize, resized_crop
from podium.augment.cutout import cutout
from podium.augment.flip import flip
from podium.augment.mix import Mixer
from podium.augment.pipeline import Pipeline
from podium.augment.shrink import scaled, shrink
from podium.augment.translate import translate

__all__ = [
    "Pipeline",
    "adjust_brightness",
    "cutout",
    "flip",
    "resize",
    "resized_crop",
    "scaled",
    "shrink",
    "translate",
    "turn_hue",
]
