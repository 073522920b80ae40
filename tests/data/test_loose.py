import numpy as np
import pytest

import podium.data
from podium.data import memory, summarize
from podium.data.encoded import EncodedPixels
from podium.data.fit import centred
from podium.errors import ArchiveError, DataError


@pytest.fixture
def tree(tmp_path, png):
    """Twelve images to train on, three to measure on, two to be predicted; and a file that is none."""
    names = [f"train/{'abc'[i % 3]}/{i}.png" for i in range(12)] + [f"val/{c}/1.png" for c in "abc"]
    files = {name: png(i, 20) for i, name in enumerate([*names, "test/10.png", "test/9.png"])}
    files["train/a/notes.txt"] = b"none"
    for name, data in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    return tmp_path / "tree"


def open_with(monkeypatch, num_bytes, path, **options):
    monkeypatch.setattr(memory, "memory_bytes", lambda: num_bytes)
    return podium.data.open(path, image_size=16, **options)


PIXELS = 17 * 16 * 16 * 3


def test_images_that_would_take_half_of_the_memory_stay_encoded(tree, cache, monkeypatch):
    assert isinstance(open_with(monkeypatch, 2 * PIXELS, tree).train.pixels, np.ndarray)
    found = open_with(monkeypatch, 2 * PIXELS - 1, tree)
    assert isinstance(found.train.pixels, EncodedPixels)
    assert isinstance(found.evaluation.pixels, EncodedPixels)
    assert isinstance(found.test.pixels, EncodedPixels)
    assert isinstance(open_with(monkeypatch, None, tree).train.pixels, np.ndarray)


def test_they_are_the_same_images_otherwise(tree, cache, monkeypatch):
    resident = open_with(monkeypatch, 10**9, tree)
    assert isinstance(resident.train.pixels, np.ndarray)
    loose = open_with(monkeypatch, 1000, tree)
    for part in ("train", "evaluation", "test"):
        one, other = getattr(resident, part), getattr(loose, part)
        assert one.ids.tolist() == other.ids.tolist()
        assert one.classes == other.classes
        assert (one.labels is None) == (other.labels is None)
        assert one.labels is None or one.labels.tolist() == other.labels.tolist()
    assert loose.test.ids.tolist() == ["9.png", "10.png"]
    row = loose.train.ids.tolist().index("b/10.png")
    file = tree / "train" / "b" / "10.png"
    assert np.array_equal(loose.train.pixels[row], centred(file.read_bytes(), "", (16, 16)))
    assert loose.faults() == resident.faults()
    assert loose.evaluation_name == "validation set"
    assert len(cache.packs()) == 3  # the resident one's


def test_parts_below_another_folder(tree, cache, monkeypatch):
    loose = open_with(monkeypatch, 1000, tree.parent)
    assert loose.train.ids.tolist() == open_with(monkeypatch, 1000, tree).train.ids.tolist()
    assert isinstance(loose.evaluation.pixels, EncodedPixels)
    assert loose.train.pixels.files.path(0) == str(tree / "train" / "a" / "0.png")


def test_the_fingerprint_is_of_names_sizes_and_labels(tree, cache, monkeypatch):
    before = open_with(monkeypatch, 1000, tree).fingerprint
    assert open_with(monkeypatch, 1000, tree).fingerprint == before
    (tree / "train" / "a" / "0.png").rename(tree / "train" / "b" / "0.png")
    moved = open_with(monkeypatch, 1000, tree).fingerprint
    (tree / "train" / "b" / "0.png").write_bytes(b"shorter")
    assert len({before, moved, open_with(monkeypatch, 1000, tree).fingerprint}) == 3


def test_stream_and_summary(tree, cache, monkeypatch):
    loose = open_with(monkeypatch, 1000, tree)
    stream = loose.stream_test(1)
    assert [pixels.shape for _, pixels in stream.batches] == [(1, 16, 16, 3)] * 2
    summary = summarize(loose)
    assert (summary.num_duplicates, summary.num_test) == (None, 2)
    assert any("Equal images were not looked for" in fault for fault in summary.faults)


def test_archives_and_images_of_one_size_are_pixels(tree, cache, monkeypatch, png, write_archive):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 1000)
    assert isinstance(podium.data.open(tree).train.pixels, np.ndarray)
    archive = write_archive(tree.parent / "some.zip", {f"{c}/{i}.png": png(i) for c in "ab" for i in range(3)})
    assert isinstance(podium.data.open(archive, image_size=16).train.pixels, np.ndarray)


def test_bad_trees(tree, cache, monkeypatch, png):
    (tree / "train" / "loose.png").write_bytes(png(1))
    with pytest.raises(DataError, match="some images lie in no folder"):
        _ = open_with(monkeypatch, 1000, tree).train
    (tree / "train" / "loose.png").unlink()
    dataset = open_with(monkeypatch, 1000, tree)
    assert len(dataset.train) == 12
    (tree / "train" / "a" / "0.png").unlink()
    with pytest.raises(ArchiveError, match=r"0\.png can't be read"):
        _ = dataset.train.pixels[0]
