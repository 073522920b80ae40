"""The releases' pickles are read; whatever else a pickle may say is refused, and nothing of it is ever run."""

import datetime
import io
import os
import pickle
import pickletools
import struct
import time
import tracemalloc
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import Array, cifar100_python, python2_pickle

from podium.data import pickles
from podium.data.pickles import read_pickle
from podium.errors import DataError

WHOLE = cifar100_python()["train"]
HEAD = b"\x80\x02"


def read(data, num_bytes=None):
    return read_pickle(io.BytesIO(data), len(data) if num_bytes is None else num_bytes, "train")


def refused(data, *says):
    with pytest.raises(DataError) as caught:
        read(data)
    message = str(caught.value)
    assert message.startswith("train: ")
    assert message.count("\n") == 1
    for part in says:
        assert part in message, message
    return message


@pytest.mark.parametrize("is_fortran", [False, True])
def test_a_release_reads_as_pickle_would_read_it(is_fortran):
    data = cifar100_python(is_fortran=is_fortran)["train"]
    found, expected = read(data), pickle.loads(data, encoding="bytes")
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found[b"data"], expected[b"data"])
    for key in expected.keys() - {b"data"}:
        assert found[key] == expected[key]
    assert found[b"data"].dtype == np.uint8
    assert not found[b"data"].flags.writeable


def test_it_does_not_know_pickle():
    assert "import pickle\n" not in Path(pickles.__file__).read_text()


def test_large_arrays_and_numbers():
    big = bytes(range(256)) * 8192  # 2 MiB: read in pieces
    value = {b"a": [0, 255, 256, 65535, 65536, 2**31 - 1, -(2**31)], b"b": Array(np.frombuffer(big, np.uint8))}
    found = read(python2_pickle(value))
    assert found[b"a"] == value[b"a"]
    assert found[b"b"].tobytes() == big


