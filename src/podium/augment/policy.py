"""TrivialAugment, RandAugment and AutoAugment: operations drawn for each image, from a list with fixed strengths.

A policy is a table of choices, an operation at one strength each, and a way to draw places in that table. Images that
drew the same operation are brought together, changed in one go, and put back: a batch costs about as much as one
operation on all of it, not as much as all operations.

The operations and their strengths are Pillow's, as the papers' own code calls it; geometric ones take the nearest pixel
and bring in the fill colour.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from podium.augment.affine import affine, rotation
from podium.augment.colour import adjust_brightness
from podium.augment.enhance import adjust_contrast, adjust_saturation, adjust_sharpness
from podium.augment.levels import autocontrast, equalize, invert, posterize, solarize
from podium.errors import RecipeError
from podium.runtime import send

__all__ = ["NAMES", "Choice", "Policy"]

NAMES = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "saturation",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
"""The 14 operations of TrivialAugment and RandAugment."""

_GEOMETRIC = NAMES[1:6]
_SIGNED = NAMES[1:10]
_NUM_LEVELS = 31  # of TrivialAugment and RandAugment
_NUM_AUTO_LEVELS = 10

# The appendix of arXiv 1805.09501: operation, probability, level of 0 … 9.
_AUTO = (
    (("invert", 0.1, 0), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 0), ("equalize", 0.9, 0)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("saturation", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("saturation", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 0), ("autocontrast", 0.4, 0)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("saturation", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 0)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
    (("saturation", 0.9, 9), ("equalize", 0.6, 0)),
    (("autocontrast", 0.8, 0), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("saturation", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 0)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 0), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 0), ("invert", 0.1, 0)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
)

_Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
_KERNELS: dict[str, _Kernel] = {
    "affine": affine,
    "brightness": lambda pixels, values, _: adjust_brightness(pixels, values[:, 0].float()),
    "saturation": lambda pixels, values, _: adjust_saturation(pixels, values[:, 0].float()),
    "contrast": lambda pixels, values, _: adjust_contrast(pixels, values[:, 0].float()),
    "sharpness": lambda pixels, values, _: adjust_sharpness(pixels, values[:, 0].float()),
    "posterize": lambda pixels, values, _: posterize(pixels, values[:, 0].long()),
    "solarize": lambda pixels, values, _: solarize(pixels, values[:, 0]),
    "autocontrast": lambda pixels, *_: autocontrast(pixels),
    "equalize": lambda pixels, *_: equalize(pixels),
    "invert": lambda pixels, *_: invert(pixels),
}
"""Each takes pixels, values (N, 6) and the fill colour. What has no kernel, identity, comes after them."""


@dataclass(frozen=True)
class _Space:
    """The strengths at the highest level."""

    shear: float  # pixels along one axis for each along the other
    translate: tuple[float, float]  # pixels down and right
    rotate: float  # degrees
    enhance: float  # off from the factor 1
    posterize: int  # bits cleared


# TrivialAugment's wide space (arXiv 2103.10158), whose shift is 32 pixels whatever the image's size
_WIDE = _Space(shear=0.99, translate=(32.0, 32.0), rotate=135.0, enhance=0.99, posterize=6)


def _narrow(size: tuple[int, int]) -> _Space:
    """The one of AutoAugment and RandAugment, whose shift of 150 pixels was meant for images of 331."""
    down, across = (150 / 331 * length for length in size)
    return _Space(shear=0.3, translate=(down, across), rotate=30.0, enhance=0.9, posterize=4)


@dataclass(frozen=True)
class Choice:
    """An operation at one strength.

    Attributes:
        name: of `NAMES`, or "invert".
        value: what the operation takes: pixels, degrees, a factor, bits, a threshold; 0 where it takes nothing.
    """

    name: str
    value: float


class Policy:
    """Draws operations for each image, and applies them.

    Args:
        name: "trivialaugment": one of 14 operations at one of 31 levels; "randaugment": `num_ops` of 14, drawn with
            replacement, at one level of 31; "autoaugment": one of 25 pairs for CIFAR-10, each operation with its own
            probability and level. Shear, shift, turn and the four enhancements go either way by a fair coin.
        size: (H, W) of the images.
        num_ops: of randaugment.
        magnitude: of randaugment, 0 … 30.

    Attributes:
        choices: all that can be drawn.

    Raises:
        RecipeError: no such policy, no operation, or no such magnitude.
    """

    def __init__(self, name: str, size: tuple[int, int], num_ops: int = 2, magnitude: int = 9) -> None:
        if name not in ("trivialaugment", "randaugment", "autoaugment"):
            raise RecipeError(f"policy = {name!r}: it must be none, trivialaugment, randaugment or autoaugment")
        if num_ops < 1:
            raise RecipeError(f"policy_ops = {num_ops}: it must be at least 1")
        if not 0 <= magnitude < _NUM_LEVELS:
            raise RecipeError(f"policy_magnitude = {magnitude}: it must be in 0 … {_NUM_LEVELS - 1}")
        self.name = name
        self._num_ops = {"trivialaugment": 1, "randaugment": num_ops, "autoaugment": 2}[name]
        self._probabilities = torch.ones(0)
        last = _NUM_LEVELS - 1
        if name == "trivialaugment":
            made = [_both_ways(op, level, last, _WIDE) for op in NAMES for level in range(_NUM_LEVELS)]
        elif name == "randaugment":
            made = [_both_ways(op, magnitude, last, _narrow(size)) for op in NAMES]
        else:
            entries = list(itertools.chain.from_iterable(_AUTO))
            made = [_both_ways(op, level, _NUM_AUTO_LEVELS - 1, _narrow(size)) for op, _, level in entries]
            self._probabilities = torch.tensor([part for _, part, _ in entries]).view(-1, 2)  # (25, 2)
        self.choices = [*itertools.chain.from_iterable(made), Choice("identity", 0.0)]
        places = {name: place for place, name in enumerate([*_KERNELS, "identity"])}
        places |= dict.fromkeys(_GEOMETRIC, places["affine"])
        self._kernels = torch.tensor([places[choice.name] for choice in self.choices])  # (num_choices,)
        self._values = torch.stack([_row(choice, size) for choice in self.choices])  # float64 (num_choices, 6)

    def draw(self, num_images: int, generator: torch.Generator) -> Tensor:
        """Places in `choices`, one operation after the other: int64 (N, number of operations an image) on the CPU."""
        shape = (num_images, self._num_ops)
        sign = torch.randint(2, shape, generator=generator)
        if self.name == "autoaugment":
            pair = torch.randint(len(self._probabilities), (num_images,), generator=generator)
            happens = torch.rand(shape, generator=generator) < self._probabilities[pair]
            entry = 2 * pair[:, None] + torch.arange(2)
            return torch.where(happens, 2 * entry + sign, len(self.choices) - 1)
        op = torch.randint(len(NAMES), shape, generator=generator)
        if self.name == "trivialaugment":
            op = _NUM_LEVELS * op + torch.randint(_NUM_LEVELS, shape, generator=generator)
        return 2 * op + sign

    def __call__(self, pixels: Tensor, drawn: Tensor, fill: Tensor) -> Tensor:
        """Applies what was drawn.

        Args:
            pixels: uint8 (N, 3, H, W), RGB, any strides.
            drawn: of `draw`, on the CPU, so that a GPU needn't be asked how many images drew what.
            fill: uint8 (3,), on the device of `pixels`.

        Returns:
            uint8 (N, 3, H, W), contiguous.
        """
        for choice in drawn.unbind(1):
            kernels = self._kernels[choice]  # (N,)
            order = kernels.argsort(stable=True)
            counts = kernels.bincount(minlength=len(_KERNELS)).tolist()
            values = send(self._values[choice[order]], pixels.device)  # (N, 6)
            order = send(order, pixels.device)
            grouped = pixels[order].contiguous()
            start = 0
            for kernel, count in zip(_KERNELS.values(), counts, strict=False):
                group = slice(start, start + count)
                if count:
                    grouped[group] = kernel(grouped[group], values[group], fill)
                start += count
            pixels = torch.empty_like(grouped)
            pixels[order] = grouped
        return pixels


def _both_ways(name: str, level: int, last: int, space: _Space) -> list[Choice]:
    """An operation at `level` of `last`, for both sides of its coin."""
    return [Choice(name, _value(name, level, last, space, sign)) for sign in (-1, 1)]


def _value(name: str, level: int, last: int, space: _Space, sign: int) -> float:
    if name in ("shear_x", "shear_y"):
        return sign * space.shear * level / last
    if name in ("translate_x", "translate_y"):
        down, across = space.translate
        return float(sign * int((across if name == "translate_x" else down) * level / last))
    if name == "rotate":
        return sign * space.rotate * level / last
    if name in _SIGNED:
        return 1 + sign * space.enhance * level / last
    if name == "posterize":
        return float(8 - round(space.posterize * level / last))
    if name == "solarize":
        return 255 - 255 * level / last
    return 0.0


def _row(choice: Choice, size: tuple[int, int]) -> Tensor:
    """What the kernel takes: an affine map, or a number and zeros. float64 (6,)."""
    value = choice.value
    if choice.name == "rotate":
        return rotation(torch.tensor([value], dtype=torch.float64), size)[0]
    row = {
        "shear_x": (1.0, value, 0.0, 0.0, 1.0, 0.0),
        "shear_y": (1.0, 0.0, 0.0, value, 1.0, 0.0),
        "translate_x": (1.0, 0.0, value, 0.0, 1.0, 0.0),
        "translate_y": (1.0, 0.0, 0.0, 0.0, 1.0, value),
    }.get(choice.name, (value, 0.0, 0.0, 0.0, 0.0, 0.0))
    return torch.tensor(row, dtype=torch.float64)
