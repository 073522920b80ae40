"""Archives by kind: .zip, .tar and unpacked folders; and the choice among all kinds, .7z with them."""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from podium.data.archive import Archive, Part, Sink, damaged, is_image_name
from podium.errors import ArchiveError

__all__ = [
    "FolderArchive",
    "TarArchive",
    "ZipArchive",
    "is_archive",
    "open_archive",
    "opened_zip",
    "read_zip_member",
    "tar_entries",
    "zip_pieces",
]

COPY_BYTES = 1 << 20
MAX_EXTENDED_BYTES = 1 << 16  # of a tar's header that only says a name, as in `tar_index`


class ZipArchive(Archive):
    """A .zip file, or one folder inside of it."""

    def __init__(self, path: Path, label: str, inside: str = "", *, images_only: bool = False) -> None:
        super().__init__(path, label, images_only=images_only)
        self._infos = []
        with opened_zip(path, label) as archive:
            for info in archive.infolist():
                name = info.orig_filename
                if info.filename.endswith("/") or not name.startswith(inside):  # is_dir fails on empty names
                    continue
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise self._refuse_link(name)
                if self._admit(name, info.file_size):
                    self._infos.append(info)

    def parts(self) -> list[Part]:
        """One part: the whole."""
        return [self._read]

    def _read(self, sink: Sink) -> None:
        with opened_zip(self.path, self.label) as archive:
            for info in self._infos:
                sink(info.orig_filename, read_zip_member(archive, info, self.label))


def opened_zip(path: Path, label: str) -> zipfile.ZipFile:
    """The zip file at `path`. Raises ArchiveError if it is none, is damaged or is encrypted."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # on damaged files the readers of the standard library raise nearly everything
        raise damaged(label, error) from error
    if any(info.flag_bits & 1 for info in archive.infolist()):
        archive.close()
        raise ArchiveError(f"{label}: is encrypted. Unpack it with its password and give the folder instead.")
    return archive


def read_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> bytes:
    """One member's bytes, checked against its CRC. Raises ArchiveError."""
    return b"".join(zip_pieces(archive, info, label))


def zip_pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> Iterator[bytes]:
    """One member's bytes in pieces, checked against its CRC; never more than its declared size. Raises ArchiveError.

    `ZipFile.read` would inflate all that is there before it cuts it to that size.
    """
    # bz2 and LZMA know no bound, but 4 KiB, the least that zipfile gives them at once, become 80 MB at most.
    step = COPY_BYTES if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else 4096
    try:
        with archive.open(info) as member:
            while piece := member.read(step):
                yield piece
    except NotImplementedError as error:
        raise ArchiveError(f"{label}: {error}. Unpack it and give the folder instead.") from error
    except Exception as error:  # see opened_zip
        raise damaged(label, error, info.orig_filename) from error


class TarArchive(Archive):
    """A .tar file, plain or compressed. It is read twice, since its listing is spread over the whole of it."""

    def __init__(self, path: Path, label: str, *, images_only: bool = False) -> None:
        super().__init__(path, label, images_only=images_only)
        self._images: set[int] = set()
        for info, _ in tar_entries(path, label):
            if info.isdir():
                continue
            if not info.isreg():
                raise self._refuse_link(info.name)
            if self._admit(info.name.removeprefix("./"), info.size):
                self._images.add(info.offset)

    def parts(self) -> list[Part]:
        """One part: the whole."""
        return [self._read]

    def _read(self, sink: Sink) -> None:
        for info, archive in tar_entries(self.path, self.label):
            if info.offset in self._images:
                file = archive.extractfile(info)
                assert file is not None, info.name
                data = file.read(info.size)
                if len(data) != info.size:
                    raise damaged(self.label, f"member {info.name!r} is cut short")
                sink(info.name.removeprefix("./"), data)


