"""What images that a shard holds without loss take as PNG and as WebP: bytes, and time to write and to read.

    python bench/shard_formats.py ../shared/data/cifar-10 --name shard-formats

One thread. Reading is podium's own, which takes small PNG files many at a time.
"""

import argparse
import time
from functools import partial

from common import summary, write_result

import podium
from podium.data.decode import decode_all
from podium.data.shard_samples import FORMATS, encoded_as

NUM_IMAGES, REPETITIONS = 2000, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--name", default="shard-formats")
    told = parser.parse_args()
    pixels = podium.open(told.data).train.pixels[:NUM_IMAGES]
    figures = {"num_images": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2]}
    for image_format in FORMATS:
        writes, reads = [], []
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            files = list(map(partial(encoded_as, image_format), pixels))
            writes.append(len(pixels) / (time.perf_counter() - start))
            start = time.perf_counter()
            for some in range(0, len(files), 500):
                assert all(True for _ in decode_all(files[some : some + 500], [""] * 500))
            reads.append(len(pixels) / (time.perf_counter() - start))
        figures[image_format] = {
            "bytes_an_image": round(sum(map(len, files)) / len(files)),
            "written_a_second": summary(writes),
            "read_a_second": summary(reads),
        }
        print(image_format, figures[image_format], flush=True)
    print(write_result(told.name, "python bench/shard_formats.py DATA", figures))


if __name__ == "__main__":
    main()
