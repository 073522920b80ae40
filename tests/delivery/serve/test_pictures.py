from contextlib import suppress

import numpy as np
import pytest
from uploads import bomb, oriented, picture_bytes

from podium.data.decode import decode
from podium.data.fit import centred
from podium.delivery.serve import pictures
from podium.delivery.serve.body import Upload
from podium.delivery.serve.limits import Limits, Refusal
from podium.delivery.serve.pictures import read_picture
from podium.models import Preprocessing

SIZE = (8, 8)
STRETCHES = Preprocessing(("a", "b"), SIZE, (0.5,) * 3, (0.5,) * 3)
CROPS = Preprocessing(("a", "b"), SIZE, (0.5,) * 3, (0.5,) * 3, crops=True)
LIMITS = Limits(max_pixels=10_000)


def read(data, preprocessing=STRETCHES):
    return read_picture(Upload("a.png", data), "a.png", preprocessing, LIMITS)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_pixels_are_those_that_predict_takes(form):
    data = picture_bytes(form)
    assert np.array_equal(read(data).pixels, decode(data, "a", SIZE))
    assert np.array_equal(read(data, CROPS).pixels, centred(data, "a", SIZE))


def test_the_part_is_what_the_network_sees():
    assert read(picture_bytes()).part == (0, 0, 1, 1)
    left, top, right, bottom = read(picture_bytes(height=20, width=40), CROPS).part
    assert left == pytest.approx(1 - right)
    assert (right - left, bottom - top) == pytest.approx((0.5 * 7 / 8, 7 / 8))


def test_the_part_is_of_the_image_as_it_is_seen():
    turned = read(oriented(6, height=20, width=40), CROPS).part  # seen as 40 high, 20 wide
    assert turned == pytest.approx(read(picture_bytes("JPEG", height=40, width=20), CROPS).part)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"no image at all", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415),  # Pillow's reader would run Ghostscript
        (picture_bytes()[:-40], 422),
        (picture_bytes("JPEG")[:-200], 422),
        (picture_bytes("TIFF", mode="F"), 422),
        (picture_bytes(height=101, width=100), 413),
        (bomb(40_000, 40_000), 413),
        (bomb(2**31 - 1, 2**31 - 1), 413),
    ],
)
def test_what_can_not_be_read_is_refused(data, status):
    with pytest.raises(Refusal) as refusal:
        read(data)
    assert refusal.value.status == status
    assert refusal.value.message.startswith("a.png: ")


def test_as_many_pixels_as_allowed_are_taken():
    assert read(picture_bytes(height=100, width=100)).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_a_file_cut_anywhere_is_read_or_refused(form):
    data = picture_bytes(form)
    for end in range(0, len(data), max(1, len(data) // 60)):
        with suppress(Refusal):
            read(data[:end])


def test_memory_of_large_images_goes_back(monkeypatch):
    given = []
    monkeypatch.setattr(pictures, "_LARGE", 2000)
    monkeypatch.setattr(pictures, "_give_memory_back", lambda: given.append(1))
    read(picture_bytes(height=20, width=100))
    assert given == []
    read(picture_bytes(height=21, width=100))
    with suppress(Refusal):
        read(picture_bytes(height=21, width=100)[:-30])
    assert given == [1, 1]
