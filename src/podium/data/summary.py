"""What is in a data set, in numbers and in a picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from podium.data.encoded import EncodedPixels
from podium.data.images import Dataset, Images
from podium.data.progress import Progress, Ticker
from podium.errors import DataError
from podium.files import storage_errors

__all__ = ["DataSummary", "contact_sheet", "summarize"]

TILE, GAP, FONT_SIZE = 48, 4, 16  # pixels
FEW_IMAGES = 10  # of a class: less teaches little, and a hold-out of 10 % has none of them
SHOWN = 5  # items of a list that may be long
NUM_TRIED = 200  # images of a set that are decoded to see whether they can be, where all would be too many

T = TypeVar("T")


@dataclass(frozen=True)
class DataSummary:
    """A data set in numbers.

    Attributes:
        name, kind, path: as the data set's.
        fingerprint: of the training set, 16 hex digits.
        height, width: of each image, in pixels.
        labels: which labels these are, where the data have several.
        num_train, num_evaluation, num_test: images; None if there is no such set, or it was not to be read.
        evaluation: what the evaluation set is, in words; None as `num_evaluation`.
        class_counts: training images of each class, in the order of the classes.
        evaluation_counts: images of each class in the evaluation set; None as `num_evaluation`.
        num_duplicates: training images whose pixels equal an earlier one's; None if they weren't compared, since they
            are decoded only when they are asked for.
        contradictions: ids of equal training images that bear different labels, each group sorted as the images are.
        num_evaluation_shared, num_shared: images of the evaluation set and of the test set whose pixels equal a
            training image's; None as `num_evaluation`, `num_test` and `num_duplicates`.
        bytes: of all pixels, in memory.
        faults: what should be looked at, a sentence or two for each; empty if nothing was found.
    """

    name: str
    kind: str
    path: str
    fingerprint: str
    height: int
    width: int
    labels: str | None
    num_train: int
    num_evaluation: int | None
    num_test: int | None
    evaluation: str | None
    class_counts: dict[str, int]
    evaluation_counts: dict[str, int] | None
    num_duplicates: int | None
    contradictions: list[list[str]]
    num_evaluation_shared: int | None
    num_shared: int | None
    bytes: int
    faults: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def summarize(dataset: Dataset, *, include_test: bool = True, progress: Progress | None = None) -> DataSummary:
    """Counts and checks a data set; reads all of its pixels once, or some, if they are too many to be kept as pixels.

    Args:
        dataset: what to look at.
        include_test: whether to read the evaluation set and the test set too.
        progress: called with (what, done, total) while images are compared.

    Raises:
        DataError: the training images can't be read. What is wrong elsewhere is one of the `faults`.
        StorageError: the cache can't be written.
    """
    train = dataset.train
    assert train.labels is not None
    failures: list[str] = []
    evaluation = _tried(lambda: dataset.evaluation, failures) if include_test else None
    test = _tried(lambda: dataset.test, failures) if include_test else None
    _tried(lambda: dataset.sample_submission, failures)
    others = [images for images in (evaluation, test) if images is not None]
    class_counts = _class_counts(train)
    num_duplicates: int | None = None
    contradictions: list[list[str]] = []
    shared: list[int | None] = [None, None]
    trials: list[str] = []
    if any(isinstance(images.pixels, EncodedPixels) for images in (train, *others)):
        trials = list(_trials([train, *others], progress))
    else:
        num_duplicates, contradictions, shared = _compared(train, evaluation, test, progress)
    faults = [
        *_label_faults(class_counts, num_duplicates, contradictions),
        *dict.fromkeys(failures),  # a broken sample submission fails the test set too
        *_other_faults(train, evaluation, shared[0], "evaluation"),
        *_other_faults(train, test, shared[1], "test"),
        *trials,
        *dataset.faults(progress),
    ]
    height, width = train.size
    return DataSummary(
        name=dataset.name,
        kind=dataset.kind,
        path=dataset.place,
        fingerprint=dataset.fingerprint,
        height=height,
        width=width,
        labels=dataset.labels_from,
        num_train=len(train),
        num_evaluation=None if evaluation is None else len(evaluation),
        num_test=None if test is None else len(test),
        evaluation=None if evaluation is None else dataset.evaluation_name,
        class_counts=class_counts,
        evaluation_counts=None if evaluation is None else _class_counts(evaluation),
        num_duplicates=num_duplicates,
        contradictions=contradictions,
        num_evaluation_shared=shared[0],
        num_shared=shared[1],
        bytes=sum(images.pixels.nbytes for images in (train, *others)),
        faults=faults,
    )


def _compared(
    train: Images, evaluation: Images | None, test: Images | None, progress: Progress | None
) -> tuple[int, list[list[str]], list[int | None]]:
    """Doubles among the training images, those of them with different labels, and doubles of them in the other sets."""
    assert train.labels is not None
    others = [images for images in (evaluation, test) if images is not None]
    ticker = Ticker(progress, "comparing images", len(train) + sum(map(len, others)))
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(_hashes(train)):
        groups[key].append(row)
        ticker(row + 1)
    contradictions = [
        [str(train.ids[row]) for row in rows]
        for rows in groups.values()
        if len(rows) > 1 and len(set(train.labels[rows].tolist())) > 1
    ]
    shared: list[int | None] = []
    done = len(train)
    for images in (evaluation, test):
        count = 0
        for key in () if images is None else _hashes(images):
            count += key in groups
            done += 1
            ticker(done)
        shared.append(None if images is None else count)
    return len(train) - len(groups), contradictions, shared


def _trials(sets: list[Images], progress: Progress | None) -> Iterator[str]:
    """Decodes some images of each set, spread evenly, and says which can't be; and that doubles weren't looked for."""
    tried = [(images, _some_rows(images)) for images in sets]
    total = sum(len(rows) for _, rows in tried)
    ticker, done = Ticker(progress, "decoding some images", total), 0
    failures: list[str] = []
    for images, rows in tried:
        for row in rows.tolist():
            _tried(lambda images=images, row=row: images.pixels[row], failures)  # type: ignore[misc]
            done += 1
            ticker(done)
    if failures:
        yield f"{_number(len(failures), 'image', 'images')} of {total:,} tried can't be decoded: {_some(failures, ' ')}"
    yield "Equal images were not looked for: these are decoded when they are asked for, and are too many to be kept."


def _some_rows(images: Images) -> npt.NDArray[np.int64]:
    if isinstance(images.pixels, EncodedPixels):
        return images.pixels.files.spread(NUM_TRIED)
    return np.unique(np.linspace(0, len(images) - 1, NUM_TRIED).astype(np.int64))


def _class_counts(images: Images) -> dict[str, int]:
    assert images.labels is not None
    counts = np.bincount(images.labels, minlength=len(images.classes)).tolist()
    return dict(zip(images.classes, counts, strict=True))


def _tried(read: Callable[[], T], failures: list[str]) -> T | None:
    """What `read` gives; if it raises a DataError, None, and the message is added to `failures`."""
    try:
        return read()
    except DataError as error:
        failures.append(str(error).replace("\n", " "))
        return None


def _label_faults(
    class_counts: dict[str, int], num_duplicates: int | None, contradictions: list[list[str]]
) -> Iterator[str]:
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


def _other_faults(train: Images, others: Images | None, num_shared: int | None, what: str) -> Iterator[str]:
    if others is not None and others.size != train.size:
        sizes = [f"{images.size[1]}x{images.size[0]}" for images in (others, train)]
        yield f"The {what} images are {sizes[0]} pixels, the labelled ones {sizes[1]}."
    if num_shared:
        one, many = f"{what} image has", f"{what} images have"
        of = "a training image" if what == "evaluation" else "a labelled one"
        yield f"{_number(num_shared, one, many)} the pixels of {of}."


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _some(items: list[str], separator: str) -> str:
    return separator.join(items[:SHOWN]) + (f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else "")


def _hashes(images: Images) -> Iterator[bytes]:
    for row in range(len(images)):
        yield hashlib.blake2b(np.ascontiguousarray(images.pixels[row]).data, digest_size=16).digest()


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
            tile = Image.fromarray(images.pixels[int(index)]).resize((TILE, TILE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (margin + column * step, top))
    with storage_errors(path):
        sheet.save(path, "PNG")
