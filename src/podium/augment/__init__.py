"""Room 2: batch → batch, uint8, batched on the device, one random draw an image."""

from podium.augment.affine import affine, rotation
from podium.augment.colour import adjust_brightness, turn_hue
from podium.augment.crop import resize, resized_crop
from podium.augment.cutout import cutout
from podium.augment.enhance import adjust_contrast, adjust_saturation, adjust_sharpness, grey
from podium.augment.erase import erase
from podium.augment.flip import flip
from podium.augment.levels import autocontrast, equalize, invert, posterize, solarize
from podium.augment.mix import Drawn, Mixed, Mixer
from podium.augment.pipeline import Pipeline
from podium.augment.policy import Policy
from podium.augment.shrink import scaled, shrink
from podium.augment.translate import translate

__all__ = [
    "Drawn",
    "Mixed",
    "Mixer",
    "Pipeline",
    "Policy",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "cutout",
    "equalize",
    "erase",
    "flip",
    "grey",
    "invert",
    "posterize",
    "resize",
    "resized_crop",
    "rotation",
    "scaled",
    "shrink",
    "solarize",
    "translate",
    "turn_hue",
]
