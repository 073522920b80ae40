"""Small made data of the form that the guides' real data have."""

import io
import zipfile
from pathlib import Path

import numpy as np
import py7zr
import torch
from ilsvrc import as_official
from PIL import Image

import podium
from podium.interop import to_gluon, write_params
from podium.models import create

__all__ = ["CLASSES", "ilsvrc", "kaggle_folder", "kaggle_zip", "mxnet", "pictures", "served"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def kaggle_files() -> dict[str, bytes]:
    """CIFAR-10's competition with 40 images to train on and ten to be predicted."""
    files = {}
    for part, count in (("train", 40), ("test", 10)):
        buffer = io.BytesIO()
        with py7zr.SevenZipFile(buffer, "w", filters=[{"id": py7zr.FILTER_LZMA2, "preset": 0}]) as archive:
            for number in range(1, count + 1):
                archive.writestr(_picture(number, (32, 32), "PNG"), f"{part}/{number}.png")
        files[f"{part}.7z"] = buffer.getvalue()
    rows = "".join(f"{number},{CLASSES[number % 10]}\n" for number in range(1, 41))
    files["trainLabels.csv"] = f"id,label\n{rows}".encode()
    files["sampleSubmission.csv"] = ("id,label\n" + "".join(f"{number},cat\n" for number in range(1, 11))).encode()
    return files


def kaggle_zip() -> bytes:
    """All of that in the one zip that Kaggle sends."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in kaggle_files().items():
            archive.writestr(name, data)
    return buffer.getvalue()


def kaggle_folder(folder: Path) -> None:
    """All of that in a folder."""
    folder.mkdir()
    for name, data in kaggle_files().items():
        (folder / name).write_bytes(data)


def pictures(place: Path) -> None:
    """`pictures/`, a folder a class, `new/`, and weights with torchvision's names."""
    for kind, first in (("rose", 0), ("tulip", 1)):
        _write(place / "pictures" / kind, [2 * number + first for number in range(15)])
    _write(place / "new", [1, 2])
    torch.save(create("resnet18", 1000, (224, 224)).state_dict(), place / "resnet18-f37072fd.pth")


def served(place: Path) -> None:
    """`runs/pictures`, whose data are there, and two pictures."""
    pictures(place)
    settings = {"epochs": 1.0, "batch_size": 8, "hold_out": 0.2}
    data = podium.open(place / "pictures", image_size=64)
    podium.train(data, "sprint_small", settings=settings, out=place / "runs" / "pictures")
    (place / "photo.jpg").write_bytes(_picture(3, (40, 60), "JPEG"))
    (place / "other.png").write_bytes(_picture(4, (60, 40), "PNG"))


def ilsvrc(place: Path) -> None:
    """`imagenet/`, as it is released, in small."""
    as_official(place / "imagenet")


def mxnet(place: Path) -> None:
    """`cifar-10/`, and `net.params` as Gluon writes it."""
    kaggle_folder(place / "cifar-10")
    network = create("seed_resnet164_v2", 10, (32, 32))
    write_params(place / "net.params", to_gluon(network.state_dict(), "seed_resnet164_v2"))


def _write(folder: Path, numbers: list[int]) -> None:
    folder.mkdir(parents=True)
    for place, number in enumerate(numbers, 1):
        (folder / f"{place}.jpg").write_bytes(_picture(number, (32 + number % 5, 40), "JPEG"))


def _picture(number: int, size: tuple[int, int], form: str) -> bytes:
    """Of one colour mostly, which the number decides, as of a class."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 60, (*size, 3), np.uint8) + np.uint8(19 * (number % 10))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()
