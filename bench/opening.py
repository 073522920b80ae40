"""How long a data set's first and second opening take, and how much memory.

    python bench/opening.py ../shared/data/cifar-10 --name 50000 [--part train] [--runs 3]
    python bench/opening.py FULL --name 300000 --part test          # FULL: the folder with 300,000 test images

Each opening is a process of its own: the first with an empty cache folder, the second with the one that the first
left. Seconds count from after `import podium.data` until the images can be indexed, labels joined; for the test part,
until sampleSubmission.csv has been read and compared too. Peak memory is the whole process's. `7z x -so`, where it is
installed, runs in between as a measure of the machine: it only decompresses, on all cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = """
import sys, time
import podium.data
start = time.perf_counter()
dataset = podium.data.open(sys.argv[1])
images = getattr(dataset, sys.argv[2])
sample = dataset.sample_submission if sys.argv[2] == "test" else None
images.pixels[len(images) // 2].sum()
seconds = time.perf_counter() - start
try:
    peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
except OSError:  # not Linux, where getrusage would count the parent's memory at the fork
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
print(f'{{"seconds": {seconds}, "peak_kib": {peak}, "num_images": {len(images)}}}')
"""


def open_once(folder: Path, part: str, cache: str) -> dict[str, float]:
    environment = os.environ | {"PODIUM_CACHE": cache}
    command = [sys.executable, "-c", CHILD, str(folder), part]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(out))


def seven_zip_seconds(archive: Path) -> float | None:
    program = shutil.which("7z") or shutil.which("7zz")
    if program is None or not archive.exists():
        return None
    start = time.perf_counter()
    subprocess.run([program, "x", "-so", archive], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True, help="the result is opening-NAME.json")
    parser.add_argument("--part", choices=("train", "test"), default="train")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    first, second, reference = [], [], []
    for run in range(args.runs):
        reference.append(seven_zip_seconds(args.folder / f"{args.part}.7z"))
        with tempfile.TemporaryDirectory() as cache:
            first.append(open_once(args.folder, args.part, cache))
            second.append(open_once(args.folder, args.part, cache))
        print(f"run {run + 1}: first {first[-1]['seconds']:.2f} s, second {second[-1]['seconds']:.3f} s", flush=True)
    from common import summary, write_result

    figures: dict[str, object] = {
        "part": args.part,
        "num_images": first[0]["num_images"],
        "first_seconds": summary([one["seconds"] for one in first], 2),
        "first_peak_mib": summary([one["peak_kib"] / 1024 for one in first]),
        "second_seconds": summary([one["seconds"] for one in second], 3),
        "second_peak_mib": summary([one["peak_kib"] / 1024 for one in second]),
    }
    measured = [seconds for seconds in reference if seconds is not None]
    if measured:
        ratios = [one["seconds"] / seconds for one, seconds in zip(first, measured, strict=True)]
        figures |= {"7z_x_seconds": summary(measured, 2), "first_over_7z": summary(ratios, 2)}
    command = f"python bench/opening.py FOLDER --name {args.name} --part {args.part} --runs {args.runs}"
    print(write_result(f"opening-{args.name}", command, figures))


if __name__ == "__main__":
    main()
