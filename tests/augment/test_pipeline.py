"""The steps together: order, draws, promises."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from podium.augment import Pipeline, adjust_brightness, cutout, flip, resize, resized_crop, translate, turn_hue
from podium.augment import pipeline as pipeline_module
from podium.errors import RecipeError

SEED_CHAIN: dict[str, Any] = {"resize": 40, "brightness": 0.5, "hue": 0.5, "crop_area_min": 0.64, "flip": "random"}
SPRINT: dict[str, Any] = {"flip": "alternating", "translate": 2}
ALL: dict[str, Any] = {**SEED_CHAIN, "flip": "alternating", "translate": 3, "cutout": 5}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(n: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """As they come from an Images' pixels: NHWC in memory."""
    shape = (n, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed)).permute(0, 3, 1, 2)


def is_batch(pixels: Tensor, *shape: int) -> bool:
    is_channels_last = pixels.is_contiguous(memory_format=torch.channels_last)
    return pixels.shape == shape and pixels.dtype == torch.uint8 and is_channels_last


@pytest.mark.parametrize("parameters", [{}, SEED_CHAIN, SPRINT, ALL], ids=["nothing", "seed", "sprint", "all"])
@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("size", [(32, 32), (24, 20)])
def test_what_comes_out(parameters: dict[str, Any], n: int, size: tuple[int, int]) -> None:
    pipeline = Pipeline(image_size=size, **parameters)
    pixels = random_images(n, 32, 30)
    kept = pixels.clone()
    result = pipeline(pixels, torch.arange(n), 0, generator())
    assert is_batch(result, n, 3, *size)
    assert torch.equal(pixels, kept)


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
@settings(max_examples=20)
def test_without_parameters_nothing_changes(n: int, height: int, width: int, seed: int) -> None:
    pixels = random_images(n, height, width, seed)
    drawn = generator()
    result = Pipeline(image_size=(height, width))(pixels, torch.arange(n), seed, drawn)
    assert torch.equal(result, pixels)
    assert torch.equal(drawn.get_state(), generator().get_state())  # nothing is drawn for a step that is off


def test_the_steps_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(image_size=(32, 32), **ALL)
    pixels, indices = random_images(50), torch.arange(50)
    draws = pipeline._draw(indices, (32, 32), 0, generator())
    assert draws.factors is not None
    assert draws.turns is not None
    assert draws.boxes is not None
    assert draws.mirrored is not None
    assert draws.shifts is not None
    expected = resize(pixels, (40, 40))
    expected = turn_hue(adjust_brightness(expected, draws.factors), draws.turns)
    expected = flip(resized_crop(expected, draws.boxes, (32, 32)), draws.mirrored)
    assert draws.corners is not None
    expected = translate(expected, draws.shifts, 3)
    expected = cutout(expected, draws.corners, 5, torch.full((3,), 128, dtype=torch.uint8))
    assert torch.equal(pipeline(pixels, indices, 0, generator()), expected)
    monkeypatch.setattr(pipeline_module, "_CPU_PIXELS", 13 * 40 * 40)  # nor does the size of the pieces matter
    assert torch.equal(pipeline(pixels, indices, 0, generator()), expected)


def test_the_generator_decides_everything_but_the_alternation() -> None:
    pixels, indices = random_images(64), torch.arange(64)
    pipeline = Pipeline(image_size=(32, 32), **SEED_CHAIN)
    first = pipeline(pixels, indices, 0, generator(1))
    assert torch.equal(pipeline(pixels, indices, 5, generator(1)), first)
    assert not torch.equal(pipeline(pixels, indices, 0, generator(2)), first)


@pytest.mark.parametrize(
    "parameters",
    [{"brightness": 0.5}, {"hue": 0.5}, {"crop_area_min": 0.5}, {"flip": "random"}, {"translate": 2}, {"cutout": 9}],
    ids=lambda parameters: next(iter(parameters)),
)
def test_each_image_gets_its_own_draw(parameters: dict[str, Any]) -> None:
    pixels = random_images(1).expand(64, 3, 32, 32)
    result = Pipeline(image_size=(32, 32), **parameters)(pixels, torch.arange(64), 0, generator())
    num_distinct = len({image.contiguous().numpy().tobytes() for image in result})
    assert num_distinct >= {"flip": 2, "translate": 20}.get(next(iter(parameters)), 50)


