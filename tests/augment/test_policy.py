"""The policies: every choice against Pillow, and how they are drawn."""

import math

import pytest
import torch
from pictures import FILL, generator, in_pillow, layouts, pictures
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from podium.augment import Policy
from podium.augment.policy import NAMES, Choice
from podium.errors import RecipeError

COLOUR = torch.tensor(FILL, dtype=torch.uint8)
POLICIES = ["trivialaugment", "randaugment", "autoaugment"]
ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "saturation": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}


def changed(image: Image.Image, choice: Choice) -> Image.Image:
    """What Pillow makes of a choice, called as in the papers' own code."""
    name, value = choice.name, choice.value
    maps = {
        "shear_x": (1, value, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, value, 1, 0),
        "translate_x": (1, 0, value, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, value),
    }
    if name in maps:
        return image.transform(image.size, Image.Transform.AFFINE, maps[name], fillcolor=FILL)
    if name == "rotate":
        return image.rotate(value, fillcolor=FILL)
    if name in ENHANCERS:
        return ENHANCERS[name](image).enhance(value)
    if name == "posterize":
        return ImageOps.posterize(image, int(value))
    if name == "solarize":
        return ImageOps.solarize(image, value)
    others = {"autocontrast": ImageOps.autocontrast, "equalize": ImageOps.equalize, "invert": ImageOps.invert}
    return others.get(name, lambda same: same)(image)


def is_even(counts: Tensor) -> bool:
    """Whether counts of equally likely outcomes are within five standard deviations."""
    mean = counts.double().mean()
    return bool(((counts - mean).abs() < 5 * mean**0.5).all())


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("size", [(32, 32), (17, 40)])
def test_every_choice_is_pillows(name: str, size: tuple[int, int]) -> None:
    policy = Policy(name, size)
    n = len(policy.choices)
    pixels = pictures(n, *size)
    kept = pixels.clone()
    shuffled = torch.randperm(n, generator=generator())
    expected = in_pillow(changed, pixels, [policy.choices[i] for i in shuffled])
    for strided in layouts(pixels):
        assert torch.equal(policy(strided, shuffled[:, None], COLOUR), expected)
    assert torch.equal(pixels, kept)


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_drawn_is_applied_one_after_the_other_and_to_its_own_image(name: str) -> None:
    policy = Policy(name, (16, 16), num_ops=3)
    pixels = pictures(200, 16, 16)
    drawn = policy.draw(200, generator())
    assert drawn.shape == (200, {"trivialaugment": 1, "randaugment": 3, "autoaugment": 2}[name])
    expected = pixels
    for column in drawn.unbind(1):
        expected = in_pillow(changed, expected, [policy.choices[i] for i in column])
    assert torch.equal(policy(pixels, drawn, COLOUR), expected)
    assert torch.equal(policy(pixels[7:8], drawn[7:8], COLOUR), expected[7:8])
    assert policy(pixels[:0], drawn[:0], COLOUR).shape == (0, 3, 16, 16)


def test_trivialaugment_draws_each_operation_level_and_sign_equally_often_in_one_batch() -> None:
    policy = Policy("trivialaugment", (32, 32))
    choices = [policy.choices[i] for i in policy.draw(140_000, generator()).flatten()]
    names = torch.tensor([NAMES.index(choice.name) for choice in choices])
    assert len(NAMES) == len(set(NAMES)) == 14
    assert is_even(names.bincount(minlength=14))
    levels = torch.tensor([round(255 - c.value) for c in choices if c.name == "solarize"])
    assert levels.unique().tolist() == sorted({round(8.5 * level) for level in range(31)})
    angles = torch.tensor([round(choice.value / 4.5) for choice in choices if choice.name == "rotate"]) + 30
    counts = angles.bincount(minlength=61)
    counts[30] //= 2  # level 0 has both signs
    assert is_even(counts)


def test_draws_of_images_and_of_operations_are_independent() -> None:
    drawn = Policy("randaugment", (32, 32), num_ops=2).draw(50_000, generator()) // 2
    assert is_even((drawn[:, 0] * 14 + drawn[:, 1]).bincount(minlength=196))  # with replacement: all pairs
    follows = drawn[:-1, 0] * 14 + drawn[1:, 0]
    assert is_even(follows.bincount(minlength=196))


