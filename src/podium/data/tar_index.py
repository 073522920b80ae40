"""Where the members of a .tar file lie, found by reading its headers alone: 512 bytes a member, whatever its size.

A tar in a tar is a window of the same file, so places are always those in the outermost one.

Format: POSIX.1-2001 pax and ustar, and GNU tar's long names and large numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from podium.data.archive import MAX_MEMBERS, damaged
from podium.errors import ArchiveError

__all__ = ["Member", "checked_name", "members_of_tar"]

BLOCK = 512
MAX_EXTENDED_BYTES = 1 << 16  # of a header that only says a name
REGULAR, FOLDER = (b"0", b"\0", b"7"), b"5"
GNU_NAME, GNU_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"


class Member(NamedTuple):
    """A regular file in an archive: its name, where its content begins in the outermost file, and its bytes there."""

    name: str
    offset: int
    size: int


def members_of_tar(descriptor: int, label: str, start: int, end: int) -> Iterator[Member]:
    """Each regular file of the tar that lies from `start` to `end` in an open file, in the tar's order.

    Args:
        descriptor: of the open file.
        label: what messages call the tar.
        start: where the tar begins, in bytes.
        end: where it ends at the latest; nothing behind it is read.

    Raises:
        ArchiveError: it is damaged, cut short or compressed, or holds a link, a special file or a name that points out
            of it.
    """
    place, name, size = start, None, None
    for _ in range(MAX_MEMBERS):
        header = _read(descriptor, label, place, BLOCK, end)
        if not any(header):
            if name is not None or size is not None:
                raise damaged(label, "it ends within a member")
            return
        _check_sum(header, label, is_first=place == start)
        kind = header[156:157]
        length = _number(header[124:136], label) if size is None or kind not in REGULAR else size
        length = 0 if kind == FOLDER else length
        content = place + BLOCK
        if length > end - content:
            raise damaged(label, "it ends within a member")
        place = content + -(-length // BLOCK) * BLOCK
        if kind in (GNU_NAME, GNU_LINK, PAX, PAX_GLOBAL):
            if length > MAX_EXTENDED_BYTES:
                raise damaged(label, f"a header of {length:,} bytes")
            data = _read(descriptor, label, content, length, end)
            if kind == GNU_NAME:
                name = _text(data)
            elif kind == PAX:
                said_name, said_size = _pax(data, label)
                name, size = said_name or name, said_size if said_size is not None else size
            continue
        found = name if name is not None else _name(header)
        name = size = None
        if kind == FOLDER or (kind == b"\0" and found.endswith("/")):
            continue
        if kind not in REGULAR:
            raise ArchiveError(f"{label}: member {found!r} is a link or a special file; put the file itself there.")
        yield Member(checked_name(found, label), content, length)
    raise ArchiveError(f"{label}: holds more than {MAX_MEMBERS:,} members, which is refused.")


def _read(descriptor: int, label: str, place: int, length: int, end: int) -> bytes:
    try:
        data = os.pread(descriptor, length, place) if place + length <= end else b""
    except OSError as error:
        raise damaged(label, error) from error
    if len(data) < length:
        raise damaged(label, "it ends without the mark of its end")
    return data


def _check_sum(header: bytes, label: str, *, is_first: bool) -> None:
    said = _number(header[148:156], label, is_first=is_first)
    rest = header[:148] + header[156:]
    total = sum(rest) + 8 * 32  # its own field counts as spaces
    if said != total and said != total - 256 * sum(byte > 127 for byte in rest):  # old tars summed signed bytes
        raise _not_a_header(label, is_first=is_first)


def _not_a_header(label: str, *, is_first: bool) -> ArchiveError:
    if is_first:
        return damaged(label, "its first bytes are no tar's; a compressed one must be decompressed first")
    return damaged(label, "a member's header is damaged")


def _number(field: bytes, label: str, *, is_first: bool = False) -> int:
    """A number in octal digits or, if the first bit is set, in base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if digits.strip(b"01234567"):  # also negative ones, whose first byte is 0xff
        raise _not_a_header(label, is_first=is_first)
    return int(digits or b"0", 8)


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode(errors="replace")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax(data: bytes, label: str) -> tuple[str | None, int | None]:
    """The name and the size that a pax header says, where it says them."""
    name, size = None, None
    while data.strip(b"\0"):
        digits, space, _ = data[:20].partition(b" ")
        if not space or not digits.isdigit() or not len(digits) + 1 < int(digits) <= len(data):
            raise damaged(label, "a pax header is damaged")
        key, _, value = data[len(digits) + 1 : int(digits)].removesuffix(b"\n").partition(b"=")
        data = data[int(digits) :]
        if key.startswith(b"GNU.sparse."):
            raise ArchiveError(f"{label}: holds a sparse file. Make it again without --sparse.")
        if key == b"path":
            name = value.decode(errors="replace")
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise damaged(label, "a pax header is damaged")
            size = int(value)
    return name, size


def checked_name(name: str, label: str) -> str:
    """A member's name without "./". Raises ArchiveError if it points out of the archive."""
    name = name.removeprefix("./")
    if not name or name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise ArchiveError(
            f"{label}: member {name!r} points out of the archive, so it was not made in good faith.\nDownload it again."
        )
    return name
