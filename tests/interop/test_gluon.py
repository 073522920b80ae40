"""The format alone: what MXNet 1.9.1 wrote, what podium writes, and files that are damaged or made to harm."""

import struct
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import StorageError, WeightsError
from podium.interop import read_params, write_params

HEAD = "12010000 00000000 00000000 00000000 01000000 00000000"
TAIL = "01000000 00000000 01000000 00000000 78"
ARRAY = "c9fa93f9 00000000 01000000 01000000 00000000 01000000 00000000"
WRITTEN_BY_MXNET = {  # mx.nd.save(…, {"x": mx.nd.ones((1,), dtype=…)})
    torch.float32: "00000000 0000803f",
    torch.float64: "01000000 00000000 0000f03f",
    torch.float16: "02000000 003c",
    torch.uint8: "03000000 01",
    torch.int32: "04000000 01000000",
    torch.int8: "05000000 01",
    torch.int64: "06000000 01000000 00000000",
    torch.bool: "07000000 01",
    torch.bfloat16: "0c000000 803f",
}
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def array(shape=(2,), *, magic=V2, storage=0, dtype=0, data=None, num_dims=None):
    """One array's bytes, right or wrong."""
    parts = [struct.pack("<I", magic)]
    if magic != V1:
        parts.append(struct.pack("<i", storage))
    parts.append(struct.pack(f"<i{len(shape)}q", len(shape) if num_dims is None else num_dims, *shape))
    parts.append(struct.pack("<iii", 1, 0, dtype))
    parts.append(struct.pack("<2f", 1, 2) if data is None else data)
    return b"".join(parts)


def file_of(*arrays, names=(b"x",), magic=0x112, num_arrays=None, num_names=None):
    """A whole file's bytes, right or wrong."""
    parts = [struct.pack("<3Q", magic, 0, len(arrays) if num_arrays is None else num_arrays), *arrays]
    parts.append(struct.pack("<Q", len(names) if num_names is None else num_names))
    parts += [struct.pack("<Q", len(name)) + name for name in names]
    return b"".join(parts)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("gluon") / "net.params"


def read(path, content):
    path.write_bytes(content)
    return read_params(path)


@pytest.mark.parametrize("dtype", WRITTEN_BY_MXNET, ids=str)
def test_what_mxnet_wrote_is_read_and_written_to_the_byte(path, dtype):
    content = bytes.fromhex(f"{HEAD} {ARRAY} {WRITTEN_BY_MXNET[dtype]} {TAIL}")
    arrays = read(path, content)
    assert list(arrays) == ["x"]
    assert arrays["x"].dtype == dtype
    assert arrays["x"].tolist() == [1]
    path.unlink()
    write_params(path, arrays)
    assert path.read_bytes() == content


@pytest.mark.parametrize("magic", [V1, V2, V3], ids=hex)
def test_every_version(path, magic):
    assert read(path, file_of(array((1, 2), magic=magic)))["x"].tolist() == [[1, 2]]


def test_numpys_scalar(path):
    scalar = read(path, file_of(array((), magic=V3, data=struct.pack("<f", 5))))["x"]
    assert scalar.shape == ()
    assert scalar.item() == 5


def test_exports_prefixes_are_taken_off(path):
    arrays = read(path, file_of(array(), array(), names=(b"arg:a_weight", b"aux:a_running_mean")))
    assert list(arrays) == ["a_weight", "a_running_mean"]


