"""The augmentation of a batch, from a recipe's flat parameters: one random draw an image, batched on the device."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from podium.augment.affine import affine, random_maps
from podium.augment.colour import adjust_brightness, random_factors, random_turns, turn_hue
from podium.augment.crop import random_boxes, resize, resized_crop
from podium.augment.cutout import cutout, random_corners
from podium.augment.enhance import adjust_contrast, adjust_saturation, adjust_sharpness, grey
from podium.augment.erase import erase, random_patches
from podium.augment.flip import alternating_mask, flip, random_mask
from podium.augment.levels import autocontrast, equalize, posterize, random_bits, random_thresholds, solarize
from podium.augment.policy import Policy
from podium.augment.steps import Batch, Step, on_some, random_coins
from podium.augment.translate import random_shifts, translate
from podium.errors import RecipeError
from podium.runtime import send

__all__ = ["Pipeline"]

_CPU_PIXELS = 256 * 40 * 40  # a larger batch is done in pieces, whose planes of 32 bits then stay in the cache

_ENHANCEMENTS = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "sharpness": adjust_sharpness,
}
_PARTS = (*_ENHANCEMENTS, "hue", "grey", "solarize", "equalize", "autocontrast", "erasing")
_RANGES = (
    ("resize", 0, math.inf),
    ("posterize", 0, 9),
    ("crop_ratio", 1, math.inf),
    ("rotate", 0, math.inf),
    ("shear", 0, 90),
)


@dataclass(kw_only=True, eq=False)
class Pipeline:
    """Steps in the order of the fields, from `resize` on; each gives uint8.

    A step whose parameter has its default is left out. Random numbers are drawn on the CPU, a fixed amount for each
    image and step, and moved to the device: a CPU and a GPU make the same pixels.

    Raises:
        RecipeError: a value outside of its range, or a `translate` or `cutout` that the image is too small for.
    """

    image_size: tuple[int, int]
    """(H', W') of what comes out. Without a crop, images of another size are resized to it."""
    resize: int = 0
    """Side of the square that images are first resized to; 0: not."""
    brightness: float = 0.0
    """b: factor uniform in [1 - b, 1 + b]; and so the next three, up to 1."""
    contrast: float = 0.0
    """Factor of the distance from the image's mean grey."""
    saturation: float = 0.0
    """Factor of the distance from the pixel's own grey."""
    sharpness: float = 0.0
    """Factor of the distance from the smoothed image."""
    hue: float = 0.0
    """a: turn uniform in [-a, a] of the circle, in HLS; 0.5 reaches every hue."""
    grey: float = 0.0
    """Probability that an image loses its colours."""
    posterize: int = 0
    """Number of bits that are kept, uniform from this to 8; 0: all."""
    solarize: float = 0.0
    """Probability that levels from a threshold on, uniform in 0 … 255, are inverted."""
    equalize: float = 0.0
    """Probability that each channel's histogram is flattened."""
    autocontrast: float = 0.0
    """Probability that each channel is stretched to 0 … 255."""
    crop_area_min: float = 1.0
    """Area uniform in [crop_area_min, 1] of the image; 1: no crop. The box has, in pixels of the image as it came, the
    proportions of `image_size`: those are kept, though `resize` gives them up in between."""
    crop_ratio: float = 1.0
    """r: those proportions times a factor log-uniform in [1/r, r]."""
    flip: str = "none"
    """none; random, a coin each time; alternating, a coin in the first epoch and then in turn."""
    translate: int = 0
    """Shift by up to this many pixels each way."""
    border: str = "reflect"
    """What that brings in. reflect: the image mirrored; mean: `fill`; black."""
    rotate: float = 0.0
    """Degrees: angle uniform in [-rotate, rotate]; bilinear, what comes in is `fill`."""
    shear: float = 0.0
    """Degrees: angles along x and along y uniform in [-shear, shear]; one map together with `rotate`."""
    policy: str = "none"
    """none, trivialaugment, randaugment, autoaugment: operations drawn for each image."""
    policy_ops: int = 2
    """Operations an image (randaugment)."""
    policy_magnitude: int = 9
    """Their strength, 0 … 30 (randaugment)."""
    cutout: int = 0
    """Side in pixels of the square that is painted over; 0: none."""
    erasing: float = 0.0
    """Probability that a box of 2 … 33 % of the area is painted over."""
    fill: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """A colour, per channel in [0, 1], rounded to uint8: the training images' mean, which becomes about 0."""
    num_images: int | None = None
    """Size of the training set, if known: the alternating flip's coins are then tossed once, here."""
    seed: int = 0
    """Of the alternating flip; the other steps draw from the generator of each call."""

    def __post_init__(self) -> None:
        self._check()
        self._fill = torch.tensor(self.fill).mul(255).round().to(torch.uint8)  # (3,)
        self._first_flips: Tensor | None = None  # bool (num_images,)
        if self.flip == "alternating" and self.num_images is not None:
            self._first_flips = alternating_mask(torch.arange(self.num_images), 0, self.seed)
        self.steps: list[Step] = [*self._colour_steps(), *self._geometric_steps(), *self._late_steps()]

    def __call__(
        self, pixels: Tensor, indices: Tensor, epoch: int, generator: torch.Generator, rows: Tensor | None = None
    ) -> Tensor:
        """Augments a batch, or a part of it as it is augmented in the whole.

        Args:
            pixels: uint8 (N, C, H, W) on any device, any strides; C is 3 if colours matter. With `rows`, only those.
            indices: int64 (N,), places of the images in the training set; on the CPU or the device of `pixels`. With
                `rows` those of the whole batch, for which all draws are made.
            epoch: from 0.
            generator: on the CPU, seeded by the caller for (seed, epoch, step).
            rows: int64 on the CPU, places in the batch of the images at hand; None: all, in order.

        Returns:
            uint8 (N, C, H', W'), channels_last, on the device of `pixels`; `pixels` itself if every step is off.
        """
        num_images, channels, height, width = pixels.shape
        batch = Batch(indices, (height, width), epoch, generator)
        draws = [step.draw(batch) for step in self.steps]
        if rows is not None:
            draws = [draw[send(rows, draw.device)] for draw in draws]
        draws = [
            draw if step.stays else send(draw, pixels.device) for step, draw in zip(self.steps, draws, strict=True)
        ]
        piece = max(1, _CPU_PIXELS // (self.resize**2 or height * width))  # images
        if pixels.device.type != "cpu" or num_images <= piece:
            return self._apply(pixels, draws).contiguous(memory_format=torch.channels_last)
        out = pixels.new_empty((num_images, *self.image_size, channels)).permute(0, 3, 1, 2)  # (N, C, H', W')
        for start in range(0, num_images, piece):
            some = slice(start, start + piece)
            out[some] = self._apply(pixels[some], [draw[some] for draw in draws])
        return out

    def _apply(self, pixels: Tensor, draws: list[Tensor]) -> Tensor:
        for step, draw in zip(self.steps, draws, strict=True):
            pixels = step.apply(pixels, draw)
        return pixels  # (N, C, H', W')

    def _colour_steps(self) -> Iterator[Step]:
        """Those that see the image as it came, or as `resize` made it."""
        if self.resize:
            yield Step.fixed("resize", lambda pixels: resize(pixels, (self.resize, self.resize)))
        for name, adjust in _ENHANCEMENTS.items():
            if amount := getattr(self, name):
                yield Step(name, _each(random_factors, amount), adjust)
        if self.hue:
            yield Step("hue", _each(random_turns, self.hue), turn_hue)
        if self.grey:
            yield Step("grey", _each(random_coins, self.grey), partial(on_some, grey), stays=True)
        if self.posterize:
            yield Step("posterize", _each(random_bits, self.posterize), posterize)
        if self.solarize:
            yield Step("solarize", _each(random_thresholds, self.solarize), solarize)
        if self.equalize:
            yield Step("equalize", _each(random_coins, self.equalize), partial(on_some, equalize), stays=True)
        if self.autocontrast:
            yield Step(
                "autocontrast", _each(random_coins, self.autocontrast), partial(on_some, autocontrast), stays=True
            )

    def _geometric_steps(self) -> Iterator[Step]:
        """From here on, images have their final size."""
        if self.crop_area_min < 1:
            yield Step("crop_area_min", self._boxes, lambda pixels, boxes: resized_crop(pixels, boxes, self.image_size))
        yield Step.fixed("image_size", lambda pixels: resize(pixels, self.image_size))
        if self.flip != "none":
            yield Step("flip", _each(random_mask) if self.flip == "random" else self._alternating_mask, flip)
        if self.translate:
            yield Step("translate", _each(random_shifts, self.translate), self._translate)
        if self.rotate or self.shear:
            draw = _each(random_maps, self.rotate, self.shear, self.image_size)
            yield Step("rotate", draw, lambda pixels, maps: affine(pixels, maps, self._fill_on(pixels), bilinear=True))

    def _late_steps(self) -> Iterator[Step]:
        if self.policy != "none":
            policy = Policy(self.policy, self.image_size, self.policy_ops, self.policy_magnitude)
            yield Step(
                "policy",
                _each(policy.draw),
                lambda pixels, drawn: policy(pixels, drawn, self._fill_on(pixels)),
                stays=True,
            )
        if self.cutout:
            yield Step(
                "cutout",
                _each(random_corners, self.cutout, self.image_size),
                lambda pixels, corners: cutout(pixels, corners, self.cutout, self._fill_on(pixels)),
            )
        if self.erasing:
            yield Step(
                "erasing",
                _each(random_patches, self.erasing, self.image_size),
                lambda pixels, boxes: erase(pixels, boxes, self._fill_on(pixels)),
            )

    def _fill_on(self, pixels: Tensor) -> Tensor:
        """The fill colour, uint8 (3,), where the pixels are; it is sent there once."""
        self._fill = self._fill.to(pixels.device)
        return self._fill

    def _boxes(self, batch: Batch) -> Tensor:
        # W'/H', times the factor by which the square has made the image narrower; one division, so 1 is exactly 1
        size = batch.size
        source = (self.resize, self.resize) if self.resize else size
        aspect = (self.image_size[1] * size[0] * source[1]) / (self.image_size[0] * size[1] * source[0])
        return random_boxes(
            len(batch.indices), source, self.crop_area_min, aspect, batch.generator, ratio=self.crop_ratio
        )

    def _alternating_mask(self, batch: Batch) -> Tensor:
        if self._first_flips is None:
            return alternating_mask(batch.indices, batch.epoch, self.seed)
        self._first_flips = self._first_flips.to(batch.indices.device)
        mask = self._first_flips[batch.indices]
        return ~mask if batch.epoch % 2 else mask

    def _translate(self, pixels: Tensor, shifts: Tensor) -> Tensor:
        if self.border == "reflect":
            return translate(pixels, shifts, self.translate)
        fill = self._fill_on(pixels)
        return translate(pixels, shifts, self.translate, fill if self.border == "mean" else torch.zeros_like(fill))

    def _check(self) -> None:
        choices = {"flip": ("none", "random", "alternating"), "border": ("reflect", "mean", "black")}
        for name, words in choices.items():
            if getattr(self, name) not in words:
                raise RecipeError(
                    f"{name} = {getattr(self, name)!r}: it must be {', '.join(words[:-1])} or {words[-1]}"
                )
        side = min(self.image_size)
        if not 0 <= self.translate < side:
            raise RecipeError(f"translate = {self.translate}: it must be at least 0 and below the image's {side}")
        if not 0 <= self.cutout <= side:
            raise RecipeError(f"cutout = {self.cutout}: it must be at least 0 and at most the image's {side}")
        for name in _PARTS:
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} = {getattr(self, name)}: it must be in 0 … 1")
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) < high:
                raise RecipeError(f"{name} = {getattr(self, name)}: it must be at least {low} and below {high:g}")
        if not 0 < self.crop_area_min <= 1:
            raise RecipeError(f"crop_area_min = {self.crop_area_min}: it must be above 0 and at most 1")


def _each(draw: Callable[..., Tensor], *parameters: object) -> Callable[[Batch], Tensor]:
    """A draw for each image of a batch: `draw(num_images, *parameters, generator)`."""
    return lambda batch: draw(len(batch.indices), *parameters, batch.generator)
