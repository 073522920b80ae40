"""WebDataset shards that others made: what is taken of them, and what is refused."""

import io
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webserver import serving

import podium.data
from podium.data import http
from podium.data.encoded import EncodedPixels
from podium.data.shard_places import expanded
from podium.data.sources import shard_others
from podium.errors import ArchiveError, DataError

webdataset = pytest.importorskip("webdataset")
NAMES = ("cat", "dog", "frog")


def tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members if isinstance(members, list) else members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def samples(png):
    """Members of some samples, their labels numbers in .cls."""

    def make(numbers, label=lambda number: {"cls": str(number % 3).encode()}, size=8):
        found = {}
        for number in numbers:
            found[f"a/{number:04}.png"] = png(number, size)
            found |= {f"a/{number:04}.{suffix}": data for suffix, data in label(number).items()}
        return found

    return make


def written(folder, samples):
    """Three shards of four samples."""
    for shard in range(3):
        tar(folder / f"food-{shard:06}.tar", samples(range(4 * shard, 4 * shard + 4)))
    return folder


def test_a_folder_of_shards(tmp_path, cache, samples, png):
    found = podium.data.open(written(tmp_path / "food", samples))
    assert (found.name, found.kind, found.classes) == ("food", "shards", ("0", "1", "2"))
    assert found.train.ids.tolist() == [f"a/{number:04}" for number in range(12)]
    assert found.train.labels.tolist() == [number % 3 for number in range(12)]
    assert isinstance(found.train.pixels, np.ndarray)
    assert found.train.pixels.shape == (12, 8, 8, 3)
    assert found.test is found.evaluation is found.sample_submission is found.evaluation_name is None
    assert found.fingerprint == podium.data.open(tmp_path / "food").fingerprint
    assert podium.data.open(tmp_path / "food" / "food-000001.tar").train.ids[0] == "a/0004"


def test_what_webdataset_writes_is_read(tmp_path, cache, png):
    (tmp_path / "w").mkdir()
    with webdataset.ShardWriter(str(tmp_path / "w" / "x-%04d.tar"), maxcount=5, verbose=0) as writer:
        for number in range(12):
            writer.write({"__key__": f"sample{number:03}", "png": png(number), "cls": number % 3, "txt": "a word"})
    found = podium.data.open(tmp_path / "w")
    assert found.train.labels.tolist() == [number % 3 for number in range(12)]
    assert len(found.part("train").files.containers) == 3


