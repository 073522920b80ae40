"""Labelled images → podium's own split → the two files that the peers' scripts read, so that all train on the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from podium.data import Images, hold_out

__all__ = ["labelled", "random_images", "read_split", "write_split"]


def labelled(path: Path) -> Images:
    """The labelled images of a folder with pixels.npy, labels.npy and classes.txt, or of anything that podium opens.

    Raises:
        SystemExit: podium can't open it.
    """
    if (path / "pixels.npy").is_file():
        pixels = np.load(path / "pixels.npy", mmap_mode="r")
        labels = np.load(path / "labels.npy").astype(np.int64)
        classes = tuple((path / "classes.txt").read_text(encoding="utf-8").splitlines())
        return Images(pixels, labels, np.arange(len(labels)).astype(np.str_), classes)
    import podium

    try:
        return podium.open(path).train
    except podium.PodiumError as error:
        sys.exit(str(error))


def random_images(num_images: int) -> Images:
    """Noise of 32×32 pixels whose brightness hints at one of ten classes: for trying a bench out."""
    rng = np.random.default_rng(0)
    labels = np.arange(num_images, dtype=np.int64) % 10
    pixels = rng.integers(0, 128, (num_images, 32, 32, 3), np.uint8) + (12 * labels[:, None, None, None]).astype(
        np.uint8
    )
    return Images(pixels, labels, np.arange(num_images).astype(np.str_), tuple("abcdefghij"))


def write_split(images: Images, folder: Path) -> None:
    """Writes cifar10/train.pt (nine tenths) and cifar10/test.pt (the hold-out that podium's recipes measure on)."""
    assert images.labels is not None
    (folder / "cifar10").mkdir(parents=True, exist_ok=True)
    for name, indices in zip(("train", "test"), hold_out(images.labels, 0.1, seed=0), strict=True):
        some = images.subset(indices)
        assert some.labels is not None
        content = {
            "images": torch.from_numpy(some.pixels),  # uint8 (N, H, W, 3)
            "labels": torch.from_numpy(some.labels),  # int64 (N,)
            "classes": list(images.classes),
        }
        torch.save(content, folder / "cifar10" / f"{name}.pt")


def read_split(folder: Path) -> tuple[Images, Images]:
    """What `write_split` wrote: the images to train on, and those held out."""
    parts = []
    for name in ("train", "test"):
        content = torch.load(folder / "cifar10" / f"{name}.pt", weights_only=True)
        labels = content["labels"].numpy()
        ids = np.arange(len(labels)).astype(np.str_)
        parts.append(Images(content["images"].numpy(), labels, ids, tuple(content["classes"])))
    return parts[0], parts[1]
