"""What lies at the top of a folder, or of one outer zip file, and which part of a data set its names speak of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from podium.data.archive import is_image_name
from podium.data.formats import is_archive, opened_zip, read_zip_member
from podium.data.origin import ArchiveOrigin
from podium.errors import TableError

__all__ = [
    "LABELS",
    "MAX_TABLE_BYTES",
    "SAMPLE",
    "Top",
    "folders_in",
    "holds_images",
    "is_hidden",
    "read_file",
    "role_in",
    "role_of",
    "role_of_images",
]

PEEKED_FOLDERS = 1000
MAX_TABLE_BYTES = 1 << 28  # 256 MiB: more than ten million rows

LABELS = (
    *("trainlabels.csv", "train_labels.csv", "labels.csv", "train.csv"),
    *("train_label.csv", "training_labels.csv", "training.csv", "train_set.csv", "training_set.csv", "train_data.csv"),
)
SAMPLE = ("samplesubmission.csv", "sample_submission.csv")

_ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_IMAGE_WORDS = frozenset({"images", "image", "imgs", "img", "pictures", "photos", "set", "data", "jpg", "jpeg", "png"})
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")
_ARCHIVE_SUFFIX = re.compile(r"(\.tar)?\.\w+$")


def role_of(word: str) -> str | None:
    """The part of a data set that a word names, whatever its case: "train", "val" or "test"; None if it names none."""
    return _ROLES.get(word.strip().lower())


def role_in(name: str) -> str | None:
    """The part that a file's name speaks of: "val" for valid_2.csv, "train" for trainLabels.csv; None if of none."""
    return next((role for word in _WORD.findall(name) if (role := role_of(word))), None)


def role_of_images(stem: str) -> str | None:
    """The part whose images bear this name: "train" for train or train_images, None for train_masks."""
    words = [word.lower() for word in _WORD.findall(stem)]
    is_plain = all(word in _IMAGE_WORDS or role_of(word) for word in words)
    return role_in(stem) if is_plain else None


def is_hidden(name: str) -> bool:
    """Whether systems hide a file of that name, or make it for themselves."""
    return name.startswith(".") or name in ("__MACOSX", "desktop.ini", "Thumbs.db")


def folders_in(path: Path) -> list[Path]:
    """The folders in a folder but hidden ones, sorted. Raises OSError."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def holds_images(path: Path) -> bool:
    """Whether there are images in folders below `path`; not all of a large disk is looked through."""
    for folder, folders, files in islice(os.walk(path, followlinks=True), PEEKED_FOLDERS):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        if folder != str(path) and any(map(is_image_name, files)):
            return True
    return False


class Top:
    """The names at the top of a folder, or of a zip file.

    Attributes:
        path: the folder or zip file.
        is_zip: which of the two it is.
        names: each name as it is, by its lower-case form; a folder's ends with "/".

    Raises:
        ArchiveError: the zip file is damaged.
        OSError: the folder can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_zip = path.is_file()
        if not self.is_zip:
            names = [entry.name + "/" * entry.is_dir() for entry in path.iterdir() if not is_hidden(entry.name)]
            self.names = {name.lower(): name for name in sorted(names)}
            return
        with opened_zip(path, path.name) as archive:
            members = [info.filename for info in archive.infolist()]
        members = [name for name in members if not name.startswith("__MACOSX/")]
        tops = {name.split("/")[0] for name in members}
        # Zipping a folder puts everything under its name.
        prefix = f"{next(iter(tops))}/" if len(tops) == 1 and all("/" in name for name in members) else ""
        self.names = {}
        for name in members:
            top, slash, _ = name.removeprefix(prefix).partition("/")
            if top:
                self.names[top.lower() + slash] = prefix + top + slash

    def origin(self, role: str, *, is_tree: bool = False, archives_only: bool = False) -> ArchiveOrigin | None:
        """The archive or folder of the images of `role`: "train", "val" or "test"; an archive before a folder."""
        found = min(self._candidates(role), default=None)
        if found is None or (archives_only and found[2].endswith("/")):
            return None
        return self.origin_of(found[2], is_tree=is_tree)

    def _candidates(self, role: str) -> Iterable[tuple[bool, bool, str]]:
        for name, real in self.names.items():
            is_folder = name.endswith("/")
            if is_folder or is_archive(Path(name)):
                stem = Path(real).name if is_folder else _ARCHIVE_SUFFIX.sub("", Path(real).name)
                if role_of_images(stem) == role:
                    yield stem.lower() != role, is_folder, real

    def origin_of(self, name: str, *, is_tree: bool = False) -> ArchiveOrigin:
        """The archive or folder of that name."""
        if self.is_zip:
            return ArchiveOrigin(self.path, name, is_tree)
        return ArchiveOrigin(self.path / name, is_tree=is_tree)

    def table_name(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is there, as it is."""
        return next((self.names[name] for name in names if name in self.names), None)

    @property
    def tables(self) -> list[str]:
        """Names of all CSV files but sample submissions, sorted."""
        return sorted(real for name, real in self.names.items() if name.endswith(".csv") and name not in SAMPLE)

    def read(self, name: str) -> bytes:
        """A table's content.

        Raises:
            ArchiveError: the zip file is damaged.
            TableError: it can't be read, or is absurdly large.
        """
        if not self.is_zip:
            return read_file(self.path / name)
        with opened_zip(self.path, self.path.name) as archive:
            info = archive.getinfo(name)
            _check_size(f"{self.path.name}/{name}", info.file_size)
            return read_zip_member(archive, info, self.path.name)


def read_file(path: Path) -> bytes:
    """A table's content. Raises TableError: it can't be read, or is absurdly large."""
    try:
        _check_size(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise TableError(f"{path}: can't be read ({error.strerror}).") from error


def _check_size(what: str, num_bytes: int) -> None:
    if num_bytes > MAX_TABLE_BYTES:
        raise TableError(
            f"{what}: is {num_bytes:,} bytes; more than {MAX_TABLE_BYTES:,} is refused.\n"
            "It should have no more than a line for each image."
        )
