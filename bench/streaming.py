"""How fast images are read from JPEG files, cropped and resized: podium's loader and PyTorch's DataLoader.

    python bench/streaming.py [--rounds 7] [--name streaming]

Both have two worker processes, and show ImageNet's usual random resized crop to 224, in batches of 128, uint8. The
DataLoader's workers decode with Pillow, whole or by its `draft`. The files are made here: 500×375 pixels, about 110 KB.

Then the memory of the loader and its workers, where the same files are listed 1, 10 and 100 times as often.
"""

import argparse
import io
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from common import summary, write_result
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from podium.data import jpeg
from podium.data.encoded import Files
from podium.data.fit import cropped
from podium.data.loader import Loader
from podium.data.random_crop import RandomCrop

SIZE = (224, 224)
NUM_FILES = 512
BATCH_SIZE = 128
NUM_WORKERS = 2
NUM_WARM = 4  # batches that don't count: workers begin, queues fill
CROP = RandomCrop(area_min=0.08, ratio=4 / 3, seed=0)
QUALITY = 96
REPEATS = (1, 10, 100)
MEMORY_FILES = 1280
MEMORY_BATCHES = 40


def make_photo(number: int) -> bytes:
    """A JPEG with the detail of a photograph: noise whose amplitude falls with its frequency, and a sensor's grain."""
    rng = np.random.default_rng(number)
    pixels = np.full((375, 500, 3), 128.0)
    for scale in (4, 8, 16, 32, 64, 128):
        coarse = rng.normal(0, 3 * scale**0.7, (375 // scale + 2, 500 // scale + 2, 3)).astype(np.float32)
        planes = [Image.fromarray(coarse[..., channel]).resize((500, 375), Image.BICUBIC) for channel in range(3)]
        pixels += np.stack([np.asarray(plane) for plane in planes], -1)
    pixels += rng.normal(0, 7, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def listed(paths: list[Path], repeats: int) -> Files:
    num_images = len(paths) * repeats
    return Files(
        np.array([os.fsencode(path) for path in paths]),
        (np.arange(num_images) % len(paths)).astype(np.int32),
        np.zeros(num_images, np.int64),
        np.full(num_images, -1, np.int64),
        np.full(num_images, b""),
    )


class Photos(Dataset):
    """What one writes with Pillow for a DataLoader."""

    def __init__(self, paths: list[Path], draft: bool) -> None:
        self.paths = paths
        self.draft = draft

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        image = Image.open(self.paths[row])
        if self.draft:
            image.draft("RGB", SIZE)
        image = image.convert("RGB")
        box = usual_box(image.height, image.width)
        return torch.from_numpy(np.array(image.resize(SIZE, Image.Resampling.BILINEAR, box=box)))


def usual_box(height: int, width: int) -> tuple[int, int, int, int]:
    """As torchvision's RandomResizedCrop draws it."""
    for _ in range(10):
        area = height * width * random.uniform(CROP.area_min, 1)
        ratio = math.exp(random.uniform(-math.log(CROP.ratio), math.log(CROP.ratio)))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            left, top = random.randint(0, width - box_width), random.randint(0, height - box_height)
            return left, top, left + box_width, top + box_height
    return 0, 0, width, height


def from_data_loader(paths: list[Path], num_batches: int, draft: bool) -> Iterator[torch.Tensor]:
    rows = [row % len(paths) for row in range(num_batches * BATCH_SIZE)]
    yield from DataLoader(Photos(paths, draft), batch_size=BATCH_SIZE, sampler=rows, num_workers=NUM_WORKERS)


def from_loader(files: Files, num_batches: int) -> Iterator[torch.Tensor]:
    """Batches of random images."""
    rng = np.random.default_rng(0)
    batch = torch.empty((BATCH_SIZE, *SIZE, 3), dtype=torch.uint8)
    with Loader(files, SIZE, batch_size=BATCH_SIZE, crop=CROP, num_workers=NUM_WORKERS) as loader:
        asked = 0
        for key in range(num_batches):
            while asked < num_batches and loader.has_room:
                loader.ask(asked, rng.integers(0, len(files), BATCH_SIZE), asked)
                asked += 1
            loaded = loader.take(key)
            assert not loaded.bad
            batch.copy_(torch.from_numpy(loaded.pixels))
            loader.release(key)
            yield batch
        if "--memory" in sys.argv:
            processes = loader._workers._processes
            report = {"parent": peak_megabytes(os.getpid()), "workers": [peak_megabytes(one.pid) for one in processes]}
            print(json.dumps(report))


def measured(batches: Iterator[torch.Tensor], num_batches: int) -> tuple[float, float]:
    """Images a second, and processor milliseconds an image of all processes, after the first batches."""
    for number, batch in enumerate(batches):
        assert batch.shape == (BATCH_SIZE, *SIZE, 3)
        if number == NUM_WARM - 1:
            began, before = time.perf_counter(), processor_seconds()
        if number == num_batches - 1:
            seconds, busy = time.perf_counter() - began, processor_seconds() - before
    num_images = (num_batches - NUM_WARM) * BATCH_SIZE
    return num_images / seconds, busy / num_images * 1000


def processor_seconds() -> float:
    """Of this process and its children that live."""
    pids = [os.getpid(), *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())]
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def difference(paths: list[Path]) -> dict[str, float]:
    """Between podium's pixels and Pillow's of the same parts, in grey levels."""
    distances = []
    for row, path in enumerate(paths[:100]):
        image = Image.open(path).convert("RGB")
        box = CROP.box(image.height, image.width, SIZE, 0, row)
        theirs = np.asarray(image.crop(box).resize(SIZE, Image.Resampling.BILINEAR)).astype(int)
        ours = cropped(path.read_bytes(), path.name, SIZE, lambda height, width, box=box: box)
        distances.append(np.abs(ours - theirs))
    return {"mean": round(float(np.mean(distances)), 5), "max": int(np.max(distances))}


def peak_megabytes(pid: int) -> float:
    """Peak resident memory; what is shared counts in each process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError


def memory_of(folder: Path, repeats: int) -> dict[str, object]:
    """In a process of its own."""
    command = [sys.executable, __file__, "--memory", str(folder), str(repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(done.stdout)
    report["total"] = round(report["parent"] + sum(report["workers"]), 1)
    return {"num_images": MEMORY_FILES * repeats, **report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=40, help="in a round, of each")
    parser.add_argument("--name", default="streaming")
    parser.add_argument("--memory", nargs=2, help="used by the script itself: folder and repeats")
    args = parser.parse_args()
    if args.memory:
        paths = sorted(Path(args.memory[0]).glob("*.jpg"))
        paths = (paths * (MEMORY_FILES // len(paths) + 1))[:MEMORY_FILES]
        for _ in from_loader(listed(paths, int(args.memory[1])), MEMORY_BATCHES):
            pass
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number:04}.jpg" for number in range(NUM_FILES)]
        for number, path in enumerate(paths):
            path.write_bytes(make_photo(number))
        files, num = listed(paths, 1), args.batches
        ways = {
            "DataLoader, Pillow": lambda: from_data_loader(paths, num, False),
            "DataLoader, Pillow draft": lambda: from_data_loader(paths, num, True),
            "podium": lambda: from_loader(files, num),
        }
        speeds: dict[str, list[float]] = {way: [] for way in ways}
        costs: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(args.rounds):
            for way, batches in ways.items():
                speed, cost = measured(batches(), num)
                speeds[way].append(speed)
                costs[way].append(cost)
                print(f"round {number + 1}  {way:26} {speed:6.0f} images/s  {cost:.2f} ms of processor", flush=True)
        figures = {
            "image": {
                "pixels": [500, 375],
                "kilobytes": round(statistics.mean(path.stat().st_size for path in paths) / 1000, 1),
                "num_files": NUM_FILES,
            },
            "decoder": "simplejpeg" if jpeg.HAS_TURBO else "Pillow",
            "num_workers": NUM_WORKERS,
            "batch_size": BATCH_SIZE,
            "images_per_second": {way: summary(some) for way, some in speeds.items()},
            "processor_milliseconds_per_image": {way: summary(some, 3) for way, some in costs.items()},
            "times_data_loader": {
                way: summary([ours / one for ours, one in zip(speeds["podium"], some, strict=True)], 2)
                for way, some in speeds.items()
                if way != "podium"
            },
            "grey_levels_from_pillow": difference(paths),
            "peak_megabytes": [memory_of(folder, repeats) for repeats in REPEATS],
            "load_average_at_the_end": round(os.getloadavg()[0], 1),
        }
    print(json.dumps(figures, indent=2))
    write_result(args.name, f"python bench/streaming.py --rounds {args.rounds} --batches {args.batches}", figures)


if __name__ == "__main__":
    main()
