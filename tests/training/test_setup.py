import io

import numpy as np
import pytest
from PIL import Image

from podium.data import Images
from podium.data.encoded import EncodedPixels, Files
from podium.errors import ImageError
from podium.training import setup


def images_of(pixels):
    return Images(pixels, None, np.arange(len(pixels)).astype(str), ("a", "b"))


def encoded(tmp_path, pixels):
    """The same images as PNG files that are decoded when they are asked for; each of one colour, so none is lost."""
    data = []
    for one in pixels:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, "PNG")
        data.append(buffer.getvalue())
    (tmp_path / "all").write_bytes(b"".join(data))
    lengths = np.array([len(one) for one in data], np.int64)
    count = len(data)
    path = np.array([str(tmp_path / "all").encode()])
    names = np.array([f"{i}.png".encode() for i in range(count)])
    files = Files(path, np.zeros(count, np.int32), np.cumsum(lengths) - lengths, lengths, names)
    return EncodedPixels(files, pixels.shape[1:3])


def flat(count):
    colours = np.random.default_rng(0).integers(0, 256, (count, 1, 1, 3), np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colours, (count, 8, 8, 3)))


def test_mean_and_std():
    pixels = np.random.default_rng(1).integers(0, 256, (300, 8, 8, 3), np.uint8)
    pixels[..., 1] //= 2
    mean, std = setup.mean_and_std(images_of(pixels))
    assert np.allclose(mean, pixels.mean((0, 1, 2)) / 255, atol=1e-5)
    assert np.allclose(std, pixels.std((0, 1, 2)) / 255, atol=1e-5)


def test_the_mean_of_encoded_images(tmp_path):
    pixels = flat(50)
    assert setup.mean_and_std(images_of(encoded(tmp_path, pixels))) == setup.mean_and_std(images_of(pixels))


def test_of_many_encoded_images_some_are_decoded(tmp_path, monkeypatch):
    pixels = flat(90)
    monkeypatch.setattr(setup, "_MOST_MEASURED", 10)
    seen = []
    decode = EncodedPixels._decoded
    monkeypatch.setattr(
        EncodedPixels, "_decoded", lambda self, row, *rest: seen.append(row) or decode(self, row, *rest)
    )
    found = setup.mean_and_std(images_of(encoded(tmp_path, pixels)))
    rows = np.linspace(0, 89, 10).astype(np.int64)
    assert sorted(seen) == rows.tolist()
    assert found == setup.mean_and_std(images_of(pixels[rows]))


def test_an_image_that_cant_be_decoded_is_named_before_a_training_begins(tmp_path):
    images = images_of(encoded(tmp_path, flat(5)))
    data = bytearray((tmp_path / "all").read_bytes())
    data[int(images.pixels.files.offsets[2])] = 0
    (tmp_path / "all").write_bytes(data)
    with pytest.raises(ImageError, match=r"2\.png"):
        setup.mean_and_std(images)
