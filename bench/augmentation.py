"""Images a second of each augmentation step, of the seed's whole chain and of sprint's.

    python bench/augmentation.py

All cases are run in turn, again and again, so that a slow minute of the machine hurts them alike. The reference is the
seed's chain one image at a time in Pillow; MXNet 1.9.1's own took 993 images/s on the same machine.
"""

import random
import time
from collections.abc import Callable

import numpy as np
import torch
from common import summary, write_result
from PIL import Image, ImageEnhance, ImageOps

from podium import runtime
from podium.augment import Pipeline, adjust_brightness, flip, resize, resized_crop, translate, turn_hue
from podium.augment.colour import random_factors, random_turns
from podium.augment.crop import random_boxes
from podium.augment.flip import random_mask
from podium.augment.translate import random_shifts

NUM_THREADS = 2
NUM_REPETITIONS = 10
IMAGES_PER_REPETITION = 2000  # at least; small batches are run several times, so that one hiccup isn't all of it
BATCHES = (128, 2000)
NUM_PILLOW_IMAGES = 200
MXNET_IMAGES_PER_SECOND = 993

Case = Callable[[], object]


def main() -> None:
    runtime.prepare("fp32", device="cpu", num_threads=NUM_THREADS)
    cases = {f"{name}, batch {n}": (n, case) for n in BATCHES for name, case in batched_cases(n).items()}
    images = [Image.fromarray(pixels) for pixels in random_images(NUM_PILLOW_IMAGES).permute(0, 2, 3, 1).numpy()]
    cases["seed's chain, Pillow, an image at a time"] = (len(images), lambda: [pillow_seed_chain(i) for i in images])

    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _, case in cases.values():
        case()
    for _ in range(NUM_REPETITIONS):
        for name, (n, case) in cases.items():
            num_calls = -(-IMAGES_PER_REPETITION // n) if n in BATCHES else 1
            start = time.perf_counter()
            for _ in range(num_calls):
                case()
            rates[name].append(num_calls * n / (time.perf_counter() - start))

    figures = {name: summary(values) for name, values in rates.items()}
    for name, figure in figures.items():
        print(f"{name:45s} {figure['median']:>10,.0f} images/s ({figure['min']:,.0f} … {figure['max']:,.0f})")
    path = write_result(
        "augmentation",
        "python bench/augmentation.py",
        {
            "unit": "images/s, 32x32 pixels",
            "num_threads": NUM_THREADS,
            "cases": figures,
            "seed's chain, MXNet 1.9.1, measured earlier": MXNET_IMAGES_PER_SECOND,
        },
    )
    print(path)


def batched_cases(n: int) -> dict[str, Case]:
    """Each step alone, on what the step before it hands on, and the two pipelines."""
    generator = torch.Generator().manual_seed(0)
    pixels, indices = random_images(n), torch.arange(n)
    large = resize(pixels, (40, 40))
    factors, turns = random_factors(n, 0.5, generator), random_turns(n, 0.5, generator)
    boxes, mask = random_boxes(n, (40, 40), 0.64, 1.0, generator), random_mask(n, generator)
    shifts = random_shifts(n, 2, generator)
    seed = Pipeline(
        image_size=(32, 32), resize=40, brightness=0.5, hue=0.5, crop_area_min=0.64, flip="random", num_images=n, seed=0
    )
    sprint = Pipeline(image_size=(32, 32), flip="alternating", translate=2, num_images=n, seed=0)
    return {
        "resize to 40": lambda: resize(pixels, (40, 40)),
        "brightness at 40": lambda: adjust_brightness(large, factors),
        "hue at 40": lambda: turn_hue(large, turns),
        "crop 40 to 32": lambda: resized_crop(large, boxes, (32, 32)),
        "flip": lambda: flip(pixels, mask),
        "translate 2": lambda: translate(pixels, shifts, 2),
        "seed's chain": lambda: seed(pixels, indices, 0, generator),
        "sprint's flip and translate": lambda: sprint(pixels, indices, 1, generator),
    }


def random_images(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)


def pillow_seed_chain(image: Image.Image) -> np.ndarray:
    """The same steps in Pillow. Its HSV has 256 hues, and turning them is the same as in HLS."""
    image = image.resize((40, 40), Image.Resampling.BILINEAR)
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.5, 1.5))
    hue, saturation, value = image.convert("HSV").split()
    turn = random.randrange(256)
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    side = round((random.uniform(0.64, 1.0) * 1600) ** 0.5)
    left, top = random.randint(0, 40 - side), random.randint(0, 40 - side)
    image = image.resize((32, 32), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(ImageOps.mirror(image) if random.random() < 0.5 else image)


if __name__ == "__main__":
    main()
