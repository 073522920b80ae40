"""A 7z archive's blocks: compressed streams of many members end to end, what they are cut into, and what is in them."""

from __future__ import annotations

import bisect
import itertools
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Block", "bounded", "decompress", "split"]

PIECE_BYTES = 1 << 20
PACKED_BYTES = 1 << 18
STRETCH_BYTES = 1 << 20  # less isn't worth a decompressor of its own


@dataclass
class Block:
    """One compressed stream and the members in it, end to end."""

    offset: int
    packed_bytes: int
    unpacked_bytes: int
    filters: list[dict[str, int]] | None
    """What liblzma needs to decompress it; None if it is stored."""
    members: list[tuple[str | None, int, int | None]] = field(default_factory=list)
    """Name (None: skip it), size in bytes, CRC-32 (None if the archive has none)."""


def split(path: Path, block: Block) -> list[Block]:
    """An LZMA2 block as stretches that can be decompressed by themselves; the block alone where there is but one.

    Each begins where the dictionary is empty, with the end of a member that the stretch before has begun, and so reads
    beyond the beginning of the next one as far as it must.
    """
    begins = [0, *itertools.accumulate(size for _, size, _ in block.members)]
    if block.filters is None or block.filters[0]["id"] != lzma.FILTER_LZMA2 or begins[-1] > block.unpacked_bytes:
        return [block]
    starts, firsts = [(0, 0)], [0]  # of each stretch: bytes before it, packed and unpacked; its first member
    for packed, unpacked in _fresh_starts(path, block):
        first = bisect.bisect_left(begins, unpacked)
        if unpacked - starts[-1][1] >= STRETCH_BYTES and firsts[-1] < first < len(block.members):
            starts.append((packed, unpacked))
            firsts.append(first)
    if len(starts) == 1:
        return [block]
    parts = []
    for (packed, unpacked), first, stop in zip(starts, firsts, [*firsts[1:], len(block.members)], strict=True):
        num_bytes, rest = begins[stop] - unpacked, begins[first] - unpacked
        members = ([(None, rest, None)] if rest else []) + block.members[first:stop]
        filters = [bounded(block.filters[0], num_bytes)]
        parts.append(Block(block.offset + packed, block.packed_bytes - packed, num_bytes, filters, members))
    return parts


def _fresh_starts(path: Path, block: Block) -> list[tuple[int, int]]:
    """Where, after its beginning, an LZMA2 block starts anew: the bytes before, packed and unpacked.

    Nothing if its chunks don't add up to the block. Source: liblzma's lzma2_decoder.c. A chunk's first byte: 0 ends; 1
    and 2 stored, with the dictionary emptied or not; from 0x80 compressed, from 0xC0 with new properties, from 0xE0
    with the dictionary emptied too.
    """
    found, packed, unpacked = [], 0, 0
    try:
        with path.open("rb", buffering=0) as file:
            while packed < block.packed_bytes:
                file.seek(block.offset + packed)
                kind, *sizes = file.read(5)
                if kind == 0:
                    break
                if packed and (kind == 1 or kind >= 0xE0):
                    found.append((packed, unpacked))
                size = int.from_bytes(sizes[:2], "big") + 1
                if kind >= 0x80:
                    unpacked += size + ((kind & 0x1F) << 16)
                    packed += int.from_bytes(sizes[2:], "big") + 1 + (6 if kind >= 0xC0 else 5)
                else:
                    unpacked += size
                    packed += size + 3
    except (OSError, ValueError):
        return []
    return found if packed + 1 == block.packed_bytes and unpacked == block.unpacked_bytes else []


def bounded(filters: dict[str, int], unpacked_bytes: int) -> dict[str, int]:
    """No match reaches back further than the stream is long: a header can't make us reserve gigabytes."""
    return filters | {"dict_size": max(4096, min(filters["dict_size"], unpacked_bytes))}


def decompress(path: Path, block: Block) -> Iterator[bytes]:
    """The block's contents in pieces; ends early if its stream does."""
    with path.open("rb") as file:
        file.seek(block.offset)
        left, produced = block.packed_bytes, 0
        if block.filters is None:
            while left and (data := file.read(min(left, PIECE_BYTES))):
                left -= len(data)
                yield data
            return
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=block.filters)
        while produced < block.unpacked_bytes and not decompressor.eof:
            data = file.read(min(left, PACKED_BYTES)) if decompressor.needs_input else b""
            left -= len(data)
            piece = decompressor.decompress(data, min(PIECE_BYTES, block.unpacked_bytes - produced))
            if not piece and not data:
                return
            produced += len(piece)
            if piece:
                yield piece
