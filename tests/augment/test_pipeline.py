"""The steps together: order, draws, promises."""

import hashlib
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from podium.augment import (
    Pipeline,
    Policy,
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_sharpness,
    affine,
    autocontrast,
    cutout,
    equalize,
    erase,
    flip,
    grey,
    posterize,
    resize,
    resized_crop,
    solarize,
    translate,
    turn_hue,
)
from podium.augment import pipeline as pipeline_module
from podium.augment.steps import Batch
from podium.errors import RecipeError
from podium.recipe import Recipe
from podium.training.setup import new_pipeline

SEED_CHAIN: dict[str, Any] = {"resize": 40, "brightness": 0.5, "hue": 0.5, "crop_area_min": 0.64, "flip": "random"}
SPRINT: dict[str, Any] = {"flip": "alternating", "translate": 2}
CUT: dict[str, Any] = {**SEED_CHAIN, "flip": "alternating", "translate": 3, "cutout": 5}
ALL: dict[str, Any] = {
    **CUT,
    "contrast": 0.4,
    "saturation": 0.6,
    "sharpness": 1.0,
    "grey": 0.3,
    "posterize": 3,
    "solarize": 0.4,
    "equalize": 0.3,
    "autocontrast": 0.5,
    "crop_ratio": 4 / 3,
    "border": "mean",
    "rotate": 20.0,
    "shear": 10.0,
    "policy": "randaugment",
    "erasing": 0.5,
}
RECIPES = {"nothing": {}, "seed": SEED_CHAIN, "sprint": SPRINT, "cut": CUT, "all": ALL}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(n: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """As they come from an Images' pixels: NHWC in memory."""
    shape = (n, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed)).permute(0, 3, 1, 2)


def is_batch(pixels: Tensor, *shape: int) -> bool:
    is_channels_last = pixels.is_contiguous(memory_format=torch.channels_last)
    return pixels.shape == shape and pixels.dtype == torch.uint8 and is_channels_last


@pytest.mark.parametrize("parameters", RECIPES.values(), ids=RECIPES)
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


def draws_of(pipeline: Pipeline, n: int, size: tuple[int, int]) -> dict[str, Tensor]:
    batch = Batch(torch.arange(n), size, 0, generator())
    return {step.name: step.draw(batch) for step in pipeline.steps}


def test_the_steps_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(image_size=(32, 32), **ALL)
    pixels, indices = random_images(50), torch.arange(50)
    draw = draws_of(pipeline, 50, (32, 32))
    fill = torch.full((3,), 128, dtype=torch.uint8)
    expected = adjust_brightness(resize(pixels, (40, 40)), draw["brightness"])
    expected = adjust_saturation(adjust_contrast(expected, draw["contrast"]), draw["saturation"])
    expected = turn_hue(adjust_sharpness(expected, draw["sharpness"]), draw["hue"])
    expected = torch.where(draw["grey"][:, None, None, None], grey(expected), expected)
    expected = solarize(posterize(expected, draw["posterize"]), draw["solarize"])
    expected = torch.where(draw["equalize"][:, None, None, None], equalize(expected), expected)
    expected = torch.where(draw["autocontrast"][:, None, None, None], autocontrast(expected), expected)
    expected = flip(resized_crop(expected, draw["crop_area_min"], (32, 32)), draw["flip"])
    expected = translate(expected, draw["translate"], 3, fill)
    expected = affine(expected, draw["rotate"], fill, bilinear=True)
    expected = Policy("randaugment", (32, 32))(expected, draw["policy"], fill)
    expected = cutout(expected, draw["cutout"], 5, fill)
    expected = erase(expected, draw["erasing"], fill)
    assert torch.equal(pipeline(pixels, indices, 0, generator()), expected)
    monkeypatch.setattr(pipeline_module, "_CPU_PIXELS", 13 * 40 * 40)  # nor does the size of the pieces matter
    assert torch.equal(pipeline(pixels, indices, 0, generator()), expected)


@pytest.mark.parametrize(
    ("parameters", "size", "digest"),
    [
        (SEED_CHAIN, (32, 32), "0a9ed750747c5c24"),
        (SEED_CHAIN, (24, 20), "c06d5e773c6132ec"),
        (SPRINT, (32, 32), "e6311f1286de1a29"),
        (SPRINT, (24, 20), "663667d14d5c155e"),
        (CUT, (32, 32), "f248e50ff7871318"),
        (CUT, (24, 20), "3546da0c8f72e022"),
    ],
)
def test_pipelines_of_before_the_other_steps_give_the_same_bits(
    parameters: dict[str, Any], size: tuple[int, int], digest: str
) -> None:
    """Digests of what the pipeline of 0.1.0's first recipes made, before it became a list of steps."""
    pixels = random_images(450, *((32, 32) if size == (32, 32) else (32, 30)))
    result = Pipeline(image_size=size, seed=3, **parameters)(pixels, torch.arange(450), 1, generator(5))
    assert hashlib.sha256(result.permute(0, 2, 3, 1).contiguous().numpy().tobytes()).hexdigest()[:16] == digest


