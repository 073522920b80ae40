"""One file a format. `open_dataset` asks each whether it knows what lies at a path."""

from __future__ import annotations

from pathlib import Path

from podium.data import http
from podium.data.archive import is_image_name
from podium.data.images import Dataset
from podium.data.progress import Progress
from podium.data.sources import cifar, digits, folder, imagenet, kaggle, parquet, shards, table
from podium.data.sources.packed import no_choice
from podium.errors import DataError

__all__ = ["open_dataset"]

SOURCES = (shards, imagenet, kaggle, cifar, parquet, table, folder)
"""In the order in which they are asked: the more particular first."""
LOOKED_FOR = "; ".join(source.LOOKED_FOR for source in SOURCES)


def open_dataset(
    path: str | Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Opens the data set at `path`, told by looking at what is there. Nothing is decoded yet.

    Args:
        path: a folder or file that holds a data set (docs/DATA.md has all the forms), the http(s) address of one in
            shards, or the word "digits" for the embedded one (a folder of that name is
            "./digits", given as str).
        image_size: resize every image to this many pixels a side; None: all must have one size.
        labels: which labels, where there are several: "fine" or "coarse" of CIFAR-100, or the name of a column; None:
            the usual ones.
        progress: called with (what, done, total) while something is read for the first time.

    Raises:
        DataError: there is nothing at `path`, or nothing that is a data set; the message says what was looked for.
        StorageError: the embedded data set can't be written to the cache.
    """
    if image_size is not None and not 1 <= image_size <= 4096:
        raise DataError(f"image_size is {image_size}; it must lie between 1 and 4096 pixels.")
    if str(path) == digits.WORD:
        no_choice(Path(digits.WORD), labels)
        return digits.load(image_size=image_size, progress=progress)
    if http.is_url(str(path)):
        return shards.open_url(http.repaired(str(path)), image_size=image_size, labels=labels, progress=progress)
    try:
        path = Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: that home folder isn't known. Give the path in full.") from error
    try:
        if not path.exists():
            raise DataError(f"{path}: there is no such file or folder. Give a data set's folder, or the word digits.")
        for source in SOURCES:
            found: Dataset | None = source.find(path, image_size=image_size, labels=labels, progress=progress)
            if found is not None:
                return found
        if missing := kaggle.near_miss(path):
            raise DataError(f"{path}: {missing}.")
        if path.is_dir() and not any(path.iterdir()):
            raise DataError(f"{path}: the folder is empty.\nIt should hold {LOOKED_FOR}.")
        if path.is_dir() and any(is_image_name(entry.name) for entry in path.iterdir()):
            raise DataError(
                f"{path}: its images lie in no folders of classes, and no CSV says what they are.\n"
                "Make a folder a class; or give the folder above, if this is a part of a data set."
            )
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from error
    raise DataError(f"{path}: holds no data set that podium knows.\nLooked for: {LOOKED_FOR}.")
