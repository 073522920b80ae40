"""Inputs that are nearly right: a seed, changed a few times, its checksums mended now and then.

Whoever only flips bits is stopped by the first CRC. So half of the inputs are mended afterwards, as an attacker would:
the change then reaches what lies behind the checksum.
"""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

__all__ = ["MAX_BYTES", "Repair", "mended_7z", "mended_png", "mended_tar", "mutated"]

Repair = Callable[[bytearray], None]
"""Mends the checksums of a changed file in place, as far as its form still allows."""

MAX_BYTES = 1 << 20  # of an input; larger seeds may keep their size
HUGE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
NUMBERS = (b"0", b"-1", b"99999999999", b"18446744073709551616", b"1e999", b"NaN", b"-0.0", b"1" * 5000, b"0x10", b"07")
WORDS = (
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b'"',
        b"'",
        b",",
        b"\\",
        b"=",
        b"#",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\x1b[2J",
    ),
    *(
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'{"a":',
        b"[" * 3000,
        b'{"":' * 3000,
        b"(" * 3000,
        b"a." * 3000,
        b"\xe2\x80\xa8",
    ),
    *(b"../../../../evil", b"/evil", b"..\\..\\evil", b"C:\\evil", b"/proc/self/environ", b"%s%n", b"$(id)", b"../"),
)
_DIGITS = re.compile(rb"\d+(\.\d+)?")


def mutated(
    seeds: Sequence[bytes], rng: random.Random, repair: Repair | None = None, focus: int | None = None
) -> bytes:
    """One of the seeds, changed one to six times; once in fifty times as it is.

    Args:
        seeds: valid files of one format, and hostile ones.
        rng: decides everything.
        repair: mends checksums; called half of the time.
        focus: changes lie in so many bytes at the beginning, nine times of ten; None: anywhere.
    """
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.02:
        return bytes(data)
    largest = max(MAX_BYTES, len(data))
    for _ in range(min(6, 1 + int(rng.expovariate(0.9)))):
        end = min(len(data), focus) if focus is not None and rng.random() < 0.9 else len(data)
        rng.choice(_CHANGES)(data, end, seeds, rng)
        del data[largest:]
    if repair is not None and rng.random() < 0.5:
        repair(data)
    return bytes(data)


# ---- changes: of the bytes before `end`


def _flip(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if end:
            data[rng.randrange(end)] ^= 1 << rng.randrange(8)


def _set(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    if end:
        data[rng.randrange(end)] = rng.choice((0, 0xFF, 0x80, 0x7F, rng.randrange(256)))


def _length(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    """Writes an absurd number where a length may stand."""
    width, order = rng.choice((1, 2, 4, 4, 8)), rng.choice(("little", "big"))
    if end >= width:
        place = rng.randrange(end - width + 1)
        number = rng.choice(HUGE) if rng.random() < 0.7 else rng.getrandbits(8 * width)
        data[place : place + width] = (number % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]


def _varint(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    """An absurd number as 7z and Parquet write theirs: a byte becomes several."""
    if end:
        place = rng.randrange(end)
        seven = b"\xff" + rng.choice(HUGE).to_bytes(8, "little")
        data[place : place + 1] = rng.choice(
            (seven, b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x1f", b"\x80" * 9 + b"\x01")
        )


def _nudge(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    """A number that is nearly right."""
    if end:
        place = rng.randrange(end)
        data[place] = (data[place] + rng.choice((-2, -1, 1, 2, 16))) % 256


def _number(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    """Another number where digits stand."""
    found = list(_DIGITS.finditer(data, 0, min(end, 1 << 16)))
    if found:
        place = rng.choice(found)
        data[place.start() : place.end()] = rng.choice(NUMBERS)


def _truncate(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    del data[rng.randrange(end + 1) :]


def _chunk(end: int, rng: random.Random) -> slice:
    start = rng.randrange(end + 1)
    return slice(start, min(end, start + rng.choice((1, 4, 16, 64, 512, 4096))))


def _delete(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    del data[_chunk(end, rng)]


def _repeat(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    chunk = _chunk(end, rng)
    data[chunk.start : chunk.start] = bytes(data[chunk]) * rng.choice((1, 1, 2, 50))


def _move(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    one, other = _chunk(end, rng), rng.randrange(end + 1)
    piece = bytes(data[one])
    data[other : other + len(piece)] = piece


def _insert(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    place = rng.randrange(end + 1)
    data[place:place] = rng.randbytes(rng.choice((1, 2, 8, 100)))


def _word(data: bytearray, end: int, _: Sequence[bytes], rng: random.Random) -> None:
    place, word = rng.randrange(end + 1), rng.choice(WORDS)
    data[place : place + (len(word) if rng.random() < 0.3 else 0)] = word


def _graft(data: bytearray, end: int, seeds: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(seeds)
    place = rng.randrange(end + 1)
    data[place:place] = other[_chunk(len(other), rng)]


def _splice(data: bytearray, end: int, seeds: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(seeds)
    data[rng.randrange(end + 1) :] = other[rng.randrange(len(other) + 1) :]


_Change = Callable[[bytearray, int, Sequence[bytes], random.Random], None]
_CHANGES: tuple[_Change, ...] = (
    *(
        _flip,
        _set,
        _length,
        _length,
        _varint,
        _nudge,
        _number,
        _truncate,
        _delete,
        _repeat,
        _move,
        _insert,
        _word,
        _graft,
    ),
    _splice,
)

# ---- checksums


def mended_png(data: bytearray) -> None:
    """The CRC of each chunk."""
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        stop = place + 8 + length
        if stop + 4 > len(data):
            return
        data[stop : stop + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : stop]))
        place = stop + 4


def mended_7z(data: bytearray) -> None:
    """The CRCs of the header at the end, and of what says where that lies."""
    if len(data) < 32:
        return
    offset, size = struct.unpack_from("<QQ", data, 12)
    if 32 + offset + size > len(data):
        size = max(0, len(data) - 32 - offset)
        data[20:28] = struct.pack("<Q", size)
    data[28:32] = struct.pack("<I", zlib.crc32(data[32 + offset : 32 + offset + size]))
    data[8:12] = struct.pack("<I", zlib.crc32(data[12:32]))


def mended_tar(data: bytearray) -> None:
    """The sum in each member's header."""
    place = 0
    while place + 512 <= len(data):
        block = data[place : place + 512]
        if not any(block):
            return
        total = sum(block[:148]) + sum(block[156:]) + 256
        data[place + 148 : place + 156] = b"%06o\0 " % total
        digits = bytes(block[124:136]).split(b"\0")[0].strip()
        size = int(digits, 8) if digits and not digits.strip(b"01234567") else 0
        place += 512 + -(-size // 512) * 512
