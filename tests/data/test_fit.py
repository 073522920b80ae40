"""The part of an image that is trained on: the right place, whatever decodes it, however far."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import photo
from PIL import Image

from podium.data import fit, jpeg
from podium.data.decode import decode
from podium.data.random_crop import RandomCrop
from podium.errors import ImageError

needs_turbo = pytest.mark.skipif(not jpeg.HAS_TURBO, reason="simplejpeg isn't installed")


def plainly(data, size, box):
    """The whole image decoded and cut, then resized by Pillow."""
    pixels = decode(data, "here")
    image = Image.fromarray(pixels).crop(tuple(round(edge) for edge in box(*pixels.shape[:2])))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))


def distance(some, others):
    return np.abs(some.astype(int) - others).max()


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 150), st.integers(16, 150), st.data())
def test_a_part_is_that_of_the_whole_image(height, width, data):
    left, top = data.draw(st.integers(0, width - 8)), data.draw(st.integers(0, height - 8))
    right, bottom = data.draw(st.integers(left + 8, width)), data.draw(st.integers(top + 8, height))
    size = data.draw(st.sampled_from([(8, 8), (24, 32), (64, 40)]))
    sampling = data.draw(st.sampled_from([0, 2]))
    file = photo(height, (height, width), 3, subsampling=sampling, progressive=data.draw(st.booleans()))

    def box(*_):
        return left, top, right, bottom

    got = fit.cropped(file, "here", size, box)
    assert got.shape == (*size, 3)
    if min((right - left) / size[1], (bottom - top) / size[0]) < 2:
        assert distance(got, plainly(file, size, box)) <= 1
    elif min(right - left, bottom - top) >= 48:  # decoded smaller: an average of whole blocks, its edges rounded
        assert np.abs(got.astype(int) - plainly(file, size, box)).mean() < 12


@needs_turbo
@pytest.mark.parametrize("bottom", [1, 33, 100, 140, 150])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("options", [{}, {"subsampling": 2, "restart_marker_rows": 1}, {"progressive": True}])
def test_the_upper_rows_are_those_of_pillow(bottom, factor, options):
    data = photo(3, (150, 203), **options)
    top = jpeg.decode_top(data, jpeg.read_header(data), bottom, factor)
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (203 // factor, 150 // factor))
    num_rows = -(-bottom // factor)
    assert len(top) >= num_rows
    assert np.array_equal(top[:num_rows], np.asarray(image)[:num_rows])
    if bottom < 100 and not options.get("progressive") and factor == 1:
        assert len(top) < 150, "no more than needed"


def turned(data):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "JPEG", exif=exif, quality=90)
    return buffer.getvalue()


def grey(data):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("L").save(buffer, "JPEG")
    return buffer.getvalue()


def cmyk(data):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [turned(photo(1)), grey(photo(1)), cmyk(photo(1)), photo(1, format="PNG"), photo(1) + b"\0\0"],
    ids=["turned", "grey", "cmyk", "png", "longer"],
)
def test_what_is_not_plain_is_decoded_whole(data):
    assert jpeg.read_header(data) is None

    def box(height, width):
        return width // 4, height // 4, width, height

    assert distance(fit.cropped(data, "here", (24, 24), box), plainly(data, (24, 24), box)) <= 1


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", photo(1)[:900], b"no image", photo(1)[:40] + b"\xff\xd9"])
def test_a_damaged_file_is_named(data):
    with pytest.raises(ImageError, match=r"that\.jpg"):
        fit.centred(data, "that.jpg", (24, 24))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 600))
def test_a_header_is_read_or_refused(noise, place):
    data = bytearray(photo(1))
    data[place : place + len(noise)] = noise
    header = jpeg.read_header(bytes(data))
    assert header is None or (header.height > 0 and header.width > 0)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.floats(0.01, 1), st.floats(1, 3), st.integers(), st.integers(0, 9))
def test_a_box_lies_in_the_image_and_has_the_area(height, width, area_min, ratio, seed, row):
    crop = RandomCrop(area_min, ratio, seed)
    left, top, right, bottom = crop.box(height, width, (224, 224), 3, row)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (left, top, right, bottom) == crop.box(height, width, (224, 224), 3, row)


def test_boxes_differ_by_seed_epoch_and_image_and_are_spread():
    boxes = {
        RandomCrop(0.08, 4 / 3, seed).box(375, 500, (224, 224), epoch, row)
        for seed in range(4)
        for epoch in range(4)
        for row in range(4)
    }
    assert len(boxes) == 64
    some = np.array([RandomCrop(0.08, 4 / 3, 0).box(375, 500, (224, 224), 0, row) for row in range(2000)])
    widths, heights = some[:, 2] - some[:, 0], some[:, 3] - some[:, 1]
    areas, ratios = widths * heights / (375 * 500), widths / heights
    assert areas.min() > 0.07
    assert 0.4 < areas.mean() < 0.54  # the largest often don't fit
    assert 0.74 < ratios.min() < ratios.max() < 1.35
    assert abs(np.log(ratios).mean()) < 0.06
    assert (some[:, 0] == 0).mean() < 0.1