def test_autoaugment_draws_its_pairs_evenly_and_their_operations_by_their_probabilities() -> None:
    policy = Policy("autoaugment", (32, 32))
    drawn = policy.draw(100_000, generator())
    identity = len(policy.choices) - 1
    assert len(policy.choices) == 25 * 2 * 2 + 1
    # the 22nd pair is a shift down in 9 of 10, and another one in 7 of 10
    for place, mean in ((0, 3600), (1, 2800)):
        happened = ((drawn[:, place] // 2) == 2 * 21 + place).sum().item()
        assert abs(happened - mean) < 5 * mean**0.5
    # Solarize 0.5, then Invert 0.0: the second one never happens
    assert not ((drawn[:, 1] // 2) == 2 * 14 + 1).any()
    by_pair = torch.stack([((drawn[:, 0] // 2) == 2 * pair).sum() for pair in range(25)]).double()
    assert torch.equal(policy._probabilities[:, 0] > 0, by_pair > 0)
    expected = policy._probabilities[:, 0].double() * 4000
    assert ((by_pair - expected).abs() < 5 * expected**0.5).all()
    total = policy._probabilities.double().mean(0)
    for place in (0, 1):
        assert abs((drawn[:, place] != identity).double().mean() - total[place]) < 0.01


def test_strengths_are_the_papers() -> None:
    wide = set(Policy("trivialaugment", (64, 64)).choices)
    largest = {name: max(abs(c.value) for c in wide if c.name == name) for name in NAMES}
    assert largest["shear_x"] == largest["shear_y"] == pytest.approx(0.99)
    assert largest["translate_x"] == largest["translate_y"] == 32
    assert largest["rotate"] == 135
    assert all(largest[name] == pytest.approx(1.99) for name in ENHANCERS)
    assert {c.value for c in wide if c.name == "posterize"} == {2, 3, 4, 5, 6, 7, 8}
    assert min(c.value for c in wide if c.name == "solarize") == 0
    strongest = {c.name: abs(c.value) for c in Policy("randaugment", (32, 64), magnitude=30).choices}
    assert strongest["shear_x"] == pytest.approx(0.3)
    assert (strongest["translate_x"], strongest["translate_y"]) == (29, 14)  # 150/331 of 64 and of 32
    assert (strongest["rotate"], strongest["posterize"], strongest["solarize"]) == (30, 4, 0)
    assert strongest["sharpness"] == pytest.approx(1.9)
    middle = {c.name: c.value for c in Policy("randaugment", (32, 32), magnitude=9).choices}
    assert (middle["rotate"], middle["translate_x"], middle["posterize"]) == (9, 4, 7)
    assert middle["solarize"] == pytest.approx(178.5)
    weakest = Policy("randaugment", (32, 32), magnitude=0)
    pixels = pictures(28, 32, 32).clamp(max=254)  # solarize at 255 inverts white
    unchanged = weakest(pixels, torch.arange(28)[:, None], COLOUR) == pixels
    assert {weakest.choices[i].name for i in range(28) if not unchanged[i].all()} == {"autocontrast", "equalize"}


def test_a_policys_draw_is_a_fixed_amount() -> None:
    for name in POLICIES:
        policy = Policy(name, (32, 32))
        one, other = generator(1), generator(1)
        assert torch.equal(policy.draw(50, one), policy.draw(50, other))
        assert torch.equal(one.get_state(), other.get_state())
    assert math.prod(Policy("randaugment", (8, 8), num_ops=5).draw(3, generator()).shape) == 15


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"name": "fastautoaugment"}, "policy ="),
        ({"name": "randaugment", "num_ops": 0}, "policy_ops"),
        ({"name": "randaugment", "magnitude": 31}, "policy_magnitude"),
        ({"name": "randaugment", "magnitude": -1}, "policy_magnitude"),
    ],
)
def test_impossible_policies_are_named(arguments, word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        Policy(size=(32, 32), **arguments)
