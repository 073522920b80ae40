"""What is in a data set, in numbers and in a picture."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from podium.data.images import Dataset, Images
from podium.files import storage_errors

__all__ = ["DataSummary", "contact_sheet", "summarize"]

TILE, GAP, FONT_SIZE = 48, 4, 16  # pixels


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

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def summarize(dataset: Dataset, *, include_test: bool = True) -> DataSummary:
    """Counts and checks a data set; reads all of its pixels once.

    Args:
        dataset: what to look at.
        include_test: whether to read the test set too.

    Raises:
        DataError, StorageError: as opening its images does.
    """
    train = dataset.train
    test = dataset.test if include_test else None
    assert train.labels is not None
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(_hashes(train)):
        groups[key].append(row)
    contradictions = [
        [str(train.ids[row]) for row in rows]
        for rows in groups.values()
        if len(rows) > 1 and len(set(train.labels[rows].tolist())) > 1
    ]
    counts = np.bincount(train.labels, minlength=len(train.classes)).tolist()
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
        class_counts=dict(zip(train.classes, counts, strict=True)),
        num_duplicates=len(train) - len(groups),
        contradictions=contradictions,
        num_shared=None if test is None else sum(key in groups for key in _hashes(test)),
        bytes=train.pixels.nbytes + (0 if test is None else test.pixels.nbytes),
    )


def _hashes(images: Images) -> list[bytes]:
    return [hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest() for pixels in images.pixels]


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
