"""WebDataset shards that others made: which member is which image's label is found by reading the tars' headers.

Members whose names are the same up to the first dot of the last part are one sample: x.jpg with its label in x.cls, a
number or a name, or in x.json ({"label": …}). Whatever else a sample has is left alone.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from podium.data.archive import MAX_MEMBER_BYTES, damaged, is_image_name
from podium.data.decode import FORMATS
from podium.data.tables import LABEL_COLUMNS
from podium.data.tar_index import Member, members_of_tar
from podium.errors import ArchiveError, DataError

__all__ = ["Sample", "is_webdataset", "scan", "size_in"]

MAX_LABEL_BYTES = 1 << 16
PEEKED_MEMBERS = 64
LABEL_KEYS = ("cls", *LABEL_COLUMNS)


@dataclass
class Sample:
    """What one key's members say.

    Attributes:
        key: the members' name up to the first dot.
        image: the image's place.
        label: as it is written; None: there is none.
    """

    key: str
    image: Member | None = None
    label: str | None = None
    members: list[str] = field(default_factory=list)


def is_webdataset(path: Path) -> bool:
    """Whether a tar begins with samples: an image and what its label is, of one name. Raises nothing but OSError."""
    try:
        with _opened(path) as (descriptor, size):
            members = islice(members_of_tar(descriptor, path.name, 0, size), PEEKED_MEMBERS)
            samples = _samples(descriptor, path.name, members)
    except DataError:
        return False
    return any(sample.image is not None and sample.label is not None for sample in samples)


def scan(path: Path, label: str) -> list[Sample]:
    """A shard's samples, in its order; each has an image.

    Args:
        path: of the tar.
        label: what messages call it.

    Raises:
        ArchiveError: it is damaged, has a label without an image, or two images or labels for one name.
    """
    try:
        with _opened(path) as (descriptor, size):
            samples = _samples(descriptor, label, members_of_tar(descriptor, label, 0, size))
    except OSError as error:
        raise damaged(label, error) from error
    found = []
    for sample in samples:
        if sample.image is not None:
            found.append(sample)
        elif sample.label is not None:
            raise ArchiveError(f"{label}: member {sample.members[0]!r} is a label, and there is no image to it.")
    if not found:
        raise ArchiveError(f"{label}: holds no image.")
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    with path.open("rb") as file:
        yield file.fileno(), os.fstat(file.fileno()).st_size


def _samples(descriptor: int, label: str, members: Iterator[Member]) -> list[Sample]:
    samples: dict[str, Sample] = {}
    said_twice = {}
    for member in members:
        folder, slash, last = member.name.rpartition("/")
        stem, dot, suffix = last.partition(".")
        if not stem or not dot:
            continue
        key, suffix = folder + slash + stem, suffix.lower()
        sample = samples.setdefault(key, Sample(key))
        if is_image_name(f"x.{suffix}") and "." not in suffix:
            if sample.image is not None:
                raise ArchiveError(
                    f"{label}: members {sample.image.name!r} and {member.name!r} are two images of one name. Which is "
                    "meant, nobody can tell."
                )
            if not 0 < member.size <= MAX_MEMBER_BYTES:
                raise ArchiveError(f"{label}: member {member.name!r} has {member.size:,} bytes, which is refused.")
            sample.image = member
        elif suffix in ("cls", "json"):
            said = _label(descriptor, label, member, suffix)
            if said is not None:
                if (key, suffix) in said_twice:
                    raise ArchiveError(f"{label}: member {member.name!r} is there twice.")
                said_twice[key, suffix] = True
                if sample.label is None or suffix == "cls":
                    sample.label = said
                sample.members.append(member.name)
    return list(samples.values())


def _label(descriptor: int, label: str, member: Member, suffix: str) -> str | None:
    if member.size > MAX_LABEL_BYTES:
        if suffix == "json":
            return None
        raise ArchiveError(f"{label}: member {member.name!r} is no label: it has {member.size:,} bytes.")
    data = os.pread(descriptor, member.size, member.offset)
    try:
        text = data.decode("utf-8-sig").strip()
        value: Any = text
        if suffix == "json":
            told = json.loads(text)
            value = next((told[key] for key in LABEL_KEYS if key in told), None) if isinstance(told, dict) else None
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{label}: member {member.name!r} isn't UTF-8, or no JSON. Mend it.") from error
    if value is None or (suffix == "json" and (isinstance(value, bool) or not isinstance(value, str | int))):
        return None
    text = str(value).strip()
    if not 0 < len(text) <= 1000 or not text.isprintable():
        raise ArchiveError(f"{label}: member {member.name!r} says no label: {text[:50]!r}.")
    return text


def size_in(path: Path, member: Member) -> tuple[int, int] | None:
    """Height and width of an image, by its header; None if they don't say."""
    try:
        with path.open("rb") as file:
            image = Image.open(io.BytesIO(os.pread(file.fileno(), member.size, member.offset)), formats=FORMATS)
            return image.height, image.width
    except Exception:  # whatever it is, decoding says it as it should be said
        return None
