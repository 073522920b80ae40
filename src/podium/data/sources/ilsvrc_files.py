"""Where ILSVRC's images lie: in a tar, in a tar of tars, in a tree of folders, or in Kaggle's one zip.

What an image's class is, its folder says, or the inner tar that it lies in; images of val and test have none.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from podium.data.archive import MAX_MEMBER_BYTES, damaged
from podium.data.cache import stamp
from podium.data.formats import opened_zip
from podium.data.image_index import Index, IndexBuilder, kept_indexes
from podium.data.progress import MEGABYTE, Progress, Ticker
from podium.data.tar_index import Member, checked_name, members_of_tar
from podium.errors import ArchiveError

__all__ = ["IS_WNID", "KAGGLE_IMAGES", "TABLES", "index_part", "index_zip"]

IS_WNID: Callable[[str], re.Match[str] | None] = re.compile(r"n\d{8}").fullmatch
KAGGLE_IMAGES = "ILSVRC/Data/CLS-LOC/"
TABLES, PARTS = "tables", ("train", "val", "test")
_LOCAL_HEADER = struct.Struct("<4s22x2H")  # signature, lengths of name and extra field
CHUNK = 10_000  # images of one folder that are taken at once


def index_part(path: Path, progress: Progress | None = None) -> Index:
    """The images of a part: a tar, a tar of tars, or a folder with images, folders of images or tars of images in it.

    Raises:
        ArchiveError: it is damaged, cut short, empty, or has a member that must not be there.
    """
    build = _index_tree if path.is_dir() else _index_tar
    stamps = _stamps_of_tree if path.is_dir() else _stamp_of_file
    return kept_indexes([str(path.resolve())], lambda: stamps(path), lambda: {"all": build(path, progress)})["all"]


def _stamp_of_file(path: Path) -> list[list[int]]:
    try:
        return [stamp(path)]
    except OSError as error:
        raise damaged(path.name, error) from error


# ---- a tar


def _index_tar(path: Path, progress: Progress | None) -> Index:
    builder = IndexBuilder(path.name)
    _take_tar(builder, path, path.name, progress)
    return builder.finish()


def _take_tar(
    builder: IndexBuilder, path: Path, label: str, progress: Progress | None, folder: str | None = None
) -> None:
    """Takes a tar's images, and those of the tars in it. `folder` is that of all its images; None: their own."""
    container = builder.container(path.resolve())
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise damaged(label, error) from error
    try:
        end = os.fstat(descriptor).st_size
        ticker = Ticker(progress, f"listing {label}, in MB", end, MEGABYTE)
        loose: dict[str, list[Member]] = {}
        num_loose = 0
        for member in members_of_tar(descriptor, label, 0, end):
            ticker(member.offset + member.size)
            if folder is None and member.name.lower().endswith(".tar"):
                inner, stop = f"{label}: {member.name}", member.offset + member.size
                found = [one for one in members_of_tar(descriptor, inner, member.offset, stop) if _admits(builder, one)]
                _add(builder, container, Path(member.name).stem, found, f"{member.name}/")
            elif _admits(builder, member):
                own = Path(member.name).parent.name
                loose.setdefault(folder or (own if IS_WNID(own) else ""), []).append(member)
                num_loose += 1
                if num_loose >= CHUNK:
                    _add_all(builder, container, loose)
                    num_loose = 0
        _add_all(builder, container, loose)
    finally:
        os.close(descriptor)


def _admits(builder: IndexBuilder, member: Member) -> bool:
    return builder.admits(member.name, member.size)


def _add_all(builder: IndexBuilder, container: int, found: dict[str, list[Member]]) -> None:
    for folder, members in found.items():
        _add(builder, container, folder, members, "")
    found.clear()


def _add(builder: IndexBuilder, container: int, folder: str, members: list[Member], prefix: str) -> None:
    names, sizes = [member.name for member in members], [member.size for member in members]
    shown = [prefix + name for name in names]
    builder.add(folder, names, container, [member.offset for member in members], sizes, sizes, shown)


# ---- a tree


def _stamps_of_tree(path: Path) -> list[list[int]]:
    """Of the folder, and of the folders and tars in it: adding, renaming or removing a file changes one of them."""
    try:
        with os.scandir(path) as entries:
            inner = sorted(entry.path for entry in entries if entry.is_dir() or entry.name.lower().endswith(".tar"))
        return [stamp(path), *(stamp(Path(one)) for one in inner)]
    except OSError as error:
        raise damaged(path.name, error) from error


