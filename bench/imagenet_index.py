"""How long ImageNet's first and second opening take, and how much memory, on a tar of its form.

    python bench/imagenet_index.py [--images 1281167] [--runs 3] [--folder DIR]

The tar has 1,000 tars and as many members as the real one, but each member is its header alone: what an opening reads
of the real one is just that, 512 bytes every 110 KB, to which a disk's seeks are added there. Each opening is a process
of its own: the first with an empty cache, the second with the one that the first left. Seconds count from after
`import podium.data` until training images, labels and fingerprint are there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

NUM_CLASSES = 1000
CHILD = """
import sys, time
import podium.data
start = time.perf_counter()
dataset = podium.data.open(sys.argv[1])
images, fingerprint = dataset.train, dataset.fingerprint
seconds = time.perf_counter() - start
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
print(f'{{"seconds": {seconds}, "peak_kib": {peak}, "num_images": {len(images)}, "classes": {len(images.classes)}}}')
"""


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def write_tar(path: Path, num_images: int) -> None:
    with path.open("wb") as file:
        for label in range(NUM_CLASSES):
            wnid, count = f"n{1440764 + 10007 * label:08}", num_images * (label + 1) // NUM_CLASSES
            count -= num_images * label // NUM_CLASSES
            file.write(header(f"{wnid}.tar", 512 * count + 1024))
            file.write(b"".join(header(f"{wnid}_{i + 1}.JPEG", 0) for i in range(count)) + bytes(1024))
        file.write(bytes(1024))


def open_once(folder: Path, cache: str) -> dict[str, float]:
    environment = os.environ | {"PODIUM_CACHE": cache}
    command = [sys.executable, "-c", CHILD, str(folder)]
    return dict(json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_281_167)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the tar, of half a kilobyte an image, is made for the while")
    args = parser.parse_args()
    first, second = [], []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_tar(Path(folder) / "ILSVRC2012_img_train.tar", args.images)
        time.sleep(3)  # what was written a moment ago isn't remembered
        for run in range(args.runs):
            with tempfile.TemporaryDirectory(dir=args.folder) as cache:
                first.append(open_once(Path(folder), cache))
                second.append(open_once(Path(folder), cache))
                cache_bytes = sum(path.stat().st_size for path in Path(cache).rglob("*") if path.is_file())
            print(
                f"run {run + 1}: first {first[-1]['seconds']:.2f} s, second {second[-1]['seconds']:.3f} s", flush=True
            )
    from common import summary, write_result

    figures = {
        "num_images": first[0]["num_images"],
        "num_classes": first[0]["classes"],
        "first_seconds": summary([one["seconds"] for one in first], 2),
        "first_peak_mib": summary([one["peak_kib"] / 1024 for one in first]),
        "second_seconds": summary([one["seconds"] for one in second], 2),
        "second_peak_mib": summary([one["peak_kib"] / 1024 for one in second]),
        "index_bytes": cache_bytes,
    }
    command = f"python bench/imagenet_index.py --images {args.images} --runs {args.runs}"
    print(write_result("imagenet-index", command, figures))


if __name__ == "__main__":
    main()
