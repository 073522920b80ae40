"""An image file's bytes → RGB pixels."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from podium.data.jpeg import MAX_SCANS, has_too_many_scans
from podium.data.png import decode_plain
from podium.errors import ImageError

__all__ = ["decode", "decode_all", "resized"]

# Not everything that Pillow opens: its EPS reader runs Ghostscript, and data come from strangers.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "DIB")
MAX_PIXELS = 1 << 26  # 64 megapixels; a PNG of a few kilobytes can declare a billion


def decode_all(
    files: Sequence[bytes], wheres: Iterable[str], image_size: int | None = None
) -> Iterator[npt.NDArray[np.uint8]]:
    """Decodes images as `decode` does, with the same pixels and errors; small PNG files together, which is faster.

    Args:
        files: each file's bytes.
        wheres: archive and member of each, for messages.
        image_size: as of `decode`.

    Yields:
        For each file, in order: uint8 (H, W, 3), RGB.

    Raises:
        ImageError: as `decode`, when it is that file's turn.
    """
    for data, where, pixels in zip(files, wheres, decode_plain(files), strict=True):
        if pixels is not None and image_size in (None, pixels.shape[0]) and image_size in (None, pixels.shape[1]):
            yield pixels
        else:
            yield decode(data, where, image_size)


def decode(data: bytes, where: str, image_size: int | tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Decodes one image.

    Grey, palette, CMYK and the like become RGB as Pillow's `convert` does it; transparency is dropped, so the colours
    under it show. 16 bits a channel keep their upper 8. The EXIF orientation is applied. Of an animation, the first
    frame is taken.

    Args:
        data: the file's bytes.
        where: archive and member, for messages.
        image_size: if given, the image is resized to this many pixels a side, or to (height, width), bilinear over the
            source's whole area (antialiased), without keeping its proportions.

    Returns:
        uint8 (H, W, 3), RGB; read-only.

    Raises:
        ImageError: it is no image, is damaged, has too many pixels, or has 32-bit samples.
    """
    if not data:
        raise ImageError(f"{where}: is empty, so no image. Take it out or replace it.")
    try:
        if has_too_many_scans(data):
            raise ImageError(
                f"{where}: is scanned more than {MAX_SCANS} times, so it was made to cost time. Take it out."
            )
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(f"{where}: {image.width}x{image.height} pixels; more than {MAX_PIXELS:,} are refused.")
        image.load()
        if "exif" in image.info or image.format == "TIFF":
            image = ImageOps.exif_transpose(image)
        if image.mode != "RGB":
            image = _to_rgb(image, where)
        if image_size is not None:
            height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, 3)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{where}: has far too many pixels; more than {MAX_PIXELS:,} are refused.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{where}: is no image that can be read ({', '.join(FORMATS)} can).") from error
    except Exception as error:  # Pillow's readers raise nearly everything on damaged data
        raise ImageError(f"{where}: is a damaged image ({error}). Replace it or take it out.") from error


def resized(pixels: npt.NDArray[np.uint8], image_size: int | None) -> npt.NDArray[np.uint8]:
    """Pixels (H, W, 3) resized as `decode` resizes an image's; themselves if they have that size, or if it is None."""
    if image_size is None or pixels.shape[:2] == (image_size, image_size):
        return pixels
    image = Image.fromarray(pixels).resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _to_rgb(image: Image.Image, where: str) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        # convert() would clip at 255. The upper byte is what Pillow itself keeps of 16-bit colour.
        samples = np.asarray(image).astype(np.int32)
        image = Image.fromarray((samples >> 8).clip(0, 255).astype(np.uint8), "L")
    elif image.mode in ("I", "F"):
        raise ImageError(f"{where}: has 32-bit samples, whose range isn't known. Convert it to 8 or 16 bits.")
    return image.convert("RGB")
