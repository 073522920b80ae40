"""Photographs of a kind, made on the spot: smooth, of many sizes."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from podium.data.encoded import Files


def photo(number: int, size: tuple[int, int] = (60, 80), coarse: int = 8, **options) -> bytes:
    """A JPEG of (height, width)."""
    few = np.random.default_rng(number).integers(0, 256, (coarse, coarse, 3), np.uint8)
    image = Image.fromarray(few).resize(size[::-1], Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, options.pop("format", "JPEG"), **{"quality": 90, **options})
    return buffer.getvalue()


def write_files(folder: Path, contents: list[bytes]) -> Files:
    """Half of them as files by themselves, the others one after the other in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    together = folder / "together.bin"
    paths, where = [together], []
    with together.open("wb") as file:
        for number, data in enumerate(contents):
            if number % 2:
                where.append((0, file.tell(), len(data), f"{number}.jpg"))
                file.write(data)
            else:
                path = folder / f"{number}.jpg"
                path.write_bytes(data)
                where.append((len(paths), 0, -1, ""))
                paths.append(path)
    container, offsets, lengths, names = zip(*where, strict=True)
    return Files(
        np.array([str(path).encode() for path in paths]),
        np.array(container, np.int32),
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
        np.array([name.encode() for name in names]),
    )