class Calls:
    """Pickles to a call of what it was given."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("call", "argument"), [(os.system, "touch {}"), (eval, "open('{}', 'w')"), (exec, "open('{}', 'w')")]
)
def test_a_hostile_pickle_executes_nothing(call, argument, protocol, tmp_path):
    there = tmp_path / "executed"
    data = pickle.dumps({b"data": Calls(call, argument.format(there))}, protocol)
    refused(data)
    assert not there.exists()
    pickle.loads(data).clear()  # the attack is real
    assert there.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("os", "system"),
        ("__builtin__", "eval"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy", "ndarray.__reduce__"),
        ("numpy.core", "multiarray._reconstruct"),  # a name of another module
    ],
)
def test_names_are_refused_by_name(module, name):
    data = HEAD + f"}}(U\x01dc{module}\n{name}\n(U\x02lstRu.".encode()
    refused(data, f"names '{module}.{name}'", "nothing in it was executed")


def test_the_known_names_make_nothing_but_arrays_of_bytes():
    dtype, array, rebuild = b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\n_reconstruct\n"
    for made in (
        dtype + b"(U\x01OK\x00K\x01tR",  # objects
        dtype + b"(U\x02f8K\x00K\x01tR",
        array + b"(K\x01\x85tR",  # an array, made directly
        array + b"K\x01\x85R",
        rebuild + b"(" + dtype + b"K\x00\x85U\x01btR",
        rebuild + b"(" + array + b"K\x09\x85U\x01btR",
        rebuild + b"(" + array + b"tR",
        b"K\x01K\x01\x85R",
        b"]K\x01\x85R",
    ):
        refused(HEAD + b"}U\x01d" + made + b"s.", "calls")


def array_pickle(shape=b"K\x02K\x03\x86", content=b"U\x06abcdef", order=b"\x89", version=b"K\x01", kind=None):
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    kind = (
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        if kind is None
        else kind
    )
    return HEAD + b"}U\x01d" + made + b"(" + version + shape + kind + order + content + b"tbs."


def test_arrays_whose_parts_do_not_agree():
    assert read(array_pickle())[b"d"].tolist() == [list(b"abc"), list(b"def")]
    assert read(array_pickle(order=b"\x88"))[b"d"].tolist() == [list(b"ace"), list(b"bdf")]
    big = struct.pack("<i", 2**31 - 1)
    for parts in (
        {"shape": b"K\x02K\x04\x86"},
        {"shape": b"J" + big + b"J" + big + b"\x86"},
        {"shape": b"J\xff\xff\xff\xffJ\xfa\xff\xff\xff\x86"},  # -1 by -6
        {"shape": b"]"},
        {"shape": b"(K\x06K\x01K\x01K\x01K\x01t"},
        {"shape": b"\x88K\x06\x86"},
        {"content": b"K\x06"},
        {"content": b"N"},
        {"order": b"K\x01"},
        {"version": b"K\x02"},
        {"kind": b"N"},
        {"kind": b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"},  # not told what it is
    ):
        refused(array_pickle(**parts), "shape and content")
    twice = array_pickle()[:-2] + b"(K\x01K\x06\x85NNNtbs."
    refused(twice, "builds")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "asks for 2 bytes where 0 are left"),
        (b"\x80\x03}.", "protocol 2"),
        (b"(dp0\n.", "protocol 2"),
        (HEAD, "asks for 1 bytes"),
        (HEAD + b".", "one dict"),
        (HEAD + b"].", "one dict"),
        (HEAD + b"(.", "one dict"),
        (HEAD + b"}}.", "one dict"),
        (HEAD + b"}.}", "1 bytes after its end"),
        (HEAD + b"}(K\x01K\x02u.", "no byte strings"),
        (HEAD + b"}(U\x01au.", "no byte strings"),
        (HEAD + b"}(]K\x01u.", "no byte strings"),
        (HEAD + b"]K\x01K\x02s.", "no dict"),
        (HEAD + b"}K\x01a.", "no list"),
        (HEAD + b"}(K\x01e.", "no list"),
        (HEAD + b"}e.", "without a mark"),
        (HEAD + b"a.", "empty stack"),
        (HEAD + b"(a.", "empty stack"),
        (HEAD + b"K\x01\x86.", "empty stack"),
        (HEAD + b"q\x01.", "remembers"),
        (HEAD + b"(q\x01.", "remembers"),
        (HEAD + b"h\x01.", "recalls"),
        (HEAD + b"}b.", "builds"),
        (HEAD + b"}}b.", "builds"),
        (HEAD + b"R.", "empty stack"),
        (HEAD + b"cnumpy", "at great length"),
        (HEAD + b"c" + b"x" * 1000 + b"\n", "at great length"),
        (HEAD + b"c\xff\xfe\n\x1b[31m\n.", r"names '\xff\xfe.\x1b[31m'"),
        (HEAD + b"}U\x01kNs.", "something other than numbers"),
        (HEAD + b"}U\x01k(tds.", "instruction DICT"),
        (HEAD + b"}U\x01k}s.", "something other than numbers"),
        (HEAD + b"}U\x01k]]as.", "something other than numbers"),
        (HEAD + b"}U\x01k\x88s.", "something other than numbers"),
        (HEAD + b"}U\x01kcnumpy\ndtype\ns.", "something other than numbers"),
        (HEAD + b"}U\x01kcnumpy\ndtype\n(U\x02u1K\x00K\x01tRs.", "something other than numbers"),
        (HEAD + b"U\x05abc", "asks for 5 bytes where 3 are left"),
        (HEAD + b"T\xff\xff\xff\xffabc", "asks for -1 bytes"),
        (HEAD + b"T\xff\xff\xff\x7fabc", "asks for 2,147,483,647 bytes where 3 are left"),
    ],
)
def test_what_does_not_hold_together(data, says):
    refused(data, says)


def test_every_other_instruction_is_refused_by_name():
    known = {code for code in map(bytes, zip(range(256))) if code in pickles._OPCODES or code in (b".",)}
    names = {opcode.code.encode("latin-1"): opcode.name for opcode in pickletools.opcodes}
    for number in range(256):
        code = bytes([number])
        if code not in known:
            refused(HEAD + b"}" + code + b"....", f"has the instruction {names.get(code, f'0x{number:02x}')}")
    assert {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL", "EXT1", "PERSID", "BINPERSID"}.isdisjoint(
        names[code] for code in known
    )


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 1), OrderedDict(a=1), {1, 2}, 1.5, "é", 2**70, print])
def test_other_pythons_objects(value):
    for protocol in range(6):
        refused(pickle.dumps({b"data": value}, protocol))


def test_memory_is_bounded_whatever_a_file_says():
    cases = [
        HEAD + b"T" + struct.pack("<i", 2**31 - 1) + b"x" * 100,
        HEAD + b"}" * 2_000_000,
        HEAD + b"(" * 2_000_000,
        HEAD + b"]q\x00" + b"h\x00a" * 700_000 + b".",
        HEAD + b"N" + b"\x85" * 2_000_000,
        HEAD + b"".join(b"Nr" + struct.pack("<I", i * 8191) for i in range(400_000)),
        HEAD + b"]" * 600_000,
        HEAD + b"}U\x01k]q\x00(" + b"h\x00" * 240_000 + b"es.",  # a list that has itself 240,000 times
        HEAD + b"}U\x01k" + b"]" * 200_000 + b"a" * 199_999 + b"s.",
        HEAD + b"}U\x01kN" + b"\x85" * 400_000 + b"s.",
    ]
    for data in cases:
        tracemalloc.start()
        began = time.perf_counter()
        with pytest.raises(DataError):
            read(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000_000
        assert time.perf_counter() - began < 60


def test_a_file_that_is_shorter_than_it_says():
    tracemalloc.start()
    with pytest.raises(DataError, match="ends before its end"):
        read(HEAD + b"T" + struct.pack("<i", 200_000_000) + b"x" * 3_000_000, num_bytes=250_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def is_plain(value):
    if type(value) is list:
        return all(type(item) in (int, bytes) for item in value)
    return type(value) in (int, bytes) or (isinstance(value, np.ndarray) and value.dtype == np.uint8)


def test_thousands_of_damaged_files_give_plain_values_or_an_error():
    """One to eight bytes changed, cut, doubled or put in, mostly where the instructions are; nothing hangs."""
    rng = np.random.default_rng(0)
    start = WHOLE.index(b"_reconstruct")
    code = [*range(200), *range(start - 60, start + 200), *range(len(WHOLE) - 700, len(WHOLE))]
    num_refused, began = 0, time.perf_counter()
    tracemalloc.start()
    for _ in range(4000):
        data = bytearray(WHOLE)
        for _ in range(rng.integers(1, 9)):
            place = int(rng.choice(code) if rng.random() < 0.9 else rng.integers(len(WHOLE)))
            place = min(place, len(data) - 1)
            kind = rng.integers(4)
            if kind == 0:
                data[place] = int(rng.integers(256))
            elif kind == 1:
                del data[place : place + int(rng.integers(1, 40))]
            elif kind == 2:
                data[place:place] = data[place : place + int(rng.integers(1, 40))]
            else:
                data[place] = int(rng.choice(list(b"".join(pickles._OPCODES))))
        try:
            assert all(map(is_plain, read(bytes(data)).values()))
        except DataError as error:
            num_refused += 1
            assert str(error).count("\n") == 1  # noqa: PT017
            assert str(error).isprintable() or str(error).replace("\n", "").isprintable()  # noqa: PT017
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_refused > 3000
    assert peak < 20_000_000
    assert time.perf_counter() - began < 300


TOKENS = [*pickles._OPCODES, b".", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n"]


@settings(max_examples=1000, deadline=None)
@given(
    tokens=st.lists(st.sampled_from([*TOKENS, b"K\x01", b"U\x01b", b"U\x02u1", b"K\x00\x85", b"\x00", b"q\x01h\x01"]))
)
def test_any_program_of_known_instructions(tokens):
    with suppress(DataError):
        assert all(map(is_plain, read(HEAD + b"}" + b"".join(tokens) + b".").values()))
