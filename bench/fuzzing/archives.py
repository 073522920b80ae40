"""Archives as a competition's folder has them: .7z, .zip, .tar and its compressed kinds, one outer zip."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from fuzzing.material import bomb_png, picture, read_all, tar_of, write
from fuzzing.mutate import mended_7z, mended_tar, mutated
from fuzzing.reader import Reader

__all__ = ["READERS"]

LABELS = b"id,label\n1,cat\n2,dog\n3,cat\n4,frog\n"
SAMPLE = b"id,label\n1,cat\n2,cat\n"
HOSTILE = (
    *(
        "../../evil.png",
        "/evil.png",
        "train/../../../evil.png",
        "..\\evil.png",
        "C:\\evil.png",
        "C:/evil.png",
        "..",
        ".",
    ),
    *(
        "train/",
        "",
        "train/1.png",
        "train/\u202e1.png",
        "a/" * 200 + "1.png",
        "x" * 300 + ".png",
        "train/1.txt",
        "1.PNG",
    ),
    *(
        "__MACOSX/._1.png",
        ".hidden/1.png",
        "train/con.png",
        "train/1.png\0.txt",
        "train/\n2.png",
        "~/.bashrc",
        "-rf.png",
    ),
)


def members(rng: random.Random | None = None) -> list[tuple[str, bytes]]:
    """Four images; a few names and contents of them hostile."""
    found = [(f"train/{number}.png", picture(number)) for number in range(1, 5)]
    if rng is None:
        return found
    for _ in range(rng.randrange(1, 4)):
        place, kind = rng.randrange(len(found)), rng.random()
        name, data = found[place]
        if kind < 0.45:
            found[place] = (rng.choice(HOSTILE), data)
        elif kind < 0.55:
            found.append((rng.choice(HOSTILE), data))
        else:
            data = rng.choice((b"", bomb_png(20_000, 20_000), bomb_png(2**31, 1), picture(9, "JPEG"), b"\0" * 300_000))
            found[place] = (name, rng.choice((data, mutated([picture(3)], rng))))
    return found


def zips(count: int = 120) -> list[bytes]:
    rng = random.Random(1)
    return [_zip(members(None if number == 0 else rng), rng) for number in range(count)]


def _zip(files: list[tuple[str, bytes]], rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.compress_type = rng.choice(
                (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            )
            if name in HOSTILE and rng.random() < 0.3:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def sevenzips(count: int = 60) -> list[bytes]:
    import py7zr

    kinds = ("LZMA2", "LZMA", "COPY", "BZIP2", "DEFLATE", "PPMD", "ZSTD", "BROTLI")
    rng, found = random.Random(2), []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        filters = [{"id": getattr(py7zr, f"FILTER_{kind}")}]
        if kind == "PPMD":
            filters[0] |= {"order": 6, "mem": 16}
        if kind in ("LZMA", "LZMA2"):
            filters[0]["preset"] = 0
        if number % 7 == 6:
            filters.insert(0, {"id": py7zr.FILTER_DELTA} if number % 2 else {"id": py7zr.FILTER_X86})
        buffer = io.BytesIO()
        try:
            with py7zr.SevenZipFile(buffer, "w", filters=filters) as archive:
                archive.set_encoded_header_mode(number % 3 == 1)  # half of them plain, so that changes reach it
                for name, data in members(None if number < len(kinds) else rng):
                    archive.writestr(data, name or "x.png")
        except Exception:  # combinations that it doesn't write
            continue
        found.append(buffer.getvalue())
    return found


def tars(count: int = 120) -> list[bytes]:
    rng = random.Random(3)
    forms = (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)
    found = [tar_of(dict(members()), format=form) for form in forms]
    for number in range(count):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=forms[number % 2]) as archive:
            for name, data in members(rng):
                info = tarfile.TarInfo(name or "x.png")
                if name in HOSTILE and rng.random() < 0.5:
                    info.type = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE))
                    info.linkname = rng.choice(("../../canary", "/etc/passwd", "train/1.png", "."))
                    data = b""  # noqa: PLW2901
                if rng.random() < 0.2:
                    info.pax_headers = {
                        rng.choice(("path", "size", "GNU.sparse.realsize")): rng.choice(("9" * 30, "../x"))
                    }
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        found.append(buffer.getvalue())
    return found


def _compressed(data: bytes, rng: random.Random) -> bytes:
    """Half as it is; else compressed, with a change in that once in a while."""
    kind = rng.randrange(6)
    if kind > 2:
        return data
    pack = (functools.partial(gzip.compress, compresslevel=1), functools.partial(bz2.compress, compresslevel=1), _xz)[
        kind
    ]
    packed = pack(data)
    return mutated([packed], rng) if rng.random() < 0.3 else packed


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def competition(work: Path, data: bytes, name: str) -> object:
    """The archive as train, with the tables and a test folder beside it."""
    folder = work / "data"
    tests = {f"test/{number}.png": picture(number) for number in (1, 2)}
    write(folder, {name: data, "trainLabels.csv": LABELS, "sampleSubmission.csv": SAMPLE} | tests)
    return read_all(folder, image_size=4)


def as_zip(work: Path, data: bytes) -> object:
    return competition(work, data, "train.zip")


def as_7z(work: Path, data: bytes) -> object:
    return competition(work, data, "train.7z")


def as_tar(work: Path, data: bytes) -> object:
    return competition(work, data, "train.tar.gz")


def outers() -> Sequence[bytes]:
    """The whole competition in one zip, its archives stored in it."""
    found = []
    for kind, archives in (("zip", zips(12)), ("7z", sevenzips(10)), ("tar", tars(6))):
        for inner in archives:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(f"train.{kind}", inner)
                archive.writestr("test/1.png", picture(1))
                archive.writestr("test/2.png", picture(2))
                archive.writestr("trainLabels.csv", LABELS)
                archive.writestr("sampleSubmission.csv", SAMPLE)
            found.append(buffer.getvalue())
    return found


def as_outer(work: Path, data: bytes) -> object:
    return read_all(write(work / "data", {"competition.zip": data}) / "competition.zip")


READERS = (
    Reader("zip", 6, zips, as_zip),
    Reader("7z", 6, sevenzips, as_7z, mended_7z),
    Reader("tar", 6, tars, as_tar, mended_tar, wrap=_compressed),
    Reader("outer zip", 2, outers, as_outer),
)