@pytest.mark.parametrize("num_images", [None, 1000])
def test_the_alternating_flip_depends_on_index_and_epoch_alone(num_images: int | None) -> None:
    pixels = random_images(1000)
    pipeline = Pipeline(image_size=(32, 32), flip="alternating", num_images=num_images, seed=7)
    epochs = [pipeline(pixels, torch.arange(1000), epoch, generator(epoch)) for epoch in range(3)]
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[0], epochs[1].flip(3))
    mirrored = (epochs[0] != pixels).flatten(1).any(1)
    assert 430 < mirrored.sum() < 570
    shuffled = torch.randperm(1000, generator=generator())
    for batch in shuffled.split(170):
        assert torch.equal(pipeline(pixels[batch], batch, 1, generator(9)), epochs[1][batch])
    other = Pipeline(image_size=(32, 32), flip="alternating", num_images=num_images, seed=8)
    assert not torch.equal(other(pixels, torch.arange(1000), 0, generator()), epochs[0])


@pytest.mark.parametrize("resize_to", [0, 20, 40])
@pytest.mark.parametrize("out", [(32, 64), (16, 32), (32, 32)])
def test_a_crop_keeps_proportions_whatever_the_square_between(resize_to: int, out: tuple[int, int]) -> None:
    pipeline = Pipeline(image_size=out, resize=resize_to, crop_area_min=0.3)
    boxes = pipeline._draw(torch.arange(1000), (32, 64), 0, generator()).boxes
    assert boxes is not None
    source = (resize_to, resize_to) if resize_to else (32, 64)
    down, across = 32 / source[0], 64 / source[1]  # of the image's own pixels to one of the square's
    height, width = boxes[:, 2].double() * down, boxes[:, 3].double() * across
    ratio = out[1] / out[0]
    fits = height < 32
    assert fits.sum() > 200
    rounding = (across + ratio * down) / 2
    assert ((width - ratio * height).abs()[fits] <= rounding).all()
    if ratio == 2:  # the image's own: all of it can be seen
        assert (height.max().item(), width.max().item()) == (32, 64)
        assert fits.double().mean() > 0.9


def test_a_wide_image_through_a_square_comes_out_undistorted() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).mul(4).expand(1, 3, 32, 64)
    pipeline = Pipeline(image_size=(32, 64), resize=64, crop_area_min=0.999)
    result = pipeline(ramp, torch.arange(1), 0, generator())
    assert (result.int() - ramp.int()).abs().max() <= 4  # a pixel's step: the box is the whole picture or nearly


def test_an_empty_batch_stays_empty() -> None:
    result = Pipeline(image_size=(32, 32), **ALL)(random_images(0), torch.arange(0), 0, generator())
    assert result.shape == (0, 3, 32, 32)


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip": "sometimes"},
        {"translate": 32},
        {"translate": -1},
        {"cutout": 33},
        {"cutout": -1},
        {"resize": -1},
        {"brightness": 1.5},
        {"brightness": float("nan")},
        {"hue": -0.1},
        {"crop_area_min": 0.0},
        {"crop_area_min": 1.1},
    ],
    ids=str,
)
def test_impossible_values_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Pipeline(image_size=(32, 32), **wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("parameters", [SEED_CHAIN, SPRINT, ALL], ids=["seed", "sprint", "all"])
def test_a_gpu_makes_the_same_pixels(parameters: dict[str, Any]) -> None:
    pixels, indices = random_images(300), torch.arange(300)
    expected = Pipeline(image_size=(32, 32), **parameters)(pixels, indices, 1, generator())
    pipeline = Pipeline(image_size=(32, 32), num_images=300, **parameters)
    for where in ("cpu", "cuda"):
        result = pipeline(pixels.cuda(), indices.to(where), 1, generator())
        assert torch.equal(result.cpu(), expected)
