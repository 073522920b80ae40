"""One file a format. `find` asks each whether it knows what lies at a path."""

from __future__ import annotations

from pathlib import Path

from podium.data.images import Dataset
from podium.data.progress import Progress
from podium.data.sources import digits, kaggle
from podium.errors import DataError

__all__ = ["open_dataset"]


def open_dataset(path: str | Path, *, image_size: int | None = None, progress: Progress | None = None) -> Dataset:
    """Opens the data set at `path`, told by looking at what is there. Nothing is decoded yet.

    Args:
        path: a competition's folder or outer zip file, or the word "digits" for the embedded data set (a folder of that
            name is "./digits", given as str).
        image_size: resize every image to this many pixels a side; None: all must have one size.
        progress: called with (what, done, total) while an archive is read for the first time.

    Raises:
        DataError: there is nothing at `path`, or nothing that is a data set; the message says what was looked for.
        StorageError: the embedded data set can't be written to the cache.
    """
    if image_size is not None and not 1 <= image_size <= 4096:
        raise DataError(f"image_size is {image_size}; it must lie between 1 and 4096 pixels.")
    if str(path) == digits.WORD:
        return digits.load(image_size=image_size, progress=progress)
    try:
        path = Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: that home folder isn't known. Give the path in full.") from error
    try:
        if not path.exists():
            raise DataError(
                f"{path}: there is no such file or folder. Give a competition's folder, or the word digits."
            )
        if found := kaggle.find(path, image_size=image_size, progress=progress):
            return found
        if missing := kaggle.near_miss(path):
            raise DataError(f"{path}: {missing}.")
        if path.is_dir() and not any(path.iterdir()):
            raise DataError(f"{path}: the folder is empty. It should hold {kaggle.LOOKED_FOR}.")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from error
    raise DataError(
        f"{path}: holds no data set that podium knows. Looked for: {kaggle.LOOKED_FOR}; or one zip with these in it."
    )