LABELS = {
    "names": lambda number: {"cls": NAMES[number % 3].encode() + b"\n"},
    "json": lambda number: {"json": b'{"label": "%s", "x": [1]}' % NAMES[number % 3].encode()},
    "both": lambda number: {"json": b'{"label": 9}', "cls": NAMES[number % 3].encode()},
    "number": lambda number: {"json": b'{"class": %d}' % (number % 3)},
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels(tmp_path, cache, samples, kind):
    tar(tmp_path / "x.tar", samples(range(6), LABELS[kind]))
    found = podium.data.open(tmp_path / "x.tar")
    assert found.classes == (("0", "1", "2") if kind == "number" else NAMES)
    assert found.train.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_splits_by_name_and_by_folder(tmp_path, cache, samples):
    def no_label(_):
        return {}

    for name in ("train-0.tar", "val-0.tar", "test-0.tar"):
        tar(tmp_path / "names" / name, samples(range(6), no_label if "test" in name else LABELS["names"]))
        tar(tmp_path / "folders" / name.partition("-")[0] / "0.tar", samples(range(6), LABELS["names"]))
        if "val" not in name:
            tar(tmp_path / "two" / name, samples(range(6), LABELS["names"]))
    for name in ("names", "folders"):
        found = podium.data.open(tmp_path / name)
        assert (found.evaluation_name, len(found.evaluation), len(found.test)) == ("validation shards", 6, 6)
        assert found.evaluation.labels.tolist() == [0, 1, 2, 0, 1, 2]
        assert found.test.labels is None
    found = podium.data.open(tmp_path / "two")
    assert (found.evaluation_name, found.test) == ("labelled test shards", None)
    tar(tmp_path / "two" / "more.tar", samples(range(2)))
    with pytest.raises(DataError, match=r"more\.tar: of which split"):
        podium.data.open(tmp_path / "two")


def test_keys_that_are_there_in_each_shard(tmp_path, cache, samples):
    for shard in range(2):
        tar(tmp_path / "s" / f"{shard}.tar", samples(range(3)))
    assert podium.data.open(tmp_path / "s").train.ids.tolist()[2:4] == ["0/a/0002", "1/a/0000"]


def test_images_of_many_sizes_stay_encoded_unless_a_size_is_given(tmp_path, cache, samples):
    tar(tmp_path / "x.tar", samples(range(3)) | samples(range(3, 6), size=9))
    found = podium.data.open(tmp_path / "x.tar")
    assert isinstance(found.train.pixels, EncodedPixels)
    assert found.train.size == (224, 224)
    assert podium.data.open(tmp_path / "x.tar", image_size=12).train.resident.shape == (6, 12, 12, 3)


def test_headers_are_read_once(tmp_path, cache, samples, monkeypatch):
    path = written(tmp_path / "food", samples)
    labels = podium.data.open(path).train.labels
    monkeypatch.setattr(shard_others, "scan", None)
    assert np.array_equal(podium.data.open(path).train.labels, labels)
    for kept in cache.root.glob("indexes/*"):
        kept.write_text("{")
    monkeypatch.undo()
    monkeypatch.setenv("PODIUM_CACHE", str(cache.root))
    assert np.array_equal(podium.data.open(path).train.labels, labels)


BAD = {
    "label without image": (lambda s, p: s(range(3)) | {"b.cls": b"1"}, r"'b\.cls' is a label, and there is no image"),
    "image without label": (lambda s, p: s(range(3)) | {"b.png": p(9)}, r"x\.tar: b\.png: nothing says the label"),
    "two images": (lambda s, p: s(range(3)) | {"a/0001.jpg": p(9)}, r"'a/0001\.png' and 'a/0001\.jpg' are two images"),
    "two labels": (lambda s, p: [*s(range(3)).items(), ("a/0001.cls", b"2")], r"'a/0001\.cls' is there twice"),
    "image twice": (lambda s, p: [*s(range(3)).items(), ("a/0001.png", p(5))], r"are two images of one name"),
    "climbs": (lambda s, p: s(range(3)) | {"../b.png": p(9)}, "points out of the archive"),
    "absolute": (lambda s, p: s(range(3)) | {"/b.png": p(9)}, "points out of the archive"),
    "empty image": (lambda s, p: s(range(3)) | {"b.png": b"", "b.cls": b"1"}, r"'b\.png' has 0 bytes"),
    "no image": (lambda s, p: s(range(3)) | {"b.png": b"GIF89a junk", "b.cls": b"1"}, r"x\.tar: b\.png"),
    "empty label": (lambda s, p: s(range(3)) | {"b.png": p(9), "b.cls": b" "}, r"'b\.cls' says no label"),
    "binary label": (lambda s, p: s(range(3)) | {"b.png": p(9), "b.cls": b"\xff\xfe"}, r"'b\.cls' isn't UTF-8"),
    "long label": (lambda s, p: s(range(3)) | {"b.png": p(9), "b.cls": b"1" * 70_000}, r"'b\.cls' is no label"),
    "json": (lambda s, p: s(range(3)) | {"b.png": p(9), "b.json": b"{" * 9}, r"'b\.json' isn't UTF-8, or no JSON"),
    "deep json": (lambda s, p: s(range(3)) | {"b.png": p(9), "b.json": b"[" * 60_000}, r"'b\.json' isn't UTF-8, or"),
    "other size": (lambda s, p: [*s(range(3)).items(), *list(s(range(3, 4), size=9).items()), *s(range(4, 9)).items()],
                   r"x\.tar: a/0003\.png is 9x9 pixels"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_members_are_named(tmp_path, cache, samples, png, kind):
    members, message = BAD[kind]
    tar(tmp_path / "x.tar", members(samples, png))
    with pytest.raises(DataError, match=message):
        _ = shard_dataset(tmp_path / "x.tar").train.pixels[:]


def shard_dataset(path):
    return shard_others.ScannedShards(path, {"train": [shard_others.Shard(path.name, path)]}, None, None)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_are_refused(tmp_path, cache, samples, kind):
    info = tarfile.TarInfo("b.png")
    info.type, info.linkname = kind, "/etc/passwd"
    tar(tmp_path / "x.tar", [*samples(range(3)).items(), (info, b"")])
    with pytest.raises(ArchiveError, match=r"x\.tar: member 'b\.png' is a link or a special file"):
        _ = shard_dataset(tmp_path / "x.tar").train


def test_a_pickle_is_never_looked_at(tmp_path, cache, samples):
    evil = b"cos\nsystem\n(S'touch /tmp/podium-was-here'\ntR."
    tar(tmp_path / "x.tar", samples(range(3)) | {f"a/000{n}.{s}": evil for n in range(3) for s in ("pyd", "pickle")})
    assert len(podium.data.open(tmp_path / "x.tar").train) == 3


def test_cut_short_or_no_tar(tmp_path, cache, samples):
    path = tar(tmp_path / "x.tar", samples(range(80)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match=r"x\.tar: damaged or not complete"):
        _ = shard_dataset(path).train
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(ArchiveError, match=r"x\.tar: damaged"):
        _ = shard_dataset(path).train
    with pytest.raises(DataError, match=r"x\.tar"):
        _ = podium.data.open(path).train


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_tars_fail_or_work(tmp_path_factory, cache, samples, data):
    path = tar(tmp_path_factory.getbasetemp() / "mutated.tar", samples(range(3)))
    whole = bytearray(path.read_bytes()[:6000])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    said = "mutated"
    try:
        _ = shard_dataset(path).train.pixels[:]
    except DataError as error:
        said = str(error)
    assert "mutated" in said


# ---- from a server


@pytest.fixture
def web(tmp_path, cache, samples, monkeypatch):
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.001)
    written(tmp_path / "food", samples)
    with serving(tmp_path / "food") as server:
        yield server


def test_a_range_of_shards_on_a_server(web, tmp_path):
    url = web.url + "/food-{000000..000002}.tar"
    found, local = podium.data.open(url), podium.data.open(tmp_path / "food")
    assert np.array_equal(found.train.pixels, local.train.pixels)
    assert np.array_equal(found.train.labels, local.train.labels)
    assert found.fingerprint == local.fingerprint
    assert found.reference == url
    assert len(web.gets("food-000001.tar")) == 1
    assert len(podium.data.open(web.url + "/food-000001.tar").train) == 4
    with pytest.raises(ArchiveError, match=r"food-000003\.tar: the server says 404"):
        podium.data.open(web.url + "/food-{000000..000003}.tar")


def test_a_shard_that_changes_is_fetched_again(web, tmp_path, samples):
    url = web.url + "/food-000000.tar"
    first = podium.data.open(url).train.labels
    tar(tmp_path / "food" / "food-000000.tar", samples(range(1, 5)))
    assert podium.data.open(url).train.labels.tolist() != first.tolist()


def test_ranges():
    assert expanded("x") == ["x"]
    assert expanded("http://h/a-{008..011}.tar?k") == [f"http://h/a-{n:03}.tar?k" for n in range(8, 12)]
    for bad in ("{0..999999999}", "{5..4}", "{0..1}-{0..1}"):
        with pytest.raises(DataError):
            expanded(f"http://h/{bad}.tar")
