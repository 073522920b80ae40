"""Files made to harm, each tried as it is: a few bytes that claim, or become, far more than they should."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from fuzzing.archives import LABELS, as_7z, as_tar, as_zip, members, sevenzips
from fuzzing.material import bomb_png, picture, tar_of
from fuzzing.mutate import mended_7z
from fuzzing.pictures import read as as_picture
from fuzzing.reader import Reader
from fuzzing.releases import _as_release, _mat
from fuzzing.runs import _weights
from fuzzing.shards import _as_index, _as_parquet, _as_webdataset, written

__all__ = ["READERS"]

Way = Callable[[Path, bytes], object]
MEMBER_BYTES = 1 << 26


@dataclass(frozen=True)
class Bombs(Reader):
    """Each of the seeds as it is, in turn. The first byte says which way in it takes."""

    def input(self, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
        return seeds[number % len(seeds)]


@cache
def _zeros() -> bytes:
    """64 MiB of zeros, as gzip: such may follow each other."""
    return gzip.compress(bytes(MEMBER_BYTES), 9)


def _tar_with_a_header_of(kind: bytes, num_members: int = 32) -> bytes:
    """A compressed tar whose header that says a name has two gigabytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, num_members * MEMBER_BYTES
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + _zeros() * num_members


def _many_headers(kind: bytes) -> bytes:
    """A long chain of headers, each about the next."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 4
    return gzip.compress((info.tobuf(tarfile.GNU_FORMAT) + b"x\0\0\0".ljust(512, b"\0")) * 50_000)


def _zip_that_lies() -> bytes:
    """Its members say they have a few bytes, and would become a gigabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, _ in members():
            archive.writestr(name, bytes(1 << 28))
    return buffer.getvalue().replace(struct.pack("<I", 1 << 28), struct.pack("<I", 1000))


def _zip_of_kind(kind: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, _ in members():
            archive.writestr(name, bytes(1 << 27))
    return buffer.getvalue()


def _zip_with_a_dictionary() -> bytes:
    """LZMA that asks for a dictionary of four gigabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in members():
            archive.writestr(name, data)
    return buffer.getvalue().replace(b"\x5d\0\0\x80\0", b"\x5d\xff\xff\xff\xff")


def _sevenzip_counts() -> list[bytes]:
    """Each number of a header in turn, as it might be two to the forty."""
    whole = sevenzips(1)[0]
    offset, size = struct.unpack_from("<QQ", whole, 12)
    found = []
    for place in range(32 + offset, min(len(whole), 32 + offset + size)):
        data = bytearray(whole[:place] + b"\xff" + struct.pack("<Q", 1 << 40) + whole[place + 1 :])
        data[20:28] = struct.pack("<Q", size + 8)
        mended_7z(data)
        found.append(bytes(data))
    return found


def _jpeg_of_scans(num_scans: int = 20_000, side: int = 8000) -> bytes:
    """A progressive JPEG of 64 megapixels that is scanned thousands of times, each in a few bytes."""
    whole = picture(1, "JPEG", (16, 16), progressive=True)
    frame, scan = whole.index(b"\xff\xc2"), whole.index(b"\xff\xda")
    head = bytearray(whole[:scan])
    head[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    first = whole[scan : scan + 2 + int.from_bytes(whole[scan + 2 : scan + 4], "big")]
    return bytes(head) + (first + b"\0") * num_scans + b"\xff\xd9"


def _webp_of_canvas() -> bytes:
    """An animation of small frames on the largest canvas."""
    from PIL import Image

    buffer = io.BytesIO()
    frames = [Image.open(io.BytesIO(picture(number, size=(20, 20)))) for number in range(3)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    data = bytearray(buffer.getvalue())
    place = data.index(b"VP8X") + 12
    data[place : place + 6] = (16382).to_bytes(3, "little") * 2
    return bytes(data)


def _torch_bytearray() -> bytes:
    """A pickle that asks for eight gigabytes by a name that torch allows."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        program = b"\x80\x02cbuiltins\nbytearray\n" + b"\x8a\x05" + (8 << 30).to_bytes(5, "little") + b"\x85R."
        archive.writestr("net/data.pkl", program)
        archive.writestr("net/version", b"3\n")
    return buffer.getvalue()


def _torch_deflated() -> bytes:
    """Weights that are compressed, which torch never does: a megabyte becomes a gigabyte."""
    import torch

    plain = io.BytesIO()
    torch.save({"x": torch.zeros(1 << 26)}, plain)  # 256 MiB
    buffer = io.BytesIO()
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name) * (8 if "/data/" in name else 1))
    return buffer.getvalue()


def _evil_pickles() -> list[bytes]:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.mkdir, ("../../evil",)

    found = [pickle.dumps(Evil(), protocol) for protocol in range(5)]
    return [*found, b"\x80\x02" + b"(" * 100_000, b"\x80\x02]" + b"]q\0h\0a" * 50_000, b"\x80\x04\x95" + b"\xff" * 8]


def _mat_of_zeros() -> bytes:
    head = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    content = zlib.compress(struct.pack("<II", 14, (1 << 30) - 8) + bytes(1 << 29))
    return head + struct.pack("<II", 15, len(content)) + content


def _parquet_of_zeros() -> bytes:
    """An image of a gigabyte of zeros, in a few kilobytes."""
    import pyarrow as arrow
    from pyarrow import parquet

    table = arrow.table({"image": arrow.array([bytes(300 << 20)], arrow.binary()), "label": ["cat"]})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd", use_dictionary=False)
    del table
    arrow.default_memory_pool().release_unused()
    return buffer.getvalue()


@cache
def _made() -> list[tuple[Way, bytes]]:
    gigabytes = b"\xff" * 7 + b"\x7f"
    deep = b'{"podium_shards": ' + b"[" * 500_000
    found: list[tuple[Way, bytes]] = [
        *(
            (as_tar, _tar_with_a_header_of(kind))
            for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE)
        ),
        *((as_tar, _many_headers(kind)) for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE)),
        (_as_release, _tar_with_a_header_of(tarfile.GNUTYPE_LONGNAME)),
        (as_zip, _zip_that_lies()),
        *((as_zip, _zip_of_kind(kind)) for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)),
        (as_zip, _zip_with_a_dictionary()),
        *(
            (as_picture, data)
            for data in (_jpeg_of_scans(), _webp_of_canvas(), bomb_png(8191, 8191), bomb_png(1, 2**31 - 1))
        ),
        *((partial(_weights, "net.pth"), data) for data in (_torch_bytearray(), _torch_deflated(), *_evil_pickles())),
        (partial(_weights, "net.safetensors"), gigabytes + b"{}"),
        (partial(_weights, "net.safetensors"), struct.pack("<Q", 500_000) + b"[" * 500_000),
        (_mat, _mat_of_zeros()),
        (_as_parquet, _parquet_of_zeros()),
        (_as_index, deep),
        (_as_index, written()["index.json"].replace(b'"num_images": 4', b'"num_images": ' + b"9" * 4000)),
        (_as_webdataset, tar_of({"x.png": picture(1), "x.json": b"[" * 60_000, "y.png": picture(2), "y.cls": LABELS})),
        *((as_7z, data) for data in _sevenzip_counts()),
    ]
    return found


def _numbered() -> list[bytes]:
    return [struct.pack("<I", place) for place in range(len(_made()))]


def _read(work: Path, data: bytes) -> object:
    way, bomb = _made()[struct.unpack("<I", data)[0]]
    return way(work, bomb)


READERS = (Bombs("made to harm", 0.6, _numbered, _read),)
