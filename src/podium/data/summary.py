"""What is in a data set, in numbers and in a picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from podium.data.images import Dataset, Images
from podium.data.progress import Progress, Ticker
from podium.errors import DataError
from podium.files import storage_errors

__all__ = ["DataSummary", "contact_sheet", "summarize"]

TILE, GAP, FONT_SIZE = 48, 4, 16  # pixels
FEW_IMAGES = 10  # of a class: less teaches little, and a hold-out of 10 % has none of them
SHOWN = 5  # items of a list that may be long

T = TypeVar("T")


@dataclass(frozen=True)
class DataSummary:
    """A data set in numbers.

    Attributes:
        name, kind, path: as the data set's.
        fingerprint: of the training set, 16 hex digits.
        height, width: of each image, in pixels.
        num_train, num_test: images; None if there is no test set, or it was not to be read.
        class_counts: training images of each class, in the order of the classes.
        num_duplicates: training images whose pixels equal an earlier one's.
        contradictions: ids of equal training images that bear different labels, each group sorted as the images are.
        num_shared: test images whose pixels equal a training image's; None as `num_test`.
        bytes: of all pixels, in memory.
        faults: what should be looked at, a sentence or two for each; empty if nothing was found.
    """

    name: str
    kind: str
    path: str
    fingerprint: str
    height: int
    width: int
    num_train: int
    num_test: int | None
    class_counts: dict[str, int]
    num_duplicates: int
    contradictions: list[list[str]]
    num_shared: int | None
    bytes: int
    faults: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def summarize(dataset: Dataset, *, include_test: bool = True, progress: Progress | None = None) -> DataSummary:
    """Counts and checks a data set; reads all of its pixels once.

    Args:
        dataset: what to look at.
        include_test: whether to read the test set too.
        progress: called with (what, done, total) while images are compared.

    Raises:
        DataError: the training images can't be read. What is wrong elsewhere is one of the `faults`.
        StorageError: the cache can't be written.
    """
    train = dataset.train
    assert train.labels is not None
    failures: list[str] = []
    test = _tried(lambda: dataset.test, failures) if include_test else None
    _tried(lambda: dataset.sample_submission, failures)
    ticker = Ticker(progress, "comparing images", len(train) + (0 if test is None else len(test)))
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(_hashes(train)):
        groups[key].append(row)
        ticker(row + 1)
    contradictions = [
        [str(train.ids[row]) for row in rows]
        for rows in groups.values()
        if len(rows) > 1 and len(set(train.labels[rows].tolist())) > 1
    ]
    num_shared = None
    if test is not None:
        num_shared = 0
        for row, key in enumerate(_hashes(test)):
            num_shared += key in groups
            ticker(len(train) + row + 1)
    counts = np.bincount(train.labels, minlength=len(train.classes)).tolist()
    class_counts = dict(zip(train.classes, counts, strict=True))
    num_duplicates = len(train) - len(groups)
    faults = [
        *_label_faults(class_counts, num_duplicates, contradictions),
        *dict.fromkeys(failures),  # a broken sample submission fails the test set too
        *_test_faults(train, test, num_shared),
    ]
    height, width = train.size
    return DataSummary(
        name=dataset.name,
        kind=dataset.kind,
        path=str(dataset.path),
        fingerprint=dataset.fingerprint,
        height=height,
        width=width,
        num_train=len(train),
        num_test=None if test is None else len(test),
        class_counts=class_counts,
        num_duplicates=num_duplicates,
        contradictions=contradictions,
        num_shared=num_shared,
        bytes=train.pixels.nbytes + (0 if test is None else test.pixels.nbytes),
        faults=faults,
    )


def _tried(read: Callable[[], T], failures: list[str]) -> T | None:
    """What `read` gives; if it raises a DataError, None, and the message is added to `failures`."""
    try:
        return read()
    except DataError as error:
        failures.append(str(error).replace("\n", " "))
        return None


def _label_faults(class_counts: dict[str, int], num_duplicates: int, contradictions: list[list[str]]) -> Iterator[str]:
    if len(class_counts) == 1:
        yield f"All labelled images are of one class, {next(iter(class_counts))}: there is nothing to tell apart."
    small = [f"{name} ({count})" for name, count in class_counts.items() if count < FEW_IMAGES]
    if small:
        what = _number(len(small), "class has", "classes have")
        yield f"{what} fewer than {FEW_IMAGES} images: {_some(small, ', ')}."
    if num_duplicates:
        yield f"{_number(num_duplicates, 'labelled image has', 'labelled images have')} the pixels of an earlier one."
    if contradictions:
        groups = [", ".join(group[:SHOWN]) + ", …" * (len(group) > SHOWN) for group in contradictions]
        what = _number(len(groups), "group of equal images bears", "groups of equal images bear")
        yield f"{what} different labels: {_some(groups, '; ')}."


def _test_faults(train: Images, test: Images | None, num_shared: int | None) -> Iterator[str]:
    if test is not None and test.size != train.size:
        sizes = [f"{images.size[1]}x{images.size[0]}" for images in (test, train)]
        yield f"The test images are {sizes[0]} pixels, the labelled ones {sizes[1]}."
    if num_shared:
        yield f"{_number(num_shared, 'test image has', 'test images have')} the pixels of a labelled one."


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _some(items: list[str], separator: str) -> str:
    return separator.join(items[:SHOWN]) + (f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else "")


def _hashes(images: Images) -> Iterator[bytes]:
    for pixels in images.pixels:
        yield hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()


def contact_sheet(images: Images, path: Path, per_class: int = 10) -> None:
    """Writes a PNG with a row of images for each class, its name and count before it.

    Args:
        images: labelled, or not: then the first ones are shown in one row.
        path: where to write it.
        per_class: images in a row.

    Raises:
        StorageError: it can't be written.
    """
    if images.labels is None:
        rows = [("", np.arange(min(per_class, len(images))))]
    else:
        members = [np.flatnonzero(images.labels == c) for c in range(len(images.classes))]
        names = zip(images.classes, members, strict=True)
        rows = [(f"{name}  ({len(found):,})", found[:per_class]) for name, found in names]
    font = ImageFont.load_default(FONT_SIZE)
    margin = GAP + max(int(font.getlength(title)) for title, _ in rows) + 2 * GAP
    step = TILE + GAP
    sheet = Image.new("RGB", (margin + per_class * step, GAP + len(rows) * step), "white")
    draw = ImageDraw.Draw(sheet)
    for line, (title, indices) in enumerate(rows):
        top = GAP + line * step
        draw.text((GAP, top + TILE // 2), title, fill="black", font=font, anchor="lm")
        for column, index in enumerate(indices):
            tile = Image.fromarray(images.pixels[index]).resize((TILE, TILE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (margin + column * step, top))
    with storage_errors(path):
        sheet.save(path, "PNG")
