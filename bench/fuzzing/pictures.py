"""Images of all formats, decoded as members and as pictures to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fuzzing.material import bomb_png, picture
from fuzzing.mutate import mended_png
from fuzzing.reader import Reader

__all__ = ["READERS", "jpegs", "others", "pngs"]


def pngs() -> Sequence[bytes]:
    modes = ("RGB", "RGBA", "L", "P", "1", "I;16", "LA")
    found = [picture(number, mode=mode) for number, mode in enumerate(modes)]
    found += [picture(7, size=(40, 33)), picture(8, size=(1, 1)), bomb_png(9000, 9000), bomb_png(6, 5)]
    return [*found, picture(9, size=(64, 64), optimize=True), picture(10, "PNG", mode="P", transparency=0)]


def jpegs() -> Sequence[bytes]:
    options = (
        {},
        {"progressive": True},
        {"quality": 100, "subsampling": 0},
        {"optimize": True},
        {"restart_marker_rows": 1},
    )
    found = [picture(number, "JPEG", (24, 33), **one) for number, one in enumerate(options)]
    found += [picture(9, "JPEG", (24, 33), mode) for mode in ("L", "CMYK")]
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    exif.get_ifd(0x8769)[0x9286] = b"words"
    return [*found, picture(3, "JPEG", (24, 33), exif=exif, comment=b"words")]


def others() -> Sequence[bytes]:
    found = [picture(1, form) for form in ("WEBP", "BMP", "GIF", "TIFF", "PPM", "DIB")]
    found += [
        picture(2, "WEBP", (20, 20), "RGBA", lossless=True),
        picture(2, "GIF", mode="P"),
        picture(2, "BMP", mode="P"),
    ]
    kinds = ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")
    found += [picture(3, "TIFF", (20, 20), compression=kind) for kind in kinds]
    found += [picture(4, "TIFF", mode=mode) for mode in ("I;16", "F", "CMYK", "1")]
    found += [
        picture(5, "TIFF", (20, 20), "1", compression="group4"),
        picture(5, "PPM", mode="1"),
        picture(5, "PPM", mode="L"),
    ]
    found += [b"P3\n2 2\n255\n0 0 0 255 255 255 1 2 3 4 5 6\n", b"P1\n2 2\n0 1 1 0\n", b"P2\n# words\n2 1\n9\n3 9\n"]
    rle = bytearray(picture(6, "BMP", (4, 8), "P"))
    rle[30:34] = (1).to_bytes(4, "little")
    frames = [_frame(number) for number in range(3)]
    from PIL import Image

    for form in ("WEBP", "GIF", "TIFF"):
        import io

        buffer = io.BytesIO()
        images = [Image.open(io.BytesIO(frame)) for frame in frames]
        images[0].save(buffer, form, save_all=True, append_images=images[1:])
        found.append(buffer.getvalue())
    return [*found, bytes(rle)]


def _frame(number: int) -> bytes:
    return picture(number, size=(9, 9))


def read(_: Path, data: bytes) -> object:
    """As a member of an archive, alone and among others; and as one that a network of 8×8 pixels is asked about."""
    from podium.data.decode import decode, decode_all
    from podium.data.fit import fitted
    from podium.errors import ImageError

    try:
        alone = decode(data, "a member")
    except ImageError as error:
        alone, said = None, str(error)
    try:
        (together,) = decode_all([data], ["a member"])
    except ImageError as error:
        again = str(error)
        if alone is not None or again != said:
            raise AssertionError("refused among others, and not so alone") from error
        raise
    assert alone is not None, "refused alone, and not among others"
    assert alone.tobytes() == together.tobytes(), "other pixels among others than alone"
    for crops in (True, False):
        fitted(data, "a picture", (8, 8), crops=crops)
    return together


READERS = (
    Reader("PNG", 14, pngs, read, mended_png),
    Reader("JPEG", 12, jpegs, read),
    Reader("WebP, BMP, GIF, TIFF, PPM", 12, others, read),
)
