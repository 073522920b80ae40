"""index.json: what podium says of the shards that it wrote. All in it is checked, since it may be a stranger's.

    {"podium_shards": 1, "name": "digits", "fingerprint": …, "classes": […], "image_size": [32, 32],
     "is_encoded": false, "labels": "label", "evaluation": null, "sample_submission": null or a file,
     "splits": {"train": {"num_images": 1437, "table": a file, "shards": [a file with num_images, …]}, …}}

where a file is {"name": …, "num_bytes": …, "sha256": …}. Its names lie beside it, in no folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from podium.data.archive import MAX_MEMBERS
from podium.data.shard_cache import MAX_SHARD_BYTES, is_plain_name
from podium.errors import ArchiveError

__all__ = ["INDEX_NAME", "MAX_INDEX_BYTES", "ROLES", "ShardIndex", "SplitIndex", "Stored", "parse"]

INDEX_NAME = "index.json"
VERSION = 1
MAX_INDEX_BYTES = 1 << 26
MAX_TABLE_BYTES = 1 << 32
MAX_SHARDS = 1_000_000
ROLES = ("train", "evaluation", "test")
SUFFIXES = {"table": ".safetensors", "shard": ".tar", "sample_submission": ".csv"}

T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """A file beside the index: its name, its bytes, the SHA-256 of them, and the images in it, if it is a shard."""

    name: str
    num_bytes: int
    sha256: str
    num_images: int = 0


@dataclass(frozen=True)
class SplitIndex:
    """One of train, evaluation and test: how many images, where its table is, and its shards."""

    num_images: int
    table: Stored
    shards: tuple[Stored, ...]


@dataclass(frozen=True)
class ShardIndex:
    """A data set in shards.

    Attributes:
        name: of the data set.
        fingerprint: that of the data set which the shards were made of.
        classes: sorted, as in `Images`.
        image_size: height and width that the images had there, in pixels.
        is_encoded: whether there they were decoded when they were asked for, and so may have any size.
        labels: which labels they are, as `Dataset.labels_from`.
        evaluation: what the evaluation set is, in words.
        sample_submission: a CSV, if there was one.
        splits: by "train", "evaluation" and "test", as far as there are such.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    image_size: tuple[int, int]
    is_encoded: bool
    labels: str | None
    evaluation: str | None
    sample_submission: Stored | None
    splits: dict[str, SplitIndex]

    def encoded(self) -> bytes:
        """As index.json."""
        return (json.dumps({"podium_shards": VERSION} | asdict(self), indent=1, ensure_ascii=False) + "\n").encode()


def parse(data: bytes, label: str) -> ShardIndex:
    """An index.json.

    Args:
        data: its content.
        label: what messages call it.

    Raises:
        ArchiveError: it isn't one, is of a later version, or says what can't be.
    """
    try:
        told = json.loads(data)
        if not isinstance(told, dict) or "podium_shards" not in told:
            raise ArchiveError(f"{label}: is no index of shards. podium shard writes one.")
        if told["podium_shards"] != VERSION:
            raise ArchiveError(
                f"{label}: is of version {str(told['podium_shards'])[:20]}, and this podium reads {VERSION}. Update it."
            )
        return _index(told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(
            f"{label}: is damaged ({type(error).__name__}: {str(error)[:200]}). Get it again."
        ) from error


def _index(told: dict[str, Any]) -> ShardIndex:
    splits = {role: _split(role, split) for role, split in _is(told["splits"], dict).items()}
    classes = tuple(_is(name, str) for name in told["classes"])
    size = tuple(_number(side, 1, 1 << 16) for side in told["image_size"])
    sample = told["sample_submission"]
    fingerprint = _is(told["fingerprint"], str)
    used = [stored.name for split in splits.values() for stored in (split.table, *split.shards)]
    _demand(len(set(used)) == len(used), "a name is there twice")
    _demand("train" in splits and set(splits) <= set(ROLES), "its splits aren't train, evaluation and test")
    _demand(1 <= len(classes) == len(set(classes)), "its classes aren't different")
    _demand(len(size) == 2 and re.fullmatch("[0-9a-f]{16}", fingerprint) is not None, "size or fingerprint")
    return ShardIndex(
        name=_is(told["name"], str)[:200],
        fingerprint=fingerprint,
        classes=classes,
        image_size=(size[0], size[1]),
        is_encoded=_is(told["is_encoded"], bool),
        labels=_maybe(told["labels"], lambda value: _is(value, str)),
        evaluation=_maybe(told["evaluation"], lambda value: _is(value, str)),
        sample_submission=_maybe(sample, lambda value: _stored(value, "sample_submission")),
        splits=splits,
    )


def _split(role: str, told: dict[str, Any]) -> SplitIndex:
    shards = tuple(_stored(one, "shard") for one in told["shards"])
    num_images = _number(told["num_images"], 1, MAX_MEMBERS)
    _demand(1 <= len(shards) <= MAX_SHARDS, f"{role} has no shard")
    _demand(sum(shard.num_images for shard in shards) == num_images, f"{role}'s shards have other numbers of images")
    return SplitIndex(num_images, _stored(told["table"], "table"), shards)


def _stored(told: dict[str, Any], what: str) -> Stored:
    name, sha256 = _is(told["name"], str), _is(told["sha256"], str)
    _demand(is_plain_name(name) and name.endswith(SUFFIXES[what]), f"{name[:200]!r} can't be the name of a {what}")
    _demand(re.fullmatch("[0-9a-f]{64}", sha256) is not None, f"{name} has no SHA-256")
    num_bytes = _number(told["num_bytes"], 1, MAX_SHARD_BYTES if what == "shard" else MAX_TABLE_BYTES)
    return Stored(name, num_bytes, sha256, _number(told["num_images"], 1, MAX_MEMBERS) if what == "shard" else 0)


def _is(value: Any, kind: type[T]) -> T:
    _demand(isinstance(value, kind), f"{str(value)[:100]!r} should be of kind {kind.__name__}")
    return value  # type: ignore[no-any-return]


def _number(value: Any, least: int, most: int) -> int:
    _demand(type(value) is int and least <= value <= most, f"{str(value)[:100]!r} should lie in {least} … {most}")
    return int(value)


def _maybe(value: Any, read: Callable[[Any], T]) -> T | None:
    return None if value is None else read(value)


def _demand(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(what)
