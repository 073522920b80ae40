"""Images a second of podium's augmentation and of kornia's, on a processor, side by side in one process.

    pip install --target kornia --no-deps kornia kornia_rs packaging
    PYTHONPATH=kornia python bench/augmentation_kornia.py

kornia is no dependency of podium: the first line puts it into a folder of its own, where it takes the torch that is
there. Each side gets what suits it, and no conversion is counted: podium uint8 in NHWC, as it trains from; kornia
float32 in [0, 1] in NCHW, without transformation matrices, and both of its ways to crop.

Before the clock runs, an experiment says who draws an operation for each image: on copies of one plain grey image,
shifts, turns and shears bring in black and all other operations leave the image plain. A batch of which at least a
twentieth is plain and a twentieth isn't holds more than one kind of operation.
"""

import sys
import time
from collections.abc import Callable

import torch
from common import summary, write_result
from torch import Tensor

from podium import runtime
from podium.augment import Pipeline

NUM_THREADS = 2
NUM_IMAGES = 512
NUM_REPETITIONS = 10
NUM_CALLS = 24  # a repetition; a policy that draws one operation a batch takes as long as that operation
NUM_CALLS_OF_CHAIN = 12
NUM_PROBES = 50

SEED_CHAIN, FLIP_CROP = "seed's chain", "flip and padded crop"
TRIVIAL, RAND = "TrivialAugment", "RandAugment, 2 operations"
GREY = torch.full((1, 1, 1, 1), 128, dtype=torch.uint8)
CASES = (SEED_CHAIN, FLIP_CROP, TRIVIAL, RAND)

Change = Callable[[Tensor], Tensor]


def main() -> None:
    try:
        import kornia
    except ImportError:
        lines = "\n".join(__doc__.splitlines()[2:4])
        sys.exit(f"kornia isn't here. Install it and run this script by these two lines:\n{lines}")
    runtime.prepare("fp32", device="cpu", num_threads=NUM_THREADS)
    torch.manual_seed(0)  # kornia draws from torch's global generator
    changes = {**podium_changes(), **kornia_changes()}
    mixed = {
        f"{case}, {way}": part_of_mixed_batches(changes[case, way], GREY if way == "podium" else GREY.float().div(255))
        for case, way in changes
        if case in (TRIVIAL, RAND)
    }
    for name, part in mixed.items():
        print(f"{name:45s} {part:4.0%} of {NUM_PROBES} batches hold more than one kind of operation")

    figures = {key: summary(rates) for key, rates in measure(changes).items()}
    for (case, way), figure in figures.items():
        print(
            f"{case + ', ' + way:45s} {figure['median']:>8,.0f} images/s ({figure['min']:,.0f} … {figure['max']:,.0f})"
        )
    ratios = {}
    for case in CASES:
        fastest = max(figure["median"] for (name, way), figure in figures.items() if name == case and way != "podium")
        ratios[case] = round(figures[case, "podium"]["median"] / fastest, 2)
        print(f"{case:45s} podium's median is {ratios[case]:.2f} of that of kornia's fastest way")
    path = write_result(
        "augmentation-kornia",
        "PYTHONPATH=kornia python bench/augmentation_kornia.py",
        {
            "unit": "images/s, 32x32 pixels",
            "num_images": NUM_IMAGES,
            "num_threads": NUM_THREADS,
            "kornia": kornia.__version__,
            "cases": {f"{case}, {way}": figures[case, way] for case in CASES for name, way in figures if name == case},
            "podium's median over that of kornia's fastest way": ratios,
            "part of batches with more than one kind of operation": mixed,
        },
    )
    print(path)


def measure(changes: dict[tuple[str, str], Change]) -> dict[tuple[str, str], list[float]]:
    """Images a second of each repetition; all in turn, so that a slow minute of the machine hurts them alike."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (NUM_IMAGES, 32, 32, 3), dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)
    floats = pixels.float().div(255).contiguous()
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in changes}
    for repetition in range(NUM_REPETITIONS + 1):
        for (case, way), change in changes.items():
            images = pixels if way == "podium" else floats
            num_calls = NUM_CALLS_OF_CHAIN if case == SEED_CHAIN else NUM_CALLS
            start = time.perf_counter()
            for _ in range(num_calls):
                change(images)
            if repetition:  # the first one warms up
                rates[case, way].append(num_calls * NUM_IMAGES / (time.perf_counter() - start))
    return rates


def podium_changes() -> dict[tuple[str, str], Change]:
    generator = torch.Generator().manual_seed(0)

    def change(**parameters: object) -> Change:
        pipeline = Pipeline(image_size=(32, 32), fill=(0.0, 0.0, 0.0), **parameters)
        return lambda pixels: pipeline(pixels, torch.arange(len(pixels)), 0, generator)

    return {
        (SEED_CHAIN, "podium"): change(resize=40, brightness=0.5, hue=0.5, crop_area_min=0.64, flip="random"),
        (FLIP_CROP, "podium"): change(flip="random", translate=4, border="black"),
        (TRIVIAL, "podium"): change(policy="trivialaugment"),
        (RAND, "podium"): change(policy="randaugment", policy_ops=2, policy_magnitude=9),
    }


def kornia_changes() -> dict[tuple[str, str], Change]:
    """The same in kornia, as near as it goes: its brightness adds rather than multiplies, its hue is HSV's."""
    import kornia.augmentation as K

    changes: dict[tuple[str, str], Change] = {}
    for mode in ("slice", "resample"):
        resized_crop = K.RandomResizedCrop((32, 32), scale=(0.64, 1.0), ratio=(1.0, 1.0), cropping_mode=mode)
        changes[SEED_CHAIN, f"kornia, crop by {mode}"] = K.AugmentationSequential(
            K.Resize((40, 40)),
            K.RandomBrightness((0.5, 1.5)),
            K.RandomHue((-0.5, 0.5)),
            resized_crop,
            K.RandomHorizontalFlip(p=0.5),
            transformation_matrix_mode="skip",
        )
        changes[FLIP_CROP, f"kornia, crop by {mode}"] = K.AugmentationSequential(
            K.RandomHorizontalFlip(p=0.5),
            K.RandomCrop((32, 32), padding=4, cropping_mode=mode),
            transformation_matrix_mode="skip",
        )
    changes[TRIVIAL, "kornia"] = K.auto.TrivialAugment(transformation_matrix_mode="skip")
    changes[RAND, "kornia"] = K.auto.RandAugment(n=2, m=9, transformation_matrix_mode="skip")
    return changes


def part_of_mixed_batches(change: Change, grey: Tensor) -> float:
    """The part of `NUM_PROBES` batches of one grey image that hold more than one kind of operation."""
    num_mixed = 0
    for _ in range(NUM_PROBES):
        result = change(grey.expand(NUM_IMAGES, 3, 32, 32).clone()).float().flatten(2)
        is_plain = (result.amax(2) - result.amin(2)).amax(1) < 1e-3  # (N,)
        num_mixed += 0.05 < is_plain.float().mean().item() < 0.95
    return num_mixed / NUM_PROBES


if __name__ == "__main__":
    main()
