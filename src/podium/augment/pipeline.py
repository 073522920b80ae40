"""The augmentation of a batch, from a recipe's flat parameters: one random draw an image, batched on the device."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from podium.augment.colour import adjust_brightness, random_factors, random_turns, turn_hue
from podium.augment.crop import random_boxes, resize, resized_crop
from podium.augment.cutout import cutout, random_corners
from podium.augment.flip import alternating_mask, flip, random_mask
from podium.augment.translate import random_shifts, translate
from podium.errors import RecipeError
from podium.runtime import send

__all__ = ["Pipeline"]

_CPU_PIXELS = 256 * 40 * 40  # a larger batch is done in pieces, whose planes of 32 bits then stay in the cache


@dataclass(frozen=True)
class _Draws:
    """What was drawn for each image of a batch; None for a step that is off."""

    factors: Tensor | None  # float32 (N,)
    turns: Tensor | None  # float32 (N,)
    boxes: Tensor | None  # int64 (N, 4)
    mirrored: Tensor | None  # bool (N,)
    shifts: Tensor | None  # int64 (N, 2)
    corners: Tensor | None  # int64 (N, 2)

    def to(self, device: torch.device) -> "_Draws":
        return _Draws(*(None if draw is None else send(draw, device) for draw in self._all()))

    def part(self, start: int, stop: int) -> "_Draws":
        return _Draws(*(None if draw is None else draw[start:stop] for draw in self._all()))

    def _all(self) -> list[Tensor | None]:
        return [getattr(self, field.name) for field in fields(self)]


class Pipeline:
    """Resize → brightness → hue → random resized crop → flip → translate → cutout; every step gives uint8.

    A step whose parameter has its default is left out. Random numbers are drawn on the CPU, a fixed amount for each
    image and step, and moved to the device: a CPU and a GPU make the same pixels.

    Args:
        image_size: (H', W') of what comes out. Without a crop, images of another size are resized to it.
        flip: "none"; "random", a coin each time; "alternating", a coin in the first epoch and then in turn.
        translate: shift by up to this many pixels each way, reflected at the edges.
        resize: side of the square that images are first resized to; 0: not.
        brightness: b: factor uniform in [1 - b, 1 + b].
        hue: a: turn uniform in [-a, a] of the circle; 0.5 reaches every hue.
        crop_area_min: area uniform in [crop_area_min, 1] of the image; 1: no crop. The box has, in pixels of the image
            as it came, the proportions of `image_size`: those are kept, though `resize` gives them up in between.
        cutout: side in pixels of the square that is painted over; 0: none.
        fill: its colour, per channel in [0, 1], rounded to uint8: the training images' mean, which becomes about 0.
        num_images: size of the training set, if known: the alternating flip's coins are then tossed once, here.
        seed: of the alternating flip; the other steps draw from the generator of each call.

    Raises:
        RecipeError: a value outside of its range, or a `translate` or `cutout` that the image is too small for.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        flip: str = "none",
        translate: int = 0,
        resize: int = 0,
        brightness: float = 0.0,
        hue: float = 0.0,
        crop_area_min: float = 1.0,
        cutout: int = 0,
        fill: tuple[float, float, float] = (0.5, 0.5, 0.5),
        num_images: int | None = None,
        seed: int = 0,
    ) -> None:
        if flip not in ("none", "random", "alternating"):
            raise RecipeError(f"flip = {flip!r}: it must be none, random or alternating")
        if not 0 <= translate < min(image_size):
            raise RecipeError(f"translate = {translate}: it must be at least 0 and below the image's {min(image_size)}")
        if not 0 <= cutout <= min(image_size):
            raise RecipeError(f"cutout = {cutout}: it must be at least 0 and at most the image's {min(image_size)}")
        if resize < 0:
            raise RecipeError(f"resize = {resize}: it must be at least 0")
        for name, value in (("brightness", brightness), ("hue", hue)):
            if not 0 <= value <= 1:
                raise RecipeError(f"{name} = {value}: it must be in 0 … 1")
        if not 0 < crop_area_min <= 1:
            raise RecipeError(f"crop_area_min = {crop_area_min}: it must be above 0 and at most 1")
        self.image_size = image_size
        self.flip = flip
        self.translate = translate
        self.resize = resize
        self.brightness = brightness
        self.hue = hue
        self.crop_area_min = crop_area_min
        self.cutout = cutout
        self.fill = torch.tensor(fill).mul(255).round().to(torch.uint8)  # (3,)
        self.seed = seed
        self._first_flips: Tensor | None = None  # bool (num_images,)
        if flip == "alternating" and num_images is not None:
            self._first_flips = alternating_mask(torch.arange(num_images), 0, seed)

    def __call__(self, pixels: Tensor, indices: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Augments a batch.

        Args:
            pixels: uint8 (N, C, H, W) on any device, any strides; C is 3 if the hue is turned.
            indices: int64 (N,), places of the images in the training set; on the CPU or the device of `pixels`.
            epoch: from 0.
            generator: on the CPU, seeded by the caller for (seed, epoch, step).

        Returns:
            uint8 (N, C, H', W'), channels_last, on the device of `pixels`; `pixels` itself if every step is off.
        """
        num_images, channels, height, width = pixels.shape
        draws = self._draw(indices, (height, width), epoch, generator).to(pixels.device)
        piece = max(1, _CPU_PIXELS // (self.resize**2 or height * width))  # images
        if pixels.device.type != "cpu" or num_images <= piece:
            return self._apply(pixels, draws).contiguous(memory_format=torch.channels_last)
        out = pixels.new_empty((num_images, *self.image_size, channels)).permute(0, 3, 1, 2)  # (N, C, H', W')
        for start in range(0, num_images, piece):
            stop = min(start + piece, num_images)
            out[start:stop] = self._apply(pixels[start:stop], draws.part(start, stop))
        return out

    def _draw(self, indices: Tensor, size: tuple[int, int], epoch: int, generator: torch.Generator) -> _Draws:
        """All draws of a batch of images that come in `size` (H, W)."""
        num_images = len(indices)
        factors = turns = boxes = mirrored = shifts = corners = None
        if self.brightness:
            factors = random_factors(num_images, self.brightness, generator)
        if self.hue:
            turns = random_turns(num_images, self.hue, generator)
        if self.crop_area_min < 1:
            # W'/H', times the factor by which the square has made the image narrower; one division, so 1 is exactly 1
            source = (self.resize, self.resize) if self.resize else size
            aspect = (self.image_size[1] * size[0] * source[1]) / (self.image_size[0] * size[1] * source[0])
            boxes = random_boxes(num_images, source, self.crop_area_min, aspect, generator)
        if self.flip == "random":
            mirrored = random_mask(num_images, generator)
        elif self.flip == "alternating":
            mirrored = self._alternate(indices, epoch)
        if self.translate:
            shifts = random_shifts(num_images, self.translate, generator)
        if self.cutout:
            corners = random_corners(num_images, self.cutout, self.image_size, generator)
        return _Draws(factors, turns, boxes, mirrored, shifts, corners)

    def _alternate(self, indices: Tensor, epoch: int) -> Tensor:
        if self._first_flips is None:
            return alternating_mask(indices, epoch, self.seed)
        self._first_flips = self._first_flips.to(indices.device)
        mask = self._first_flips[indices]
        return ~mask if epoch % 2 else mask

    def _apply(self, pixels: Tensor, draws: _Draws) -> Tensor:
        if self.resize:
            pixels = resize(pixels, (self.resize, self.resize))
        if draws.factors is not None:
            pixels = adjust_brightness(pixels, draws.factors)
        if draws.turns is not None:
            pixels = turn_hue(pixels, draws.turns)
        if draws.boxes is not None:
            pixels = resized_crop(pixels, draws.boxes, self.image_size)
        pixels = resize(pixels, self.image_size)
        if draws.mirrored is not None:
            pixels = flip(pixels, draws.mirrored)
        if draws.shifts is not None:
            pixels = translate(pixels, draws.shifts, self.translate)
        if draws.corners is not None:
            self.fill = self.fill.to(pixels.device)
            pixels = cutout(pixels, draws.corners, self.cutout, self.fill)
        return pixels  # (N, C, H', W')
