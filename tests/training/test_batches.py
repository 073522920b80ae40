"""A batch that several processes share is, pixel by pixel, the one that one process would make."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from podium.augment import Mixer
from podium.recipe import Recipe
from podium.training import setup
from podium.training.batches import Batches, share
from podium.training.feed import Resident
from podium.training.plan import Plan
from podium.training.timetable import Timetable
from podium.world import ALONE, World


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_shares_cover_each_part_once_and_alike(num_images, num_parts, size):
    whole = share(num_images, num_parts, ALONE)
    assert whole.rows is None
    shares = [share(num_images, num_parts, World(rank, size)) for rank in range(size)]
    assert {len(one.sizes) for one in (*shares, whole)} == {len(whole.sizes)}  # all go back equally often
    for number, length in enumerate(whole.sizes):
        assert sum(one.sizes[number] for one in shares) == length
    if size > 1:
        assert sorted(torch.cat([one.rows for one in shares]).tolist()) == list(range(num_images))
        start = 0
        for number, length in enumerate(whole.sizes):  # the parts are the same, not only as long
            rows = torch.cat([torch.split(one.rows, one.sizes)[number] for one in shares])
            assert rows.tolist() == list(range(start, start + length))
            start += length


RECIPES = {
    "plain": {},
    "everything": {
        "flip": "alternating",
        "translate": 2,
        "brightness": 0.4,
        "cutout": 3,
        "mixup": 0.4,
        "cutmix": 0.7,
        "grow_scales": [0.75],
        "grow_until": [0.9],
        "accumulate": 3,
    },
    "policy": {"policy": "randaugment", "crop_area_min": 0.6, "erasing": 0.5, "rotate": 20.0, "cutmix": 1.0},
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("size", [2, 3])
def test_processes_see_just_what_one_would(name, size):
    recipe = Recipe(name="r", model="sprint").with_settings({"epochs": 2, "batch_size": 22, **RECIPES[name]})
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (44, 12, 12, 3), generator=generator).to(torch.uint8)
    labels = torch.randint(0, 5, (44,), generator=generator)
    weights = torch.rand(44, generator=generator)
    plan = Timetable(Plan.from_recipe(recipe, len(pixels)))
    augment = setup.new_pipeline(recipe, 3, (12, 12), len(pixels), (0.5, 0.4, 0.3))
    mixer = Mixer(recipe.mixup, recipe.cutmix)
    order = torch.randperm(44, generator=generator)[:22]

    def made(world):
        batches = Batches(Resident(pixels), (12, 12), labels, augment, mixer, plan, recipe.accumulate, 3, world)
        return batches(order, weights, 1, 2)

    whole, rows = made(ALONE), [share(22, recipe.accumulate, World(rank, size)).rows for rank in range(size)]
    parts = [made(World(rank, size)) for rank in range(size)]
    assert whole.num_images == 22
    assert {part.num_images for part in parts} == {22}
    assert torch.equal(whole.indices, order)
    for field in ("pixels", "targets", "weights", "partner_targets", "part", "indices"):
        expected = getattr(whole, field)
        for part, mine in zip(parts, rows, strict=True):
            value = getattr(part, field)
            assert value is None if expected is None else torch.equal(value, expected[mine]), field
    assert (whole.part is not None) == mixer.is_on
