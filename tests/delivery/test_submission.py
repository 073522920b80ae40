from pathlib import Path

import numpy as np
import pytest

from podium.data import SampleSubmission
from podium.delivery import class_counts, write_submission
from podium.errors import DataError, StorageError
from podium.evaluation import Predictions


def predictions(ids=("1", "2", "10"), guesses=(0, 1, 1)):
    logits = np.zeros((len(ids), 2), np.float32)
    logits[np.arange(len(ids)), list(guesses)] = 1
    return Predictions(np.array(ids), ("cat", "a, dog"), logits)


def sample(ids, columns=("id", "label")):
    return SampleSubmission(Path("sampleSubmission.csv"), columns, np.array(ids))


def test_rows_stand_in_the_forms_order_under_its_columns(tmp_path):
    path = tmp_path / "s.csv"
    write_submission(predictions(), sample(["10", "1", "2"], ("Id", "Class")), path)
    assert path.read_bytes() == b'Id,Class\n10,"a, dog"\n1,cat\n2,"a, dog"\n'


def test_without_a_form_the_order_is_that_of_the_images(tmp_path):
    write_submission(predictions(), None, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().splitlines() == ["id,label", "1,cat", '2,"a, dog"', '10,"a, dog"']


@pytest.mark.parametrize(
    ("there", "wanted", "word"),
    [
        (["1", "2"], ["1", "2", "3"], "asks for id '3'"),
        (["1", "2", "3"], ["1", "2"], "'3' has no row"),
        (["1", "1"], ["1"], "twice"),
        (["1", "2"], ["1", "2", "2"], "twice"),
        (["1", "2"], ["1", "7"], "asks for id '7'"),
    ],
)
def test_each_id_once_or_nothing_is_written(tmp_path, there, wanted, word):
    with pytest.raises(DataError, match=word):
        write_submission(predictions(there, [0] * len(there)), sample(wanted), tmp_path / "s.csv")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_said(tmp_path):
    with pytest.raises(StorageError, match="can't be written"):
        write_submission(predictions(), None, tmp_path / "no" / "s.csv")


def test_counts():
    assert class_counts(predictions()) == {"cat": 1, "a, dog": 2}