WRONG = {
    "nothing": (b"", ["no .params file"]),
    "text": (b"some text, longer than a header would be", ["no .params file"]),
    "another magic": (file_of(array(), magic=0x113), ["no .params file"]),
    "header only": (struct.pack("<QQ", 0x112, 0), ["byte 16", "number of arrays", "0 are left"]),
    "more arrays than bytes": (file_of(array(), num_arrays=2**60), ["byte 24", "arrays", "are left"]),
    "one array too few": (file_of(array(), num_arrays=2), ["array 1"]),
    "unknown version": (file_of(array(magic=0xF993FACB)), ["array 0", "0xf993facb", "byte 24"]),
    "row-sparse": (file_of(array(storage=1)), ["row-sparse", "only dense"]),
    "CSR-sparse": (file_of(array(storage=2)), ["CSR-sparse", "only dense"]),
    "unknown storage": (file_of(array(storage=-1)), ["(-1)"]),
    "unknown dtype": (file_of(array(dtype=99)), ["dtype (99)", "byte 52"]),
    "negative dtype": (file_of(array(dtype=-1)), ["dtype (-1)"]),
    "no dimensions": (file_of(array((), num_dims=0)), ["byte 32", "before it had a shape"]),
    "NumPy's unknown shape": (file_of(array((), magic=V3, num_dims=-1)), ["before it had a shape"]),
    "negative number of dimensions": (file_of(array(num_dims=-5)), ["-5 dimensions"]),
    "too many dimensions": (file_of(array((1,) * 33)), ["33 dimensions"]),
    "huge number of dimensions": (file_of(array(num_dims=2**31 - 1)), ["2147483647 dimensions"]),
    "negative dimension": (file_of(array((-2,))), ["-2"]),
    "two negative dimensions": (file_of(array((-2, -1))), ["-2×-1"]),
    "empty": (file_of(array((0, 3), data=b"")), ["0×3"]),
    "larger than the file": (file_of(array((1000,))), ["1000", "4000 bytes", "are left"]),
    "product beyond 64 bits": (file_of(array((2**62, 2**62, 2**62))), ["would take", "are left"]),
    "product that wraps to 0": (file_of(array((2**32, 2**32))), ["would take", "are left"]),
    "fewer names": (file_of(array(), array()), ["1 names for 2 arrays"]),
    "more names": (file_of(array(), names=(b"x", b"y")), ["2 names for 1 arrays"]),
    "no names": (file_of(array(), names=()), ["0 names for 1 arrays"]),
    "huge number of names": (file_of(array(), num_names=2**64 - 1), ["names that it announces"]),
    "huge name": (file_of(array())[:-9] + struct.pack("<Q", 2**63) + b"x", ["a name would take", "1 are left"]),
    "no UTF-8": (file_of(array(), names=(b"\xff",)), ["not UTF-8"]),
    "twice the same name": (file_of(array(), array(), names=(b"x", b"x")), ["'x' is there twice"]),
    "twice but for the prefix": (file_of(array(), array(), names=(b"arg:x", b"aux:x")), ["'x' is there twice"]),
    "bytes at the end": (file_of(array()) + b"more", ["4 bytes follow"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(path, case):
    content, expected = WRONG[case]
    with pytest.raises(WeightsError) as caught:
        read(path, content)
    message = str(caught.value)
    assert str(path) in message
    assert message.count("\n") <= 1
    assert all(word in message for word in expected), message


def test_no_file(tmp_path):
    with pytest.raises(WeightsError, match="missing"):
        read_params(tmp_path / "none.params")
    with pytest.raises(WeightsError, match="no file"):
        read_params(tmp_path)
    with pytest.raises(WeightsError, match="can't be read"):
        read_params(tmp_path / ("x" * 300))


SMALL = file_of(
    array((2, 1)), array((1, 2), magic=V3), array((3,), dtype=3, data=b"abc"), array((), magic=V3, data=b"\0" * 4),
    names=(b"0.weight", "größe".encode(), b"arg:y", b"z"),
)  # fmt: skip


def test_a_file_cut_anywhere_is_refused(path):
    assert len(read(path, SMALL)) == 4
    for length in range(len(SMALL)):
        with pytest.raises(WeightsError):
            read(path, SMALL[:length])


EXTREMES = [0, 1, 2, 31, 33, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
place = st.integers(0, len(SMALL) - 1)
mutation = st.one_of(
    st.tuples(place, place, st.binary(max_size=12)),  # these bytes instead of those
    st.tuples(place, st.just(8), st.sampled_from(EXTREMES).map(lambda number: struct.pack("<Q", number))),
    st.tuples(place, st.just(4), st.sampled_from(EXTREMES[:10]).map(lambda number: struct.pack("<I", number))),
)


@settings(max_examples=2000, deadline=None)
@given(mutations=st.lists(mutation, min_size=1, max_size=3))
def _read_mutated(path, mutations):
    content = SMALL
    for start, length, instead in mutations:
        content = content[:start] + instead + content[start + min(length, 12) :]
    path.write_bytes(content)
    tracemalloc.start()
    try:
        arrays = read_params(path)
    except WeightsError:
        pass
    else:
        assert sum(one.nbytes for one in arrays.values()) < len(content)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100_000


def test_mutated_files_are_read_or_refused_and_take_no_memory(path):
    _read_mutated(path)


names = st.text(max_size=12).filter(lambda name: not name.startswith(("arg:", "aux:")))
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(
    forms=st.dictionaries(names, st.tuples(shapes, st.sampled_from(list(WRITTEN_BY_MXNET))), max_size=5),
    seed=st.integers(0, 2**31),
)
def _round_trip(path, forms, seed):
    generator = torch.Generator().manual_seed(seed)
    arrays = {
        name: torch.randint(-100, 100, shape, generator=generator).to(dtype) for name, (shape, dtype) in forms.items()
    }
    write_params(path, arrays)
    again = read_params(path)
    assert list(again) == list(arrays)
    for name, one in arrays.items():
        assert again[name].dtype == one.dtype
        assert torch.equal(again[name], one)


def test_what_is_written_is_read(path):
    _round_trip(path)


def test_views_and_trained_parameters_are_written_as_they_look(path):
    whole = torch.arange(6.0).view(2, 3)
    write_params(path, {"t": whole.t(), "p": torch.nn.Parameter(whole[:, 1])})
    arrays = read_params(path)
    assert torch.equal(arrays["t"], whole.t())
    assert torch.equal(arrays["p"], whole[:, 1])


@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.ones(2, 0), torch.ones(1, dtype=torch.complex64)])
def test_what_mxnet_could_not_read_is_not_written(tmp_path, value):
    with pytest.raises(WeightsError, match="'x'"):
        write_params(tmp_path / "x.params", {"x": value})
    assert not list(tmp_path.iterdir())


def test_a_file_that_can_not_be_written_leaves_nothing(tmp_path):
    with pytest.raises(StorageError):
        write_params(tmp_path / "none" / "x.params", {"x": torch.ones(1)})
    assert not list(tmp_path.iterdir())
