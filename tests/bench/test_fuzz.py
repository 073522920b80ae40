"""The fuzzing in small: seeds are read well, a few inputs of each reader are, or are refused, and faults are found."""

import json
import os
import random
import zlib
from pathlib import Path

import fuzz
import pytest
from fuzzing.guard import Guard
from fuzzing.mutate import mended_7z, mended_png, mended_tar, mutated
from fuzzing.reader import Reader
from fuzzing.trial import Tally, Trier
from fuzzing.workers import Job, run_jobs
from hypothesis import given
from hypothesis import strategies as st

from podium.errors import DataError

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_input(seeds, seed):
    for repair in (None, mended_png, mended_7z, mended_tar):
        one, other = (mutated(seeds, random.Random(seed), repair) for _ in range(2))
        assert one == other


def test_mended_files_are_read_again():
    from fuzzing.archives import sevenzips, tars
    from fuzzing.material import picture

    for data, repair, place in (
        (picture(1), mended_png, 29),
        (sevenzips(1)[0], mended_7z, 8),
        (tars(1)[0], mended_tar, 148),
    ):
        damaged = bytearray(data)
        damaged[place] ^= 1
        repair(damaged)
        assert bytes(damaged) == data or zlib.crc32(damaged) != zlib.crc32(data)
        assert damaged[place : place + 4] == data[place : place + 4]


def test_the_first_seed_of_each_reader_is_read_well(tmp_path, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "c"))
    for number, reader in enumerate(fuzz.READERS[1:]):
        guard = Guard(tmp_path / str(number))
        monkeypatch.chdir(guard.work)
        Trier(reader, [], 0, guard)
        reader.read(guard.work, reader.seeds()[0])
        assert not guard.complaints()
    os.chdir(tmp_path)


def test_a_few_inputs_of_each_reader_find_nothing(monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE", os.environ["PODIUM_CACHE"])
    found = fuzz.fuzz(fuzz.READERS[1:], 300, 7, 2)
    assert found["inputs"] >= 300
    assert not any(found["findings"].values())
    assert found["read_well"] > 20
    assert found["refused"] > 100
    assert json.loads(json.dumps(found)) == found


def hang(_):
    while True:
        pass


FAULTS = {
    "exception": lambda work: 1 // 0,
    "message": lambda work: (_ for _ in ()).throw(DataError("a\nb\nc")),
    "outside": lambda work: (work.parent / "evil").write_text("x"),
    "litter": lambda work: (work / ".x.part").write_text("x"),
    "memory": lambda work: len(bytes(64 << 20) + b"x" * (64 << 20)),
    "crash": lambda work: os.abort(),
    "hang": hang,
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_fault_is_found_and_the_other_inputs_are_tried(kind, monkeypatch):
    monkeypatch.setattr("fuzzing.workers.CPU_SECONDS", 3.0)
    monkeypatch.setattr("fuzzing.trial.BOUND_BYTES", 32 << 20)

    class Numbered(Reader):
        def input(self, seeds, seed, number):
            return b"%d" % number

    reader = Numbered("faulty", 1, list, lambda work, data: FAULTS[kind](work) if data == b"2" else None)
    whole = Tally("faulty")
    run_jobs([Job(0, range(5))], [reader], [[]], 0, 1, whole.add)
    assert whole.num_inputs == 5
    assert {(finding.kind, finding.number) for finding in whole.findings} == {(kind, 2)}
