import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from podium.data import decode as decode_module
from podium.data.decode import decode
from podium.data.jpeg import read_header
from podium.errors import ImageError


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GREY = RGB[..., 0]
ALPHA = RGB[..., 1]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_rgb_passes_unchanged(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode(encode(Image.fromarray(RGB), kind, **options), "x")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, RGB)


def test_grey_becomes_three_equal_channels():
    np.testing.assert_array_equal(decode(encode(Image.fromarray(GREY)), "x"), np.dstack([GREY] * 3))


def test_alpha_is_dropped():
    rgba = encode(Image.fromarray(np.dstack([RGB, ALPHA])))
    np.testing.assert_array_equal(decode(rgba, "x"), RGB)
    la = encode(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"))
    np.testing.assert_array_equal(decode(la, "x"), np.dstack([GREY] * 3))


def test_palette_takes_its_colours():
    image = Image.fromarray(GREY // 64, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    expected = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)[GREY // 64]
    np.testing.assert_array_equal(decode(encode(image), "x"), expected)
    np.testing.assert_array_equal(decode(encode(image, transparency=0), "x"), expected)


def test_black_and_white():
    bits = GREY > 127
    np.testing.assert_array_equal(decode(encode(Image.fromarray(bits)), "x"), np.dstack([bits * np.uint8(255)] * 3))


def test_16_bit_grey_is_scaled_not_clipped():
    samples = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels = decode(encode(Image.fromarray(samples), kind), "x")
        np.testing.assert_array_equal(pixels[0, :, 0], [0, 0, 1, 128, 255])


def test_16_bit_colour_is_scaled():
    # Pillow can't write it: a PNG by hand
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + struct.pack(">6H", 0, 32768, 65535, 256, 255, 512)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode(png, "x"), [[[0, 128, 255], [1, 0, 2]]])


def test_cmyk_becomes_rgb():
    image = Image.fromarray(RGB).resize((32, 32)).convert("CMYK")
    pixels = decode(encode(image, "TIFF"), "x")
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(kind):
    image = Image.fromarray(np.dstack([np.repeat(np.arange(0, 256, 16, dtype=np.uint8)[None], 8, 0)] * 3))  # 8 x 16
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    pixels = decode(encode(image, kind, exif=exif), "x")
    assert pixels.shape == (16, 8, 3)
    assert pixels[0, 0, 0] < 20
    assert pixels[-1, 0, 0] > 230


def test_resize_is_antialiased_and_squares():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # without antialiasing, every other column alone would survive
    pixels = decode(encode(Image.fromarray(stripes)), "x", image_size=16)
    assert pixels.shape == (16, 16, 3)
    assert abs(pixels.astype(int) - 127).max() <= 16
    assert decode(encode(Image.fromarray(RGB)), "x", image_size=4).shape == (4, 4, 3)


@pytest.mark.parametrize("size", [(4, 7), (12, 5), (6, 9), (9, 6)])
def test_resize_to_height_and_width(size):
    pixels = decode(encode(Image.fromarray(RGB)), "x", image_size=size)
    expected = Image.fromarray(RGB).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    assert pixels.shape == (*size, 3)
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_32_bit_samples_are_refused():
    with pytest.raises(ImageError, match="x: has 32-bit samples"):
        decode(encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "x")


@pytest.mark.parametrize("data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg/>"])
def test_what_is_no_image(data):
    with pytest.raises(ImageError, match=r"train\.7z: member '1\.png'"):
        decode(data, "train.7z: member '1.png'")


def test_absurd_dimensions_are_refused(monkeypatch):
    monkeypatch.setattr(decode_module, "MAX_PIXELS", 50)
    with pytest.raises(ImageError, match="x: 9x6 pixels; more than 50 are refused"):
        decode(encode(Image.fromarray(RGB)), "x")


def test_pillows_own_guard_is_an_image_error(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImageError, match="x: has far too many pixels"):
        decode(encode(Image.fromarray(RGB)), "x")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@given(st.data())
def test_damage_gives_pixels_or_an_image_error(data):
    content = bytearray(
        encode(Image.fromarray(RGB), data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP"])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        assert decode(bytes(content), "x").shape[2] == 3
    except ImageError as error:
        assert str(error).startswith("x: ")  # noqa: PT017


def test_a_jpeg_that_is_scanned_absurdly_often_is_refused(monkeypatch):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    assert decode(whole, "x").shape == (16, 16, 3)
    scan = whole.index(b"\xff\xda")
    first = whole[scan : scan + 2 + int.from_bytes(whole[scan + 2 : scan + 4], "big")]
    many = whole[:scan] + (first + b"\0") * 501 + b"\xff\xd9"
    assert read_header(whole) is not None
    assert read_header(many) is None
    with pytest.raises(ImageError, match="scanned more than 500 times"):
        decode(many, "x")
