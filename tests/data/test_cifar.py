import gzip
import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import releases
from PIL import Image
from releases import RELEASES, write_release

import podium.data
from podium.data import cifar_files
from podium.data.sources import cifar
from podium.errors import ArchiveError, DataError

SHARED = Path(__file__).parents[3] / "shared"


def read_all(path, **options):
    dataset = podium.data.open(path, **options)
    return dataset.train, dataset.evaluation


def refused(path, *says, error=DataError, **options):
    with pytest.raises(error) as caught:
        read_all(path, **options)
    message = str(caught.value)
    assert message.count("\n") <= 1, message
    for part in says:
        assert part in message, message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", RELEASES)
def test_every_version(name, packed, tmp_path, cache):
    dataset = podium.data.open(write_release(tmp_path, name, packed=packed))
    train, evaluation = dataset.train, dataset.evaluation
    assert (dataset.kind, dataset.evaluation_name) == ("cifar", "official test split")
    assert dataset.name == (name if packed else RELEASES[name][0])
    assert (dataset.test, dataset.stream_test(9), dataset.sample_submission) == (None, None, None)
    if "100" in name:
        expected = [(content, fine) for content, fine, _ in releases.hundred_parts().values()]
        assert (dataset.labels_from, dataset.classes) == ("fine", tuple(releases.FINE))
    else:
        parts = releases.ten_parts()
        expected = [tuple(np.concatenate(each) for each in zip(*parts[:5], strict=True)), parts[5]]
        assert (dataset.labels_from, dataset.classes) == ("label", tuple(releases.TEN))
    for images, (content, labels) in zip((train, evaluation), expected, strict=True):
        np.testing.assert_array_equal(images.pixels, releases.pixels_of(content))
        np.testing.assert_array_equal(images.labels, labels)
        assert images.ids.tolist() == [str(i) for i in range(len(content))]
        assert images.classes == dataset.classes


@pytest.mark.parametrize("which", ["cifar-10", "cifar-100"])
def test_fingerprint_is_the_datas_and_not_the_versions(which, tmp_path, cache):
    places = [
        write_release(tmp_path / f"{i}{form}", f"{which}-{form}", packed=i)
        if (tmp_path / f"{i}{form}").mkdir() is None
        else None
        for i in (False, True)
        for form in ("python", "binary")
    ]
    assert len({podium.data.open(place).fingerprint for place in places}) == 1


@pytest.mark.parametrize("form", ["python", "binary"])
def test_coarse_labels(form, tmp_path, cache):
    path = write_release(tmp_path, f"cifar-100-{form}")
    fine, coarse = podium.data.open(path, labels="fine"), podium.data.open(path, labels="coarse")
    assert coarse.labels_from == "coarse"
    assert coarse.classes == tuple(releases.COARSE)
    for split, images in (("train", coarse.train), ("test", coarse.evaluation)):
        np.testing.assert_array_equal(images.labels, releases.hundred_parts()[split][2])
    assert coarse.fingerprint != fine.fingerprint
    np.testing.assert_array_equal(coarse.train.pixels, fine.train.pixels)
    assert len(cache.packs()) == 2  # the pixels are there once


def test_classes_that_the_release_does_not_sort(tmp_path, cache):
    files = releases.cifar10_binary()
    files["batches.meta.txt"] = "\n".join(releases.TEN[::-1]).encode()
    dataset = podium.data.open(write_release(tmp_path, "cifar-10-binary", files))
    assert dataset.classes == tuple(releases.TEN)
    _, labels = releases.ten_parts()[5]
    assert [dataset.classes[i] for i in dataset.evaluation.labels] == [releases.TEN[9 - i] for i in labels]


