import io
import json

import numpy as np
import pytest
from PIL import Image

import podium.data
from podium.data import contact_sheet, summarize
from podium.errors import StorageError


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