def _index_tree(path: Path, progress: Progress | None) -> Index:
    builder = IndexBuilder(path.name)
    root = path.resolve()
    try:
        with os.scandir(root) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
        folders = [entry for entry in entries if entry.is_dir()]
        tars = [entry for entry in entries if entry.name.lower().endswith(".tar") and not entry.is_dir()]
        ticker = Ticker(progress, f"listing {path.name}, folders", len(folders) + len(tars))
        _take_files(builder, "", [entry for entry in entries if entry not in folders and entry not in tars])
        for done, entry in enumerate(folders):
            with os.scandir(entry.path) as files:
                _take_files(builder, entry.name, sorted(files, key=lambda file: file.name))
            ticker(done + 1)
        for done, entry in enumerate(tars, len(folders)):
            _take_tar(builder, Path(entry.path), f"{path.name}/{entry.name}", None, Path(entry.name).stem)
            ticker(done + 1)
    except OSError as error:
        raise ArchiveError(f"{error.filename or path}: can't be read ({error.strerror}).") from error
    return builder.finish()


def _take_files(builder: IndexBuilder, folder: str, entries: list[os.DirEntry[str]]) -> None:
    names, containers, sizes = [], [], []
    for entry in entries:
        if entry.is_dir():
            if not entry.name.startswith("."):
                builder.leave_out(f"{folder}/{entry.name}/")
            continue
        size = entry.stat().st_size
        if builder.admits(entry.name, size):
            names.append(entry.name)
            containers.append(builder.container(entry.path))
            sizes.append(size)
    builder.add(folder, names, containers, [0] * len(names), [-1] * len(names), sizes, [""] * len(names))


# ---- Kaggle's zip


def index_zip(path: Path, progress: Progress | None = None) -> dict[str, Index]:
    """The parts of Kaggle's zip, "train", "val" and "test", and its tables, as far as they are there.

    Raises:
        ArchiveError: it is damaged, encrypted, compressed otherwise than by Deflate, or has a member that must not be
            there.
    """
    return kept_indexes([str(path.resolve()), "zip"], lambda: _stamp_of_file(path), lambda: _index_zip(path, progress))


def _index_zip(path: Path, progress: Progress | None) -> dict[str, Index]:
    if progress:
        progress(f"listing {path.name}", 0, 0)
    builders: dict[str, IndexBuilder] = {}
    groups: dict[tuple[str, str], list[zipfile.ZipInfo]] = {}
    with opened_zip(path, path.name) as archive, path.open("rb") as file:
        for info in archive.infolist():
            name = info.orig_filename
            part, _, rest = name.removeprefix(KAGGLE_IMAGES).partition("/")
            if name.startswith("LOC_") and name.endswith((".csv", ".txt")) and info.file_size <= MAX_MEMBER_BYTES:
                groups.setdefault((TABLES, ""), []).append(info)
            elif name.startswith(KAGGLE_IMAGES) and part in PARTS and not info.is_dir():
                checked_name(name, path.name)
                builder = builders.setdefault(part, IndexBuilder(f"{path.name}/{KAGGLE_IMAGES}{part}"))
                if builder.admits(rest, info.file_size):
                    groups.setdefault((part, rest.rpartition("/")[0].rpartition("/")[2]), []).append(info)
        total, done = sum(map(len, groups.values())), 0
        ticker = Ticker(progress, f"listing {path.name}, images", total)
        size = os.fstat(file.fileno()).st_size
        for (part, folder), infos in groups.items():
            builder = builders.setdefault(part, IndexBuilder(path.name))
            container = builder.container(path.resolve())
            names = [info.orig_filename for info in infos]
            deflated = [info.compress_type == zipfile.ZIP_DEFLATED for info in infos]
            offsets = [_content_of(file.fileno(), info, path.name, size) for info in infos]
            sizes = [info.file_size for info in infos]
            builder.add(
                folder, names, container, offsets, [info.compress_size for info in infos], sizes, names, deflated
            )
            done += len(infos)
            ticker(done)
    return {part: builder.finish() for part, builder in builders.items()}


def _content_of(descriptor: int, info: zipfile.ZipInfo, label: str, size: int) -> int:
    """Where a member's content begins."""
    name = info.orig_filename
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(
            f"{label}: member {name!r} is compressed in a rare way. Unpack it and give the folder instead."
        )
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        raise ArchiveError(f"{label}: member {name!r} is a link; put the file itself there.")
    try:
        header = os.pread(descriptor, _LOCAL_HEADER.size, place) if 0 <= (place := info.header_offset) < size else b""
    except OSError as error:
        raise damaged(label, error) from error
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise damaged(label, "its header is not where the listing says", name)
    _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    start = int(place) + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
    if start + info.compress_size > size:
        raise damaged(label, "it ends within that member", name)
    return start