def test_second_opening_reads_no_file_of_the_release(tmp_path, cache, monkeypatch):
    path = write_release(tmp_path, "cifar-100-python", packed=True)
    first = podium.data.open(path)
    expected = first.train.pixels.copy(), first.evaluation.labels
    monkeypatch.setattr(cifar_files, "read_pickle", None)  # would fail if it were called
    again = podium.data.open(path, labels="coarse")
    np.testing.assert_array_equal(again.train.pixels, expected[0])
    np.testing.assert_array_equal(again.evaluation.labels, expected[1] // 5)


def test_image_size(tmp_path, cache):
    path = write_release(tmp_path, "cifar-10-python")
    images = podium.data.open(path, image_size=16).train
    first = Image.fromarray(podium.data.open(path).train.pixels[0]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images.pixels[0], np.asarray(first))


def test_a_folder_that_holds_the_release(tmp_path, cache):
    path = write_release(tmp_path, "cifar-100-python", packed=True)
    dataset = podium.data.open(tmp_path)
    assert (dataset.path, dataset.name) == (tmp_path, "cifar-100-python")
    assert len(dataset.train) == 60
    write_release(tmp_path, "cifar-100-python")  # as torchvision leaves it: packed and unpacked
    path.write_bytes(path.read_bytes()[:100])
    assert len(podium.data.open(tmp_path).train) == 60
    write_release(tmp_path, "cifar-10-binary")
    refused(tmp_path, "holds several data sets: cifar-10-batches-bin, cifar-100-python")


@pytest.mark.parametrize(
    ("name", "lost", "says"),
    [
        ("cifar-10-python", "data_batch_3", "data_batch_3 is missing"),
        ("cifar-10-python", "batches.meta", "batches.meta is missing"),
        ("cifar-10-binary", "test_batch.bin", "test_batch.bin is missing"),
        ("cifar-100-binary", "coarse_label_names.txt", "coarse_label_names.txt is missing"),
        ("cifar-100-python", "test", "test is missing"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_missing_file(name, lost, says, packed, tmp_path, cache):
    files = RELEASES[name][1]()
    del files[lost]
    refused(write_release(tmp_path, name, files, packed=packed), says, "Download it again")


def test_labels_that_are_not_there(tmp_path, cache):
    ten, hundred = write_release(tmp_path, "cifar-10-python"), write_release(tmp_path, "cifar-100-binary")
    refused(ten, "one set of labels", "'coarse'", "--labels", labels="coarse")
    refused(hundred, "fine and coarse", "'rough'", labels="rough")
    refused("digits", "one set of labels", labels="coarse")


def changed(key, value, file="train"):
    """CIFAR-100's Python files with one value of one of them changed."""
    files = releases.cifar100_python()
    content = pickle.loads(files[file], encoding="bytes")
    if b"data" in content:
        content[b"data"] = releases.Array(content[b"data"])
    if value is None:
        del content[key]
    else:
        content[key] = value
    return files | {file: releases.python2_pickle(content)}


@pytest.mark.parametrize(
    ("key", "value", "file", "says"),
    [
        (b"data", None, "train", "no array of images"),
        (b"data", 3, "train", "no array of images"),
        (b"data", releases.Array(np.zeros((60, 3000), np.uint8)), "train", "no array of images"),
        (b"data", releases.Array(np.zeros(3072, np.uint8)), "train", "no array of images"),
        (b"data", releases.Array(np.zeros((59, 3072), np.uint8)), "train", "one label"),
        (b"fine_labels", None, "train", "one label of b'fine_labels'"),
        (b"fine_labels", [1] * 59, "train", "one label"),
        (b"fine_labels", [b"1"] * 60, "train", "one label"),
        (b"fine_labels", [20] * 60, "train", "labels beyond its 20 classes"),
        (b"coarse_labels", [-1] * 20, "test", "labels beyond its 4 classes"),
        (b"fine_label_names", None, "meta", "doesn't name its classes"),
        (b"fine_label_names", [1, 2], "meta", "doesn't name its classes"),
        (b"fine_label_names", [b"a", b"a"], "meta", "twice"),
        (b"fine_label_names", [b"\xff", b"a"], "meta", "doesn't name its classes"),
    ],
)
def test_contents_that_are_not_the_releases(key, value, file, says, tmp_path, cache):
    path = write_release(tmp_path, "cifar-100-python", changed(key, value, file))
    refused(path, f"cifar-100-python/{file}: ", says, "Download it again")
    assert not any(name[0] == "." for name in cache.packs())


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("train.bin", b"x" * 3073, "no multiple of 3,074"),
        ("train.bin", b"", "no images"),
        ("test.bin", bytes([3, 20]) + bytes(3072), "labels beyond"),
        ("fine_label_names.txt", b"one", "names 1 classes"),
        ("fine_label_names.txt", b"\xff\xfe\x00", "doesn't name"),
    ],
)
def test_binary_contents_that_are_not_the_releases(file, content, says, tmp_path, cache):
    files = releases.cifar100_binary() | {file: content}
    refused(write_release(tmp_path, "cifar-100-binary", files), f"cifar-100-binary/{file}: ", says)


HOSTILE = b"\x80\x02}U\x04datacposix\nsystem\n(U\x0etouch executedtRs."


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("file", ["train", "test", "meta"])
def test_a_hostile_release_executes_nothing(file, packed, tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = releases.cifar100_python() | {file: HOSTILE}
    path = write_release(tmp_path, "cifar-100-python", files, packed=packed)
    refused(path, f"/{file}: names 'posix.system'", "nothing in it was executed")
    assert not Path("executed").exists()
    pickle.loads(HOSTILE)  # the attack is real
    assert Path("executed").exists()


def test_damaged_pickles_give_an_error_or_images(tmp_path, cache):
    path, rng = write_release(tmp_path, "cifar-100-python"), np.random.default_rng(0)
    whole = {name: (path / name).read_bytes() for name in ("train", "meta")}
    num_refused = 0
    for i in range(300):
        name = ("train", "meta")[i % 2]
        data = bytearray(whole[name])
        places = [int(rng.integers(300)), int(rng.integers(len(data) - 300, len(data)))]
        data[places[i % 3 // 2]] = int(rng.integers(256))
        (path / name).write_bytes(data)
        try:
            assert podium.data.open(path).train.pixels.shape == (60, 32, 32, 3)
        except DataError as error:
            num_refused += 1
            assert str(error).count("\n") <= 1  # noqa: PT017
        (path / name).write_bytes(whole[name])
    assert num_refused > 100


@pytest.mark.parametrize("cut", [50, 1000, 20_000])
def test_truncated_release(cut, tmp_path, cache):
    path = write_release(tmp_path, "cifar-100-python", packed=True)
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, "cifar-100-python.tar.gz: damaged or not complete", error=ArchiveError)
    assert cache.packs() == []


def test_damaged_release_is_never_taken_for_whole(tmp_path, cache):
    path = write_release(tmp_path, "cifar-10-binary", packed=True)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    expected = podium.data.open(path).train.pixels.copy()
    for _ in range(60):
        damaged = bytearray(content)
        damaged[int(rng.integers(10, len(content)))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            found = podium.data.open(path)
            np.testing.assert_array_equal(found.train.pixels, expected)
        except DataError as error:
            assert str(error).count("\n") <= 1  # noqa: PT017


def test_what_only_bears_its_name(tmp_path, cache):
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(gzip.compress(b"<html>404</html>" * 100))
    refused(path)
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("notes.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    refused(path)


def test_member_of_absurd_size_is_not_read(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(cifar_files, "MAX_FILE_BYTES", 10_000)
    refused(write_release(tmp_path, "cifar-100-python", packed=True), "train: says it is ")
    refused(write_release(tmp_path, "cifar-100-binary"), "says it is ")


def test_originals_are_told_from_others(tmp_path, cache, monkeypatch):
    path = write_release(tmp_path, "cifar-10-binary", packed=True)
    content = path.read_bytes()
    (fault,) = podium.data.open(path).faults()
    assert fault == f"{path.name} is not the original: it has {len(content):,} bytes, the original 170,052,171."
    monkeypatch.setitem(cifar.ORIGINALS, path.name, (len(content), "0" * 32))
    (fault,) = podium.data.summarize(podium.data.open(tmp_path)).faults[-1:]
    md5 = hashlib.md5(content).hexdigest()
    assert fault == f"{path.name} is not the original: its MD5 is {md5}, the original's {'0' * 32}."
    monkeypatch.setitem(cifar.ORIGINALS, path.name, (len(content), md5))
    assert podium.data.open(path).faults() == []
    path.rename(tmp_path / "mine.tar.gz")
    assert podium.data.open(tmp_path / "mine.tar.gz").faults() == []


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_cifar100(tmp_path, cache):
    if not (SHARED / "tools" / "build_cifar100.py").exists() or not (SHARED / "data" / "cifar-100").exists():
        pytest.skip("the real data set's files aren't here")
    subprocess.run([sys.executable, SHARED / "tools" / "build_cifar100.py", tmp_path], check=True, capture_output=True)
    dataset = podium.data.open(tmp_path / "cifar-100-python.tar.gz")
    train, evaluation = dataset.train, dataset.evaluation
    assert train.pixels.shape == (50_000, 32, 32, 3)
    assert evaluation.pixels.shape == (10_000, 32, 32, 3)
    assert np.bincount(train.labels).tolist() == [500] * 100
    assert np.bincount(evaluation.labels).tolist() == [100] * 100
    mean = train.pixels.reshape(-1, 3).mean(0) / 255
    np.testing.assert_allclose(mean, (0.5071, 0.4866, 0.4409), atol=1e-4)
    coarse = podium.data.open(tmp_path / "cifar-100-python", labels="coarse")
    assert np.bincount(coarse.train.labels).tolist() == [2500] * 20
    names = {(dataset.classes[f], coarse.classes[c]) for f, c in zip(train.labels, coarse.train.labels, strict=True)}
    assert len(names) == 100  # each fine class lies in one coarse class
    assert {("beaver", "aquatic_mammals"), ("rose", "flowers")} <= names
