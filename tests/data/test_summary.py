import io
import json

import numpy as np
import pytest
from PIL import Image

import podium.data
from podium.data import contact_sheet, summarize
from podium.errors import DataError, StorageError


def test_summary(competition, png, cache):
    train = {f"{i}.png": png(i) for i in range(1, 13)}
    train["4.png"] = train["1.png"]  # both of class dog
    train["6.png"] = train["2.png"] = png(101)  # cat, frog; and the test set's first
    dataset = podium.data.open(competition(train=train))
    summary = summarize(dataset)
    assert summary.class_counts == {"cat": 4, "dog": 4, "frog": 4}
    assert (summary.num_train, summary.num_test) == (12, 5)
    assert (summary.height, summary.width) == (8, 8)
    assert summary.num_duplicates == 2
    assert summary.contradictions == [["2", "6"]]
    assert summary.num_shared == 1
    assert summary.bytes == 17 * 8 * 8 * 3
    assert summary.fingerprint == dataset.fingerprint
    assert json.loads(json.dumps(summary.to_dict()))["kind"] == "kaggle"


def test_summary_without_the_test_set(competition, cache):
    folder = competition()
    (folder / "test.7z").write_bytes(b"")
    summary = summarize(podium.data.open(folder), include_test=False)
    assert summary.num_test is None
    assert summary.num_shared is None


def faults_of(folder, **options):
    return summarize(podium.data.open(folder), **options).faults


@pytest.fixture
def flawless(competition, png):
    """Makes a competition of ten images a class, in which a part may be replaced."""

    def make(**parts):
        train = {f"{i}.png": png(i) for i in range(1, 31)}
        labels = "id,label\n" + "".join(f"{i},{('cat', 'dog', 'frog')[i % 3]}\n" for i in range(1, 31))
        return competition(**{"labels": labels, **parts, "train": train | parts.get("train", {})})

    return make


def test_no_faults(flawless, cache):
    assert faults_of(flawless()) == []


def test_faults_of_the_labelled_images(flawless, png, cache):
    train = {"4.png": png(1), "2.png": png(101), "6.png": png(101)}
    assert faults_of(flawless(train=train)) == [
        "2 labelled images have the pixels of an earlier one.",
        "1 group of equal images bears different labels: 2, 6.",
        "1 test image has the pixels of a labelled one.",
    ]


def test_long_lists_are_cut(flawless, png, cache):
    train = {f"{i}.png": png(i % 6) for i in range(1, 13)} | {f"{i}.png": png(1) for i in range(13, 20)}
    labels = "id,label\n" + "".join(f"{i},{i % 7 if i > 6 else 'x'}\n" for i in range(1, 31))
    faults = faults_of(flawless(train=train, labels=labels))
    assert faults[0] == "8 classes have fewer than 10 images: 0 (4), 1 (4), 2 (4), 3 (3), 4 (3) and 3 more."
    assert faults[2].startswith("6 groups of equal images bear different labels")
    assert faults[2].endswith("and 1 more.")
    assert "labels: 1, 7, 13, 14, 15, …; 2, 8; " in faults[2]


def test_one_class(flawless, cache):
    (fault,) = faults_of(flawless(labels="id,label\n" + "".join(f"{i},cat\n" for i in range(1, 31))))
    assert fault.startswith("All labelled images are of one class, cat")


def test_classes_with_few_images(flawless, cache):
    labels = "id,label\n" + "".join(f"{i},{'newt' if i == 7 else 'dog'}\n" for i in range(1, 31))
    assert faults_of(flawless(labels=labels, sample=None)) == ["1 class has fewer than 10 images: newt (1)."]


def test_training_archive_alone(flawless, cache):
    folder = flawless()
    (folder / "test.7z").unlink()
    summary = summarize(podium.data.open(folder))
    assert (summary.num_train, summary.num_test, summary.num_shared) == (30, None, None)
    (fault,) = summary.faults
    assert "sampleSubmission.csv is there, but test.7z" in fault
    assert faults_of(folder, include_test=False) == []


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ("id,label\n1,cat\n2,horse\n3,cat\n4,cat\n5,cat\n", "sampleSubmission.csv, line 3: 'horse' is no class"),
        ("", "sampleSubmission.csv: is empty"),
        ("id,label\n1,cat\n", "image '2' has no row in sampleSubmission.csv"),
    ],
)
def test_faults_of_the_sample_submission(sample, says, flawless, cache):
    folder = flawless(sample=sample)
    (fault,) = faults_of(folder)
    assert says in fault
    assert "\n" not in fault


def test_faults_of_the_test_set(flawless, png, write_archive, cache):
    folder = flawless()
    write_archive(folder / "test.7z", {f"{i}.png": png(i, 16) for i in range(1, 6)})
    assert faults_of(folder) == ["The test images are 16x16 pixels, the labelled ones 8x8."]
    (folder / "test.7z").write_bytes(b"no archive")
    (fault,) = faults_of(folder)
    assert fault.startswith("test.7z: damaged")


def test_faults_of_the_training_part_are_raised(flawless, cache):
    folder = flawless()
    (folder / "train.7z").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"train\.7z"):
        faults_of(folder)


def test_progress(competition, cache, monkeypatch):
    monkeypatch.setattr("podium.data.progress.TICK_SECONDS", 0)
    calls = []
    summarize(podium.data.open(competition()), progress=lambda *call: calls.append(call))
    assert calls == [("comparing images", done, 17) for done in range(1, 18)]


def test_contact_sheet(competition, cache, tmp_path):
    dataset = podium.data.open(competition())
    path = tmp_path / "sheet.png"
    contact_sheet(dataset.train, path, per_class=2)
    sheet = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
    assert sheet.shape[0] == 4 + 3 * 52
    tile = np.asarray(Image.fromarray(dataset.train.pixels[0]).resize((48, 48), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(sheet[56:104, -104:-56], tile)  # image 1 is the first of class dog, the second row
    assert (sheet[:, :40] < 128).any()  # the names
    contact_sheet(dataset.test, path)
    assert Image.open(path).height == 56


def test_contact_sheet_that_cannot_be_written(competition, cache, tmp_path):
    with pytest.raises(StorageError):
        contact_sheet(podium.data.open(competition()).train, tmp_path / "nowhere" / "sheet.png")
