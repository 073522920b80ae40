"""The .7z reader: py7zr parses the headers, liblzma does the work.

py7zr hands out members through several Python calls each: 11 s for 50,000 PNG files. A 7z archive is a few blocks, each
one compressed stream of many members end to end; here a block is decompressed in large pieces and cut where its
members end, which is as fast as liblzma itself. A block of LZMA2 is cut into stretches where the compressor started
with an empty dictionary, as 7-Zip lets it do every few megabytes; stretches and blocks are decompressed in parallel.
What that doesn't cover (other coders, a py7zr with other insides) goes through py7zr's public extraction.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import py7zr
from py7zr.io import Py7zIO, WriterFactory

from podium.data.archive import MAX_MEMBER_BYTES, Archive, Part, Sink, StoppedError, damaged
from podium.data.blocks import Block, bounded, decompress, split
from podium.errors import ArchiveError

__all__ = ["SevenZipArchive"]

COPY, LZMA1, LZMA2 = b"\x00", b"\x03\x01\x01", b"\x21"


class SevenZipArchive(Archive):
    """A .7z file."""

    def __init__(self, path: Path, label: str, *, images_only: bool = False) -> None:
        super().__init__(path, label, images_only=images_only)
        self._wanted: set[int] = set()
        self._empty: list[str] = []
        with self._opened() as archive:
            entries = list(archive.files)
            for entry in entries:
                if entry.is_directory:
                    continue
                if not entry.is_file and (entry.is_symlink or entry.is_junction or entry.is_socket):
                    raise self._refuse_link(entry.filename)
                if self._admit(entry.filename, entry.uncompressed):
                    self._wanted.add(entry.id)
                    if entry.emptystream:
                        self._empty.append(entry.filename)
            blocks = _find_blocks(archive, entries, self._wanted)
        self._blocks = None if blocks is None else [part for block in blocks for part in split(path, block)]

    def parts(self) -> list[Part]:
        """The blocks; a part of its own gives the empty members, which lie in none."""
        if self._blocks is None:
            return [self._read_publicly]
        return [self._read_empty, *(partial(self._read_block, block) for block in self._blocks)]

    @contextmanager
    def _opened(self) -> Iterator[py7zr.SevenZipFile]:
        encrypted = False
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise damaged(self.label, error) from error
        with file:
            try:
                # Given an open file instead of a path, py7zr extracts in this thread rather than in many of its own.
                archive = py7zr.SevenZipFile(file)
                encrypted = archive.needs_password()
            except py7zr.exceptions.PasswordRequired:
                encrypted = True
            except Exception as error:  # on a damaged header py7zr raises nearly everything: struct.error, TypeError, …
                raise damaged(self.label, error) from error
            if encrypted:
                raise ArchiveError(
                    f"{self.label}: is encrypted. Unpack it with its password and give the folder instead."
                )
            with archive:
                yield archive

    def _read_empty(self, sink: Sink) -> None:
        for name in self._empty:
            sink(name, b"")

    def _read_block(self, block: Block, sink: Sink) -> None:
        stream = _Stream(decompress(self.path, block))
        try:
            for name, size, crc in block.members:
                if name is None:  # litter: checked, since members after it depend on it, but not kept
                    found = 0
                    for piece in stream.take(size):
                        found = zlib.crc32(piece, found)
                else:
                    data = b"".join(stream.take(size))
                    found = zlib.crc32(data)
                if crc is not None and found != crc:
                    raise damaged(self.label, f"member {name or 'to be skipped'!r} has another checksum")
                if name is not None:
                    sink(name, data)
        except (lzma.LZMAError, EOFError, OSError, MemoryError) as error:
            raise damaged(self.label, error) from error

    def _read_publicly(self, sink: Sink) -> None:
        factory = _SinkFactory(sink, {PurePosixPath(name).as_posix(): name for name in self.names})
        try:
            with self._opened() as archive:
                archive.extractall(factory=factory)
        except (py7zr.exceptions.UnsupportedCompressionMethodError, NotImplementedError) as error:
            raise ArchiveError(f"{self.label}: {error} Unpack it and give the folder instead.") from error
        except (ArchiveError, StoppedError):
            raise
        except Exception as error:  # as in _opened
            raise damaged(self.label, error) from error


def _find_blocks(archive: Any, entries: list[Any], wanted: set[int]) -> list[Block] | None:
    """The archive's blocks, or None if one isn't plain LZMA, LZMA2 or stored, or py7zr's insides have changed."""
    try:
        streams = archive.header.main_streams
        if streams is None:  # nothing but empty members
            return []
        folders, sizes = streams.unpackinfo.folders, streams.packinfo.packsizes
        if len(folders) != len(sizes):
            return None
        blocks: dict[int, Block] = {}
        offset = archive.afterheader + streams.packinfo.packpos
        for folder, size in zip(folders, sizes, strict=True):
            if len(folder.coders) != 1:
                return None
            filters = _filters(folder.coders[0], folder.unpacksizes[-1])
            blocks[id(folder)] = Block(offset, size, folder.unpacksizes[-1], filters)
            offset += size
        for entry in entries:
            if not entry.emptystream:
                name = entry.filename if entry.id in wanted else None
                blocks[id(entry.folder)].members.append((name, entry.uncompressed, entry.crc32))
        return list(blocks.values())
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _filters(coder: dict[str, Any], unpacked_bytes: int) -> list[dict[str, int]] | None:
    """What liblzma needs to undo a coder; None if that only stores. Raises ValueError for coders of other kinds."""
    properties = coder.get("properties") or b""
    if coder["method"] == COPY:
        return None
    if coder["method"] == LZMA2:
        bits = properties[0]
        found = {"id": lzma.FILTER_LZMA2, "dict_size": (2 | (bits & 1)) << (bits // 2 + 11)}
    elif coder["method"] == LZMA1:
        rest, lc = divmod(properties[0], 9)
        pb, lp = divmod(rest, 5)
        size = int.from_bytes(properties[1:5], "little")
        found = {"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": lc, "lp": lp, "pb": pb}
    else:
        raise ValueError(f"coder {coder['method']!r}")
    return [bounded(found, unpacked_bytes)]


class _Stream:
    """A block's contents, taken member by member."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._start = 0

    def take(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, in pieces. Raises EOFError if there are fewer."""
        while size > 0:
            if self._start == len(self._piece):
                self._piece, self._start = next(self._pieces, b""), 0
                if not self._piece:
                    raise EOFError("it ends within a member")
            cut = self._piece[self._start : self._start + size]
            self._start += len(cut)
            size -= len(cut)
            yield cut


class _SinkFactory(WriterFactory):
    """Gives py7zr a writer for each member, which hands it on when it is complete."""

    def __init__(self, sink: Sink, names: dict[str, str]) -> None:
        self._sink = sink
        self._names = names

    def create(self, filename: str) -> Py7zIO:
        name = self._names.get(filename)  # None: litter
        return _Member(None if name is None else partial(self._sink, name), filename)


class _Member(Py7zIO):
    """Collects a member and hands it to `done`; if that is None, takes it and keeps nothing."""

    def __init__(self, done: Callable[[bytes], None] | None, name: str) -> None:
        self._done = done
        self._keeps = done is not None
        self._name = name
        self._data = bytearray()

    def write(self, data: bytes | bytearray) -> int:
        if self._keeps:
            self._data += data
        if len(self._data) > MAX_MEMBER_BYTES:
            raise ValueError(f"member {self._name!r} is larger than {MAX_MEMBER_BYTES:,} bytes")
        return len(data)

    def read(self, size: int | None = None) -> bytes:
        return bytes(self._data[:size])

    def seek(self, offset: int, whence: int = 0) -> int:
        return offset

    def flush(self) -> None:
        pass

    def size(self) -> int:
        return len(self._data)

    def close(self) -> None:
        if self._done is not None:
            self._done(bytes(self._data))
        self._done = None
