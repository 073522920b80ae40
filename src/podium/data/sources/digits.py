"""The word `digits`: scikit-learn's 1,797 real handwritten digits, as a small competition.

They are written once to the cache in Kaggle's form and from there read as any competition is. Source: E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998 (its test part).
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt
from PIL import Image

from podium.data.cache import cache_errors, cache_root
from podium.data.progress import Progress
from podium.data.sources import kaggle
from podium.data.split import hold_out

__all__ = ["WORD", "load", "solution", "write_competition"]

WORD = "digits"
VERSION = "1"  # part of the folder's name: raise it when `write_competition` would write something else
FILES = ("train.7z", "trainLabels.csv", "test.7z", "sampleSubmission.csv")
NUM_TEST = 360
SEED = 0
SIDE = 32  # pixels; scikit-learn has them at 8x8


class DigitsDataset(kaggle.KaggleDataset):
    """A Kaggle competition in the cache, known by a word."""

    kind = reference = WORD


def load(*, image_size: int | None = None, progress: Progress | None = None) -> DigitsDataset:
    """The embedded competition. Raises StorageError if the cache can't be written."""
    folder = cache_root() / f"digits-{VERSION}"
    with cache_errors():
        if not _is_complete(folder):
            _materialise(folder, progress)
    top = kaggle.top_at(folder)
    assert top is not None, folder
    dataset = DigitsDataset(folder, top, image_size, progress)
    dataset.name = WORD
    return dataset


def write_competition(folder: Path) -> None:
    """Writes train.7z, trainLabels.csv, test.7z and sampleSubmission.csv into `folder`: 1,437 + 360 PNG files of 32x32.

    Raises:
        OSError: the folder can't be written.
    """
    import py7zr  # noqa: PLC0415

    pixels, labels = _digits()
    train, test = hold_out(labels, NUM_TEST / len(labels), SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for role, indices in (("train", train), ("test", test)):
        with py7zr.SevenZipFile(folder / f"{role}.7z", "w", filters=_FAST) as archive:
            for number, index in enumerate(indices, 1):
                archive.writestr(_png(pixels[index]), f"{role}/{number}.png")
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels[train], 1))
    (folder / "trainLabels.csv").write_text(f"id,label\n{rows}")
    rows = "".join(f"{number},0\n" for number in range(1, len(test) + 1))
    (folder / "sampleSubmission.csv").write_text(f"id,label\n{rows}")


def solution() -> dict[str, str]:
    """The true label of each id of the test set, which the competition's folder keeps to itself."""
    _, labels = _digits()
    _, test = hold_out(labels, NUM_TEST / len(labels), SEED)
    return {str(number): str(label) for number, label in enumerate(labels[test], 1)}


_FAST = [{"id": 33, "preset": 1}]  # LZMA2: PNG files are compressed already


def _materialise(folder: Path, progress: Progress | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):
        if _is_complete(folder):  # another process was faster
            return
        for leftover in folder.parent.glob(f".{folder.name}.*"):  # of builders that were killed
            shutil.rmtree(leftover, ignore_errors=True)
        if folder.exists():  # caches get swept
            shutil.rmtree(folder)
        if progress:
            progress("writing the digits", 0, 0)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write_competition(building)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() and (folder / name).stat().st_size for name in FILES)


def _digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Pixels uint8 (1797, 8, 8), 0 to 255, and labels int64 (1797,)."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  (takes a second; only the first opening needs it)

    images, labels = load_digits(return_X_y=True)
    grey = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # scikit-learn's go from 0 to 16
    return grey, labels.astype(np.int64)


def _png(grey: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
