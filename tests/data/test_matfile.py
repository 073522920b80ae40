import io

import ilsvrc
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.data import matfile
from podium.data.matfile import MatError, read_structs

WANTED = ("ILSVRC2012_ID", "WNID", "words", "num_children")
PLAIN, PACKED = ilsvrc.meta_mat(compressed=False), ilsvrc.meta_mat()


@pytest.mark.parametrize("data", [PLAIN, PACKED])
def test_what_scipy_reads(data):
    other = scipy.io.loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
    found = read_structs(data, "synsets", WANTED)
    assert [tuple(row.values()) for row in found] == [tuple(row[name] for name in WANTED) for row in other]
    assert found[0] == {"ILSVRC2012_ID": 1, "WNID": "n02084071", "words": "words of n02084071, more", "num_children": 0}


def saved(**variables):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    return buffer.getvalue()


def structs(values):
    return np.array([(value,) for value in values], [("a", "O")])


def test_numbers_of_every_kind_and_strings():
    values = [*(np.dtype(kind).type(7) for kind in "bBhHiIqQfd"), 2.5, -3, "grün", ""]
    found = [row["a"] for row in read_structs(saved(first=1.0, s=structs(values)), "s", ("a",))]
    assert found == [7] * 10 + [2.5, -3, "grün", ""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no MATLAB 5 file"),
        (b"MATLAB 7.3 MAT-file" + bytes(105) + b"\0\2IM" + bytes(50), "another version"),
        (saved(other=1), "no synsets"),
        (saved(synsets=1), "is no struct"),
        (saved(synsets=structs([1])), "no field ILSVRC2012_ID"),
        (saved(synsets=np.array([([[1]], {"x": 1})], [("ILSVRC2012_ID", "O"), ("WNID", "O")])), "neither a number"),
    ],
)
def test_other_files(data, message):
    with pytest.raises(MatError, match=message):
        read_structs(data, "synsets", ("ILSVRC2012_ID", "WNID"))


def test_an_absurd_count_takes_no_memory():
    """SciPy makes room for as many elements as the file says."""
    place = PLAIN.index((5).to_bytes(4, "little") + (1).to_bytes(4, "little"))
    huge = PLAIN[:place] + (2**31 - 1).to_bytes(4, "little") * 2 + PLAIN[place + 8 :]
    with pytest.raises(MatError, match="it is cut short"):
        read_structs(huge, "synsets", WANTED)


def test_a_file_that_inflates_without_end(monkeypatch):
    monkeypatch.setattr(matfile, "MAX_BYTES", 1000)
    with pytest.raises(MatError, match="far too large"):
        read_structs(PACKED, "synsets", WANTED)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([PLAIN, PACKED]),
    st.lists(st.tuples(st.integers(120, len(PLAIN) - 1), st.integers(0, 255)), max_size=5),
    st.integers(0, len(PLAIN)),
)
def test_a_changed_file_is_an_error_or_a_reading(data, changes, length):
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    try:
        for row in read_structs(bytes(changed[:length]), "synsets", WANTED):
            assert all(isinstance(value, int | float | str) for value in row.values())
    except MatError:
        pass