class _Header(tarfile.TarInfo):
    """A member's header. Those that only say a name or a size, and are read at once, are bounded."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        is_extended = self.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK) or self._is_pax()
        if is_extended and self.size > MAX_EXTENDED_BYTES:
            raise ValueError(f"a header of {self.size:,} bytes")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found

    def _is_pax(self) -> bool:
        """Whether it is a pax header, of one member or of all that follow."""
        return self.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


def tar_entries(path: Path, label: str) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Each entry of a .tar file, plain or compressed, and the file to read it from before the next is asked for.

    Raises:
        ArchiveError: it is damaged or cut short.
    """
    try:
        with tarfile.open(path, "r:*", tarinfo=_Header) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every header it has passed
                yield info, archive
            assert archive.fileobj is not None
            while archive.fileobj.read(COPY_BYTES):  # a compressed file's checksum comes last
                pass
    except Exception as error:  # see opened_zip
        raise damaged(label, error) from error


class FolderArchive(Archive):
    """An unpacked folder, with all folders below it.

    Links to images and folders are followed, wherever they lead: they are the user's own. A link to a folder that it
    lies in is refused, or there would be no end.

    Args:
        path: the folder.
        label: what messages call it.
        images_only: as of `Archive`.
        only: names of the images to take; None: all.
    """

    def __init__(
        self, path: Path, label: str, *, images_only: bool = False, only: frozenset[str] | None = None
    ) -> None:
        super().__init__(path, label, images_only=images_only)
        self.stamps: list[tuple[str, int, int]] = []
        """Each image's name, size in bytes and time of change in nanoseconds, sorted by name."""
        for name, status in sorted(_walk(path, "", label, [os.path.realpath(path)]), key=lambda entry: entry[0]):
            if only is None or name in only:
                is_read = not images_only or is_image_name(name)
                if self._admit(name, status.st_size if is_read else 0):
                    self.stamps.append((name, status.st_size, status.st_mtime_ns))

    def parts(self) -> list[Part]:
        """One part: the whole."""
        return [self._read]

    def _read(self, sink: Sink) -> None:
        for name in self.names:
            try:
                data = (self.path / name).read_bytes()
            except OSError as error:
                raise ArchiveError(f"{self.label}/{name}: can't be read ({error.strerror}).") from error
            sink(name, data)


def _walk(folder: Path, prefix: str, label: str, above: list[str]) -> Iterable[tuple[str, os.stat_result]]:
    """Each file's name and status. `above` are the real paths of the folders that led here, this one last."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir():
                    yield prefix + entry.name, entry.stat()
                elif not entry.name.startswith("."):
                    is_link = entry.is_symlink()
                    real = os.path.realpath(entry.path) if is_link else os.path.join(above[-1], entry.name)  # noqa: PTH118
                    if is_link and real in above:
                        raise ArchiveError(
                            f"{label}: {prefix}{entry.name} is a link to a folder that it lies in. Take the link out."
                        )
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", label, [*above, real])
    except OSError as error:
        raise ArchiveError(f"{label}: {error.filename or folder} can't be read ({error.strerror}).") from error


def is_archive(path: Path) -> bool:
    """Whether the name says that `path` is an archive which `open_archive` reads."""
    return bool(re.search(r"\.(7z|zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", path.name, re.IGNORECASE))


def open_archive(
    path: Path,
    label: str | None = None,
    inside: str = "",
    *,
    images_only: bool = False,
    only: frozenset[str] | None = None,
) -> Archive:
    """The archive or folder at `path`, its listing read.

    Args:
        path: a .7z, .zip or .tar file, told by its first bytes, or a folder.
        label: what messages call it; its file name if None.
        inside: read only what lies in this folder of a zip file (ends with "/").
        images_only: leave out members whose names don't say that they are images.
        only: names of a folder's images to take; None: all.

    Raises:
        ArchiveError: it is damaged, encrypted, of another kind, or has a member that must not be read.
        ImageError: a member's name says that it is no image.
    """
    from podium.data.sevenzip import SevenZipArchive  # noqa: PLC0415  (py7zr takes 0.1 s to import; only a build needs it)

    label = label or path.name
    if path.is_dir():
        return FolderArchive(path, label, images_only=images_only, only=only)
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise damaged(label, error) from error
    if start == b"7z\xbc\xaf\x27\x1c":
        return SevenZipArchive(path, label, images_only=images_only)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return ZipArchive(path, label, inside, images_only=images_only)
    if not start:
        raise damaged(label, "the file is empty")
    if re.search(r"\.(tar(\.\w+)?|t[gbx]z2?)$", label, re.IGNORECASE):
        return TarArchive(path, label, images_only=images_only)
    raise damaged(label, "its first bytes are no archive's")
