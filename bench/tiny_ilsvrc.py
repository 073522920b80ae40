"""Writes a small ILSVRC2012 in the form of the real one: a tar of 1,000 tars, a val tar, a test tar and the devkit.

    python bench/tiny_ilsvrc.py OUT [--classes 1000] [--train 4] [--val 1] [--test 1] [--size 500 375] [--seed 0]

The images are JPEGs of about 100 KB at 500×375, much as the real ones are: a coarse pattern of colours that its class
has, one of its own, and fine grain. The devkit's numbers of classes follow no order of names, as in the real one.
--train, --val and --test are images of each class. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

GRAIN, QUALITY = 22, 92  # grey levels of noise, and JPEG's quality: about 100 KB at 500×375
FIELDS = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images")


def wnids(num_classes: int) -> list[str]:
    return [f"n{1440764 + 10007 * place:08}" for place in range(num_classes)]


def numbers(num_classes: int, seed: int) -> list[int]:
    """The devkit's number of each class."""
    return (1 + np.random.default_rng([seed, 9]).permutation(num_classes)).tolist()


def jpeg(seed: int, part: int, number: int, label: int, size: tuple[int, int]) -> bytes:
    """Image `number` of a part, of a class; width and height differ a little from image to image."""
    random = np.random.default_rng([seed, part, number])
    width, height = (int(side * random.uniform(0.8, 1.25)) for side in size)
    of_class = np.random.default_rng([seed, 8, label]).integers(0, 256, (6, 8, 3))
    own = random.integers(0, 256, (6, 8, 3))
    coarse = Image.fromarray((0.75 * of_class + 0.25 * own).astype(np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = random.integers(-GRAIN, GRAIN + 1, (height, width, 1), np.int16)
    buffer = io.BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def tar_of(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files:
            add(archive, name, data)
    return buffer.getvalue()


def write_devkit(path: Path, labels: list[int], seed: int, num_classes: int) -> None:
    import scipy.io

    of_class, none = numbers(num_classes, seed), np.array([], np.uint16)
    classes = sorted(zip(of_class, wnids(num_classes), strict=True))
    rows = [(number, wnid, f"thing {wnid}", "a thing", 0, none, 0, 1300) for number, wnid in classes]
    rows.append((num_classes + 1, "n00001740", "entity", "all", num_classes, np.arange(num_classes) + 1, 1, 0))
    mat = io.BytesIO()
    scipy.io.savemat(mat, {"synsets": np.array(rows, [(name, "O") for name in FIELDS])[:, None]}, do_compression=True)
    truth = "".join(f"{of_class[label]}\n" for label in labels).encode()
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth)
        add(archive, "ILSVRC2012_devkit_t12/data/meta.mat", mat.getvalue())


def write_tiny(
    out: Path,
    *,
    num_classes: int = 1000,
    num_train: int = 4,
    num_val: int = 1,
    num_test: int = 1,
    size: tuple[int, int] = (500, 375),
    seed: int = 0,
) -> list[int]:
    """Writes the five files into `out`; returns the label of each image of test, in its order."""
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out / "ILSVRC2012_img_train.tar", "w", format=tarfile.GNU_FORMAT) as outer:
        for label, wnid in enumerate(wnids(num_classes)):
            first = label * num_train
            files = ((f"{wnid}_{i + 1}.JPEG", jpeg(seed, 0, first + i, label, size)) for i in range(num_train))
            add(outer, f"{wnid}.tar", tar_of(files))
    random = np.random.default_rng([seed, 7])
    labels = {}
    for part, (role, count, name, prefix) in enumerate(
        (
            ("val", num_val, "ILSVRC2012_img_val.tar", ""),
            ("test", num_test, "ILSVRC2012_img_test_v10102019.tar", "test/"),
        )
    ):
        labels[role] = random.permutation(np.repeat(np.arange(num_classes), count)).tolist()
        with tarfile.open(out / name, "w", format=tarfile.GNU_FORMAT) as archive:
            for i, label in enumerate(labels[role]):
                add(archive, f"{prefix}ILSVRC2012_{role}_{i + 1:08}.JPEG", jpeg(seed, 1 + part, i, label, size))
    write_devkit(out / "ILSVRC2012_devkit_t12.tar.gz", labels["val"], seed, num_classes)
    return labels["test"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name, default in (("classes", 1000), ("train", 4), ("val", 1), ("test", 1), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    args = parser.parse_args()
    write_tiny(
        args.out,
        num_classes=args.classes,
        num_train=args.train,
        num_val=args.val,
        num_test=args.test,
        size=tuple(args.size),
        seed=args.seed,
    )
    for path in sorted(args.out.glob("ILSVRC2012_*")):
        print(f"{path.stat().st_size:>13,} bytes  {path}")


if __name__ == "__main__":
    main()
