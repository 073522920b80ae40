"""The fast way through small PNGs gives what Pillow gives, or leaves the file to it."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from podium.data import decode as decode_module
from podium.data import png as png_module
from podium.data.decode import decode, decode_all
from podium.data.png import decode_plain
from podium.errors import ImageError

SIDES = st.integers(1, 20)
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def file_of(lines: np.ndarray, *, before: bytes = b"", pieces: int = 1, head: bytes | None = None) -> bytes:
    """A PNG whose filtered lines are `lines`, uint8 (H, 1 + 3W)."""
    height, width = lines.shape[0], (lines.shape[1] - 1) // 3
    packed = zlib.compress(lines.tobytes())
    cuts = np.linspace(0, len(packed), pieces + 1).astype(int)
    data = b"".join(chunk(b"IDAT", packed[a:b]) for a, b in itertools.pairwise(cuts))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0) if head is None else head
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + data + chunk(b"IEND", b"")


def some_lines(seed: int, height: int, width: int, kinds=(0, 1, 2, 3, 4)) -> np.ndarray:
    """Any bytes are some image, whatever the filters; small ones make ties in Paeth's predictor likely."""
    rng = np.random.default_rng(seed)
    lines = rng.integers(0, rng.choice([2, 4, 256]), (height, 1 + 3 * width), np.uint8)
    lines[:, 0] = rng.choice(kinds, height)
    return lines


@MANY
@given(
    seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=9),
    sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3),
    kinds=st.lists(st.integers(0, 4), min_size=1, max_size=5, unique=True),
    pieces=st.integers(1, 3),
)
def test_pixels_are_pillows_to_the_bit(seeds, sizes, kinds, pieces):
    files = [file_of(some_lines(seed, *sizes[i % len(sizes)], kinds), pieces=pieces) for i, seed in enumerate(seeds)]
    for data, pixels in zip(files, decode_plain(files), strict=True):
        assert pixels is not None
        np.testing.assert_array_equal(pixels, decode(data, "x"))


def test_every_predictor_of_paeth():
    """All (left, above, above left) of a coarse grid and of their neighbours: 2×2 images that end in a Paeth line."""
    values = [0, 1, 2, 3, 84, 85, 86, 127, 128, 169, 170, 171, 254, 255]
    files = []
    for corner in values:
        for above in values:
            for left in values:
                lines = np.zeros((2, 7), np.uint8)
                lines[0, 1:] = np.repeat([corner, above], 3)
                lines[1, 0], lines[1, 1:4] = 4, np.uint8((left - corner) % 256)  # the first pixel's predictor is above
                files.append(file_of(lines))
    for data, pixels in zip(files, decode_plain(files), strict=True):
        assert pixels is not None
        np.testing.assert_array_equal(pixels, decode(data, "x"))


@pytest.mark.parametrize("optimize", [False, True])
def test_what_pillow_writes_is_plain(optimize):
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(-3, 4, (30, 32, 32, 3)), axis=2).astype(np.uint8)
    files = []
    for pixels in smooth:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", optimize=optimize)
        files.append(buffer.getvalue())
    found = decode_plain(files)
    assert all(pixels is not None for pixels in found)
    np.testing.assert_array_equal(np.stack(found), smooth)


@MANY
@given(data=st.data())
def test_damage_gives_pillows_pixels_or_pillows_error(data):
    content = bytearray(file_of(some_lines(data.draw(st.integers(0, 99)), 5, 4), pieces=data.draw(st.integers(1, 2))))
    how = data.draw(st.sampled_from(["change", "cut", "add"]))
    if how == "change":
        for _ in range(data.draw(st.integers(1, 2))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content += data.draw(st.binary(min_size=1, max_size=20))
    outcomes = []
    for read in (lambda: decode(bytes(content), "x"), lambda: next(decode_all([bytes(content)], ["x"]))):
        try:
            outcomes.append(read().tolist())
        except ImageError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


PLAIN = some_lines(0, 6, 5)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        file_of(PLAIN)[:40],
        file_of(PLAIN) + b"x",
        file_of(PLAIN, before=chunk(b"gAMA", struct.pack(">I", 45455))),
        file_of(PLAIN, before=chunk(b"tRNS", bytes(6))),
        file_of(PLAIN, head=struct.pack(">IIBBBBB", 5, 6, 8, 2, 0, 0, 1)),  # interlaced
        file_of(PLAIN, head=struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0)),
        file_of(PLAIN, head=struct.pack(">IIBBBBB", 5, 6, 8, 6, 0, 0, 0)),
        file_of(PLAIN, head=struct.pack(">IIBBBBB", 5, 7, 8, 2, 0, 0, 0)),  # a line too few
        file_of(PLAIN, head=struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 0)),  # a line too many
        file_of(PLAIN, head=struct.pack(">IIBBBBB", 0, 6, 8, 2, 0, 0, 0)),
        file_of(some_lines(0, 65, 2)),
        file_of(some_lines(0, 2, 65)),
        file_of(some_lines(0, 3, 3, kinds=[5])),
        file_of(PLAIN).replace(b"IDAT", b"IDAX"),
    ],
)
def test_what_is_not_plain_is_left_to_pillow(data):
    whole = file_of(PLAIN)
    first, odd, last = decode_plain([whole, data, whole])
    assert odd is None
    np.testing.assert_array_equal(first, decode(whole, "x"))
    np.testing.assert_array_equal(last, decode(whole, "x"))


def test_a_bomb_is_not_inflated(monkeypatch):
    """A gigabyte of zeros in a megabyte that says it is 2×2 pixels."""
    asked = []
    whole = zlib.decompressobj

    class Spy:
        def __init__(self):
            self._stream = whole()

        def decompress(self, data, limit):
            asked.append(limit)
            return self._stream.decompress(data, limit)

        def __getattr__(self, name):
            return getattr(self._stream, name)

    monkeypatch.setattr(png_module.zlib, "decompressobj", Spy)
    packed = zlib.compress(bytes(1 << 24), 1)
    data = file_of(np.zeros((2, 7), np.uint8))
    head, end = data[:33], data[-12:]
    assert decode_plain([head + chunk(b"IDAT", packed) + end]) == [None]
    assert asked == [15]


def test_batches_make_no_difference(monkeypatch):
    files = [file_of(some_lines(seed, 6, 5)) for seed in range(20)]
    whole = np.stack(decode_plain(files))
    monkeypatch.setattr(png_module, "BATCH_PIXELS", 7 * 6 * 5)
    np.testing.assert_array_equal(np.stack(decode_plain(files)), whole)


def test_decode_all_resizes_as_decode_does_and_says_which_file_is_wrong(monkeypatch):
    files = [file_of(some_lines(1, 6, 5)), file_of(some_lines(2, 4, 4))]
    for pixels, data in zip(decode_all(files, "ab", 4), files, strict=True):
        np.testing.assert_array_equal(pixels, decode(data, "x", 4))
    images = decode_all([files[0], b"no image"], ["first", "second"])
    next(images)
    with pytest.raises(ImageError, match=r"^second: "):
        next(images)
    monkeypatch.setattr(decode_module, "decode", None)  # would fail if it were called
    assert len(list(decode_all(files, "ab"))) == 2
