"""What the scenes take: a made competition, and what a file or a folder holds."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import safetensors
from PIL import Image

__all__ = ["competition", "content_of", "odd_ones"]

CLASSES = ("blue", "green", "red")


def competition(folder: Path, num_train: int, num_test: int, side: int, kind: str = "zip") -> Path:
    """A made competition: images of three colours, as PNG files in archives."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(num_train)
    for role, count in (("train", num_train), ("test", num_test)):
        members = {}
        for number in range(1, count + 1):
            pixels = rng.integers(0, 120, (side, side, 3), np.uint8)
            pixels[..., 2 - number % 3] += 100
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
            members[f"{role}/{number}.png"] = buffer.getvalue()
        _write_archive(folder / f"{role}.{kind}", members)
    rows = "".join(f"{number},{CLASSES[number % 3]}\n" for number in range(1, num_train + 1))
    (folder / "trainLabels.csv").write_text(f"id,label\n{rows}")
    (folder / "sampleSubmission.csv").write_text("id,label\n" + "".join(f"{n},red\n" for n in range(1, num_test + 1)))
    return folder


def _write_archive(path: Path, members: dict[str, bytes]) -> None:
    if path.suffix == ".7z":
        import py7zr

        with py7zr.SevenZipFile(path, "w", filters=[{"id": py7zr.FILTER_LZMA2, "preset": 0}]) as archive:
            for name, data in members.items():
                archive.writestr(data, name)
        return
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def content_of(path: Path) -> str:
    """A hash of a safetensors file's tensors and of what it says besides; the order of that is by chance."""
    with safetensors.safe_open(path, framework="np") as file:
        said = hashlib.sha256(json.dumps(sorted((file.metadata() or {}).items())).encode())
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            said.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    return said.hexdigest()


def odd_ones(folder: Path) -> list[str]:
    """Files and folders that somebody began and nobody finished."""
    names = (path.relative_to(folder) for path in folder.rglob(".*"))
    return sorted(str(name) for name in names if name.name != ".lock")
