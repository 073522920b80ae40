import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import podium.data
from podium.data.sources import digits
from podium.errors import StorageError


@pytest.fixture(scope="module")
def dataset():
    return podium.data.open("digits")


def test_it_is_a_competition(dataset):
    train, test, sample = dataset.train, dataset.test, dataset.sample_submission
    assert (dataset.kind, dataset.name) == ("digits", "digits")
    assert train.pixels.shape == (1437, 32, 32, 3)
    assert train.classes == tuple("0123456789")
    assert test.pixels.shape == (360, 32, 32, 3)
    assert train.ids.tolist() == [str(i) for i in range(1, 1438)]
    assert sample.ids.tolist() == test.ids.tolist() == [str(i) for i in range(1, 361)]


def test_labels_go_with_their_images(dataset):
    truth = load_digits()
    grey = np.rint(truth.images * (255 / 16)).astype(np.uint8)
    by_pixels = {
        np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)).tobytes(): label
        for image, label in zip(grey, truth.target, strict=True)
    }
    answers = digits.solution()
    assert list(answers) == dataset.test.ids.tolist()
    counted = 0
    for images, labels in (
        (dataset.train, dataset.train.labels),
        (dataset.test, [int(answers[image_id]) for image_id in dataset.test.ids]),
    ):
        counted += len(images)
        assert [by_pixels[pixels[..., 0].tobytes()] for pixels in images.pixels] == list(labels)
    assert counted == len(grey)


def test_it_is_the_same_everywhere(dataset, cache):
    again = podium.data.open("digits")
    assert again.fingerprint == dataset.fingerprint
    np.testing.assert_array_equal(again.train.pixels, dataset.train.pixels)


@pytest.mark.parametrize("name", digits.FILES)
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_incomplete_folder_is_written_again(name, damage, cache, monkeypatch):
    whole = dict.fromkeys(digits.FILES, b"content")

    def write(folder):
        for file, content in whole.items():
            (folder / file).write_bytes(content)

    monkeypatch.setattr(digits, "write_competition", write)
    digits.load()
    folder = cache.root / f"digits-{digits.VERSION}"
    (folder / "more").touch()
    (folder / name).unlink()
    if damage == "empty":
        (folder / name).touch()
    digits.load()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_leftovers_of_killed_builders_are_removed(cache, monkeypatch):
    killed = cache.root / f".digits-{digits.VERSION}.abcd"
    killed.mkdir(parents=True)
    (killed / "train.7z").touch()
    monkeypatch.setattr(
        digits, "write_competition", lambda folder: [(folder / name).write_text("x") for name in digits.FILES]
    )
    digits.load()
    assert {path.name for path in cache.root.iterdir()} <= {f"digits-{digits.VERSION}", f"digits-{digits.VERSION}.lock"}


def test_folder_that_cannot_be_looked_into(cache, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(digits, "_is_complete", refuse)
    with pytest.raises(StorageError, match="PODIUM_CACHE"):
        digits.load()


def test_two_processes_at_once(cache):
    code = "import podium.data; print(podium.data.open('digits').fingerprint)"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert len({process.communicate()[0] for process in processes}) == 1
    assert [process.returncode for process in processes] == [0, 0]