def test_a_new_step_leaves_the_draws_before_it_alone() -> None:
    with_all = draws_of(Pipeline(image_size=(32, 32), **ALL), 20, (32, 32))
    without = draws_of(Pipeline(image_size=(32, 32), **{**ALL, "erasing": 0.0, "cutout": 0}), 20, (32, 32))
    assert without
    for name, draw in without.items():
        assert torch.equal(draw, with_all[name])


@pytest.mark.parametrize("border", ["mean", "black"])
def test_the_border_has_its_colour(border: str) -> None:
    pixels = torch.full((40, 3, 32, 32), 200, dtype=torch.uint8)
    pipeline = Pipeline(image_size=(32, 32), translate=4, border=border, fill=(0.1, 0.2, 0.3))
    result = pipeline(pixels, torch.arange(40), 0, generator())
    brought_in = result[(result != 200).any(1, keepdim=True).expand_as(result)].view(-1)
    assert set(brought_in.tolist()) == ({26, 51, 76} if border == "mean" else {0})


def test_every_key_of_a_recipe_reaches_the_pipeline() -> None:
    others = {"image_size", "fill", "num_images", "seed"}
    keys = {field.name for field in fields(Pipeline)} - others
    assert keys <= {field.name for field in fields(Recipe)}
    recipe = replace(Recipe(), **{**ALL, "policy_ops": 3, "policy_magnitude": 7})
    pipeline = new_pipeline(recipe, 5, (32, 32), 100, (0.1, 0.2, 0.3))
    for key in keys:
        assert getattr(pipeline, key) == getattr(recipe, key)
        assert getattr(recipe, key) != getattr(Recipe(), key), f"{key} isn't tried"
    assert (pipeline.fill, pipeline.num_images, pipeline.seed) == ((0.1, 0.2, 0.3), 100, 5)


def test_the_generator_decides_everything_but_the_alternation() -> None:
    pixels, indices = random_images(64), torch.arange(64)
    pipeline = Pipeline(image_size=(32, 32), **SEED_CHAIN)
    first = pipeline(pixels, indices, 0, generator(1))
    assert torch.equal(pipeline(pixels, indices, 5, generator(1)), first)
    assert not torch.equal(pipeline(pixels, indices, 0, generator(2)), first)


@pytest.mark.parametrize(
    ("parameters", "num_distinct"),
    [
        ({"brightness": 0.5}, 50),
        ({"contrast": 0.5}, 50),
        ({"saturation": 0.5}, 50),
        ({"sharpness": 0.5}, 50),
        ({"hue": 0.5}, 50),
        ({"grey": 0.5}, 2),
        ({"posterize": 1}, 8),
        ({"solarize": 0.9}, 40),
        ({"equalize": 0.5}, 2),
        ({"autocontrast": 0.5}, 2),
        ({"crop_area_min": 0.5}, 50),
        ({"flip": "random"}, 2),
        ({"translate": 2}, 20),
        ({"rotate": 30.0}, 50),
        ({"shear": 30.0}, 50),
        ({"policy": "trivialaugment"}, 40),
        ({"policy": "randaugment"}, 40),
        ({"policy": "autoaugment"}, 25),
        ({"cutout": 9}, 50),
        ({"erasing": 0.9}, 50),
    ],
    ids=str,
)
def test_each_image_gets_its_own_draw(parameters: dict[str, Any], num_distinct: int) -> None:
    pixels = random_images(1).clamp(3, 250).expand(64, 3, 32, 32)
    result = Pipeline(image_size=(32, 32), **parameters)(pixels, torch.arange(64), 0, generator())
    assert len({image.contiguous().numpy().tobytes() for image in result}) >= num_distinct


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
    boxes = draws_of(pipeline, 1000, (32, 64))["crop_area_min"]
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
        {"contrast": 1.1},
        {"saturation": -0.1},
        {"sharpness": 2.0},
        {"grey": 1.5},
        {"posterize": 9},
        {"posterize": -1},
        {"solarize": -1.0},
        {"equalize": 2.0},
        {"autocontrast": float("nan")},
        {"crop_ratio": 0.5},
        {"border": "wrap"},
        {"rotate": -1.0},
        {"shear": 90.0},
        {"policy": "auto"},
        {"policy_ops": 0, "policy": "randaugment"},
        {"policy_magnitude": 31, "policy": "randaugment"},
        {"erasing": 1.01},
    ],
    ids=str,
)
def test_impossible_values_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Pipeline(image_size=(32, 32), **wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize(
    "parameters",
    [
        SEED_CHAIN,
        SPRINT,
        ALL,
        {"policy": "trivialaugment"},
        {"policy": "autoaugment"},
        {"translate": 4, "border": "black"},
    ],
    ids=str,
)
def test_a_gpu_makes_the_same_pixels(parameters: dict[str, Any]) -> None:
    pixels, indices = random_images(300), torch.arange(300)
    expected = Pipeline(image_size=(32, 32), **parameters)(pixels, indices, 1, generator())
    pipeline = Pipeline(image_size=(32, 32), num_images=300, **parameters)
    for where in ("cpu", "cuda"):
        result = pipeline(pixels.cuda(), indices.to(where), 1, generator())
        assert torch.equal(result.cpu(), expected)
