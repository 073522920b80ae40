"""Shards that podium writes: written, gone on with, read back, damaged."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import ilsvrc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from webserver import serving

import podium.data
from podium.data import http, shard_writer
from podium.data.encoded import EncodedPixels, Files
from podium.data.images import Dataset, Images
from podium.data.shard_index import parse
from podium.data.sources import shard_sets
from podium.errors import ArchiveError, DataError, StorageError

webdataset = pytest.importorskip("webdataset")


def jpeg(number, size=(40, 50)):
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


class Loose(Dataset):
    """Sixty JPEGs of many sizes that stay encoded, and eight to be predicted."""

    name = "loose"
    kind = "test"
    sample_submission = None
    train = test = evaluation = None
    fingerprint = "0123456789abcdef"
    classes = ("cat", "dog")

    def __init__(self, folder):
        folder.mkdir()
        self.path = folder
        for number in range(68):
            (folder / f"{number}.jpg").write_bytes(jpeg(number, (30 + number, 50)))
        self.train, self.test = self._images(range(60), labelled=True), self._images(range(60, 68), labelled=False)

    def _images(self, numbers, *, labelled):
        paths = [os.fsencode(self.path / f"{number}.jpg") for number in numbers]
        count = len(paths)
        files = Files(
            np.array(paths),
            np.arange(count, dtype=np.int32),
            np.zeros(count, np.int64),
            np.full(count, -1, np.int64),
            np.full(count, b""),
        )
        ids = np.array([f"zoo/å{number}" for number in numbers])
        labels = np.arange(count) % 2 if labelled else None
        return Images(EncodedPixels(files, (24, 20)), labels, ids, self.classes)


@pytest.fixture(scope="module")
def digits_shards(tmp_path_factory):
    out = tmp_path_factory.mktemp("shards") / "digits"
    podium.data.write_shards(podium.data.open("digits"), out, shard_bytes=1_000_000)
    return out


@pytest.fixture
def small(competition, cache, tmp_path):
    """Shards of the small competition: twelve images in three shards, and five to be predicted."""
    out = tmp_path / "small"
    podium.data.write_shards(podium.data.open(competition(".zip")), out, shard_bytes=10_240)
    return out


def same(images, others):
    assert np.array_equal(images.ids, others.ids)
    assert np.array_equal(images.pixels[:], others.pixels[:])
    assert images.classes == others.classes
    assert (images.labels is None) == (others.labels is None)
    assert images.labels is None or np.array_equal(images.labels, others.labels)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- what is written


def test_they_are_the_data_set_that_they_were_made_of(digits_shards):
    digits, found = podium.data.open("digits"), podium.data.open(digits_shards)
    same(found.train, digits.train)
    same(found.test, digits.test)
    assert isinstance(found.train.pixels, np.ndarray)
    assert found.train.shards is None
    assert (found.name, found.kind, found.fingerprint) == ("digits", "shards", digits.fingerprint)
    assert (found.evaluation, found.evaluation_name, found.labels_from) == (None, None, None)
    assert found.sample_submission.columns == digits.sample_submission.columns
    assert np.array_equal(found.sample_submission.ids, digits.sample_submission.ids)
    assert found.faults() == []
    assert podium.data.open(digits_shards / "index.json").fingerprint == digits.fingerprint


def test_resized_they_are_the_data_set_resized(digits_shards):
    found = podium.data.open(digits_shards, image_size=16)
    same(found.train, podium.data.open("digits", image_size=16).train)
    assert found.fingerprint != podium.data.open(digits_shards).fingerprint
    assert found.resized_to == 16


def test_shards_keep_to_their_size_and_are_fair_samples(digits_shards):
    index = parse((digits_shards / "index.json").read_bytes(), "index")
    shards = index.splits["train"].shards
    assert len(shards) == 5
    assert all(990_000 < shard.num_bytes <= 1_000_000 for shard in shards[:-1])
    labels = podium.data.open("digits").train.labels
    found = podium.data.open(digits_shards)
    container = found.part("train").files.container
    for shard in range(4):
        counts = np.bincount(labels[container == shard], minlength=10)
        assert counts.min() > 0.5 * counts.mean()


def test_webdataset_reads_them_back(digits_shards):
    train = podium.data.open("digits").train
    table = podium.data.open(digits_shards).part("train").table
    urls = [str(path) for path in sorted(digits_shards.glob("train-*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len(samples) == len(train)
    for place, sample in enumerate(samples):
        row = table.rows[place]
        assert int(sample["cls"]) == train.labels[row]
        if place % 50 == 0:
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample["png"]))), train.pixels[row])
    test = list(webdataset.WebDataset(str(digits_shards / "test-000000.tar"), shardshuffle=False))
    assert all("cls" not in sample for sample in test)


@pytest.mark.parametrize("image_format", ["png", "webp"])
def test_nothing_is_lost(competition, cache, tmp_path, image_format):
    dataset = podium.data.open(competition(".zip"))
    podium.data.write_shards(dataset, tmp_path / "out", shard_bytes=10**6, image_format=image_format)
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as archive:
        assert {Path(name).suffix for name in archive.getnames()} == {f".{image_format}", ".cls"}
    found = podium.data.open(tmp_path / "out")
    same(found.train, dataset.train)
    same(found.test, dataset.test)


def test_encoded_images_are_copied_as_they_are(tmp_path, cache):
    loose = Loose(tmp_path / "loose")
    podium.data.write_shards(loose, tmp_path / "out", shard_bytes=50_000)
    found = podium.data.open(tmp_path / "out")
    assert isinstance(found.train.pixels, EncodedPixels)
    assert (found.train.size, found.fingerprint) == ((24, 20), loose.fingerprint)
    for row in range(60):
        assert found.train.pixels.files.read(row) == loose.train.pixels.files.read(row)
    same(found.train, loose.train)
    same(found.test, loose.test)
    assert len(found.train.pixels.files.containers) > 3
    assert podium.data.open(tmp_path / "out", image_size=12).train.size == (12, 12)
    assert podium.data.open(tmp_path / "out", image_size=12).fingerprint == loose.fingerprint
    assert cache.packs() == []


@pytest.mark.parametrize("layout", ["parts", "parts wrapped", "one"])
def test_single_files_are_copied_as_they_are(tmp_path, cache, layout):
    inner = "x/" if layout == "parts wrapped" else ""
    for number in range(12):
        for part in ("train", "test"):
            label = "cat/" if number % 2 else "dog/"
            folder = f"{label}" if layout == "one" else f"{part}/{inner}{label if part == 'train' else ''}"
            path = tmp_path / "data" / f"{folder}{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(number))
    dataset = podium.data.open(tmp_path / "data")
    podium.data.write_shards(dataset, tmp_path / "out")
    found = podium.data.open(tmp_path / "out")
    same(found.train, dataset.train)
    assert isinstance(found.train.pixels, np.ndarray)
    files = found.part("train").files
    assert [files.read(row) for row in range(12)] == [jpeg(int(Path(name).stem)) for name in dataset.train.ids]
    if layout != "one":
        same(found.test, dataset.test)
    resized = podium.data.open(tmp_path / "data", image_size=8)
    podium.data.write_shards(resized, tmp_path / "small")
    same(podium.data.open(tmp_path / "small").train, resized.train)


@pytest.mark.parametrize("layout", ["official", "kaggle_zip"])
def test_imagenet_becomes_shards(tmp_path, cache, layout):
    imagenet = podium.data.open(ilsvrc.LAYOUTS[layout](tmp_path / "imagenet"))
    podium.data.write_shards(imagenet, tmp_path / "out", shard_bytes=20_000)
    found = podium.data.open(tmp_path / "out")
    assert (found.fingerprint, found.classes) == (imagenet.fingerprint, imagenet.classes)
    assert found.evaluation_name == "validation set"
    for role in ("train", "evaluation", "test"):
        images, others = getattr(found, role), getattr(imagenet, role)
        assert images.ids.tolist() == others.ids.tolist()
        assert role == "test" or images.labels.tolist() == others.labels.tolist()
        for row in range(len(images)):
            assert images.pixels.files.read(row) == others.pixels.files.read(row)
    if layout == "kaggle_zip":
        assert found.sample_submission.ids.tolist() == imagenet.sample_submission.ids.tolist()
        assert found.sample_submission.columns == imagenet.sample_submission.columns


def test_the_order_of_training_is_by_shard_wherever_they_lie(tmp_path, cache):
    import torch

    from podium.training.order import Order

    podium.data.write_shards(Loose(tmp_path / "loose"), tmp_path / "out", shard_bytes=20_000)
    with serving(tmp_path / "out") as web:
        places = [podium.data.open(tmp_path / "out").train, podium.data.open(web.url).train]
        device = torch.device("cpu")
        both = [Order(60, 3, device, remembers=False, shards=images.shards) for images in places]
        orders = [order.epoch(5, 60)[0] for order in both]
        assert not web.gets("train-000000.tar")
    assert torch.equal(*orders)
    assert orders[0].sort().values.tolist() == list(range(60))
    part = places[0].subset(np.arange(0, 60, 2))
    assert np.array_equal(part.shards, places[0].shards[::2])
    assert len(np.unique(places[0].shards)) > 16
    assert len(np.unique(places[0].shards[orders[0][:30]])) <= 16 + 16
    plain = Order(60, 3, device, remembers=False).epoch(5, 60)[0]
    assert not torch.equal(plain, orders[0])
    assert Loose(tmp_path / "again").train.shards is None


def test_too_many_pixels_stay_encoded(small, monkeypatch):
    monkeypatch.setattr(shard_sets, "memory", lambda: type("", (), {"limit": None, "total": 12 * 8 * 8 * 3 * 2}))
    found = podium.data.open(small)
    assert isinstance(found.train.pixels, EncodedPixels)
    assert found.train.pixels[0].shape == (8, 8, 3)


def test_the_same_comes_out_each_time(competition, cache, tmp_path, small):
    podium.data.write_shards(podium.data.open(competition(".zip")), tmp_path / "again", shard_bytes=10_240)
    assert contents(tmp_path / "again") == contents(small)


# ---- what is begun and not finished


def test_a_folder_that_is_there_is_left_alone(small, competition):
    before = contents(small)
    with pytest.raises(StorageError, match="is there already"):
        podium.data.write_shards(podium.data.open(competition(".zip")), small)
    assert contents(small) == before


def test_a_full_disk_is_said_and_the_same_command_goes_on(competition, cache, tmp_path, small, monkeypatch):
    dataset, out, calls = podium.data.open(competition(".zip")), tmp_path / "out", []

    def full(source, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return os_replace(source, target)

    os_replace = Path.replace
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match=r"out can't be written: No space left on device\.\nMake room"):
        podium.data.write_shards(dataset, out, shard_bytes=10_240)
    monkeypatch.setattr(Path, "replace", os_replace)
    unfinished = tmp_path / ".out.unfinished"
    assert not out.exists()
    done = list(unfinished.glob("*.tar"))
    assert len(done) == 1
    with pytest.raises(DataError, match="hasn't finished"):
        podium.data.open(unfinished)
    before = done[0].stat().st_mtime_ns
    podium.data.write_shards(dataset, out, shard_bytes=10_240)
    assert contents(out) == contents(small)
    assert (out / done[0].name).stat().st_mtime_ns == before
    assert not unfinished.exists()


def test_what_another_command_began_is_begun_anew(competition, cache, tmp_path, small):
    unfinished = tmp_path / ".out.unfinished"
    unfinished.mkdir()
    (unfinished / "unfinished.json").write_text('{"plan": "another"}')
    (unfinished / "train-000000.tar").write_bytes(b"of something else")
    podium.data.write_shards(podium.data.open(competition(".zip")), tmp_path / "out", shard_bytes=10_240)
    assert contents(tmp_path / "out") == contents(small)


def test_killed_at_any_time_nothing_passes_for_whole(tmp_path, digits_shards):
    out = tmp_path / "out"
    words = [sys.executable, "-m", "podium", "shard", "digits", str(out), "--size-mb", "1"]
    unfinished = tmp_path / ".out.unfinished"
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    from webserver import wait_for

    wait_for(lambda: list(unfinished.glob("train-000001.tar*")) or process.poll() is not None, 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert out.exists() == (not unfinished.exists())
    if not out.exists():
        podium.data.write_shards(podium.data.open("digits"), out, shard_bytes=1_000_000)
    assert contents(out) == contents(digits_shards)


def test_without_webdataset_it_is_said(competition, cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(DataError, match=r"pip install 'podium-vision\[shards\]'"):
        podium.data.write_shards(podium.data.open(competition(".zip")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- what is damaged


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def test_a_damaged_shard_is_named(small):
    flip(small / "train-000001.tar", 700)
    with pytest.raises(ArchiveError, match=r"train-000001\.tar: is damaged, its SHA-256"):
        _ = podium.data.open(small).train
    assert any("train-000001.tar" in fault for fault in podium.data.open(small).faults())


def test_a_damaged_image_that_stays_encoded_is_named(tmp_path, cache):
    podium.data.write_shards(Loose(tmp_path / "loose"), tmp_path / "out", shard_bytes=50_000)
    found = podium.data.open(tmp_path / "out").train.pixels
    row = 17
    flip(Path(found.files.path(row)), int(found.files.offsets[row]) + 300)
    with pytest.raises(ArchiveError, match=rf"{found.files.where(row)} is damaged: its checksum"):
        found[row]
    found[row - 1]


@pytest.mark.parametrize("name", ["train-000001.tar", "train.safetensors", "test-000000.tar"])
def test_a_shard_that_is_cut_short_or_gone_is_named(small, name):
    data = (small / name).read_bytes()
    (small / name).write_bytes(data[:-1])
    with pytest.raises(ArchiveError, match=rf"{name}: has [\d,]+ bytes, by index\.json [\d,]+\. Get"):
        read_all(small)
    (small / name).unlink()
    with pytest.raises(ArchiveError, match=f"{name}: can't be read"):
        read_all(small)


def read_all(path):
    dataset = podium.data.open(path)
    for images in (dataset.train, dataset.evaluation, dataset.test):
        if images is not None:
            _ = images.pixels[:]


CHANGES = {
    "version": lambda told: told.update(podium_shards=2),
    "no train": lambda told: told["splits"].pop("train"),
    "other split": lambda told: told["splits"].update(more=told["splits"]["test"]),
    "climbs": lambda told: told["splits"]["train"]["shards"][0].update(name="../train-000000.tar"),
    "absolute": lambda told: told["splits"]["train"]["table"].update(name="/etc/passwd.safetensors"),
    "hidden": lambda told: told["splits"]["train"]["shards"][0].update(name=".x.tar"),
    "other suffix": lambda told: told["splits"]["train"]["shards"][0].update(name="index.json"),
    "twice": lambda told: told["splits"]["train"]["shards"][0].update(name="train-000001.tar"),
    "huge": lambda told: told["splits"]["train"]["shards"][0].update(num_bytes=2**60),
    "negative": lambda told: told["splits"]["train"]["shards"][0].update(num_bytes=-5),
    "other count": lambda told: told["splits"]["train"].update(num_images=11),
    "no checksum": lambda told: told["splits"]["train"]["shards"][0].update(sha256="abc"),
    "classes": lambda told: told.update(classes=["cat", "cat", "frog"]),
    "no classes": lambda told: told.update(classes=[]),
    "true": lambda told: told["splits"]["train"].update(num_images=True),
    "size": lambda told: told.update(image_size=[8]),
    "wide": lambda told: told.update(image_size=[8, 10**9]),
    "list": lambda told: told.update(splits=[]),
    "fingerprint": lambda told: told.update(fingerprint="x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_index_that_says_what_cannot_be_is_refused(small, change):
    told = json.loads((small / "index.json").read_text())
    CHANGES[change](told)
    (small / "index.json").write_text(json.dumps(told))
    with pytest.raises(ArchiveError, match=r"index\.json"):
        podium.data.open(small)


def test_a_table_that_speaks_of_what_is_not_there_is_refused(small):
    import safetensors.numpy

    path = small / "train.safetensors"
    columns = safetensors.numpy.load(path.read_bytes())
    bad = {
        "shard": np.full(12, 7, np.int32),
        "offsets": np.full(12, 10**9),
        "lengths": np.full(12, 2**40),
        "labels": np.full(12, 3),
        "rows": np.zeros(12, np.int64),
        "checks": np.zeros(12, np.int64),
        "ids": np.zeros((11, 4), np.uint8),
        "names": np.zeros(12, np.uint8),
    }
    for name, values in bad.items():
        rewrite(small, path, safetensors.numpy.save(columns | {name: values}))
        with pytest.raises(ArchiveError, match=r"train\.safetensors: damaged"):
            _ = podium.data.open(small).train
    rewrite(small, path, safetensors.numpy.save(columns | {"labels": np.full(12, -1)}))
    with pytest.raises(ArchiveError, match=r"train-00000\d\.tar: 0000000\d\d\.png: nothing says the label"):
        _ = podium.data.open(small).train


def rewrite(folder, path, data):
    path.write_bytes(data)
    told = json.loads((folder / "index.json").read_text())
    told["splits"]["train"]["table"].update(num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (folder / "index.json").write_text(json.dumps(told))


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_index_does_anything_but_fail_or_work(data, digits_shards):
    whole = (digits_shards / "index.json").read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(len(whole), start + 40)))
    other = data.draw(st.sampled_from([b"", b"-1", b"null", b'"', b"[]", b"9" * 30, b"1e999", b"NaN", b"\xff", b"{}"]))
    said = "index.json"
    try:
        parse(whole[:start] + other + whole[stop:], "index.json")
    except ArchiveError as error:
        said = str(error)
    assert "index.json" in said


# ---- from a server


@pytest.fixture
def web(small, monkeypatch):
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.001)
    with serving(small) as server:
        yield server


def test_from_a_server_they_are_the_same(web, small, cache, competition):
    found, local = podium.data.open(f"{web.url}/"), podium.data.open(small)
    assert (found.reference, found.place) == (f"{web.url}/", f"{web.url}/")
    assert found.fingerprint == local.fingerprint
    same(found.train, local.train)
    same(found.test, local.test)
    assert np.array_equal(found.sample_submission.ids, local.sample_submission.ids)
    again = podium.data.open(Path(f"{web.url}/index.json"))  # a Path loses a slash
    same(again.train, local.train)
    assert len(web.gets("train-000000.tar")) == len(web.gets("train.safetensors")) <= 1


def test_shards_of_encoded_images_are_fetched_when_they_are_needed(tmp_path, cache):
    loose = Loose(tmp_path / "loose")
    podium.data.write_shards(loose, tmp_path / "out", shard_bytes=50_000)
    with serving(tmp_path / "out") as web:
        train = podium.data.open(web.url).train
        assert not [name for _, name, _ in web.asked if name.endswith(".tar")]
        assert np.array_equal(train.pixels[5], loose.train.pixels[5])
        assert len([name for _, name, _ in web.asked if name.endswith(".tar")]) == 1
        same(train, loose.train)


def test_a_damaged_shard_on_a_server_is_named(web, small):
    flip(small / "train-000001.tar", 700)
    with pytest.raises(StorageError, match=r"http://[^ ]*/train-000001\.tar: damaged, its SHA-256"):
        _ = podium.data.open(web.url).train
    (small / "train-000001.tar").unlink()
    with pytest.raises(StorageError, match=r"/train-000001\.tar: the server says 404"):
        _ = podium.data.open(web.url).train


def test_no_index_on_a_server_is_said(web, small):
    (small / "index.json").write_text("<html>")
    with pytest.raises(ArchiveError, match=r"/index\.json: is damaged"):
        podium.data.open(web.url)
    (small / "index.json").unlink()
    with pytest.raises(
        ArchiveError, match=r"404(?s:.)*others' are given as http://[^ ]*/name-\{000000\.\.000099\}\.tar"
    ):
        podium.data.open(f"{web.url}/")
    with pytest.raises(DataError, match="http:// and https:// only"):
        podium.data.open("ftp://host/shards/")


def test_a_key_goes_with_each_request_and_into_no_message(web, small):
    found = podium.data.open(f"{web.url}/?key=secret")
    assert found.reference.endswith("?key=secret")
    assert "secret" not in found.place
    _ = found.train
    (small / "index.json").unlink()
    with pytest.raises(ArchiveError) as caught:
        podium.data.open(f"{web.url}/?key=secret")
    assert "secret" not in str(caught.value)


def test_sizes_of_a_shard_are_estimated_as_tar_makes_them(tmp_path):
    """One image a shard, if none fits."""
    loose = Loose(tmp_path / "loose")
    index = podium.data.write_shards(loose, tmp_path / "out", shard_bytes=1)
    assert [shard.num_images for shard in index.splits["test"].shards] == [1] * 8
    assert shard_writer.RECORD == tarfile.RECORDSIZE
