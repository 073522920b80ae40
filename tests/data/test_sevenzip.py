"""LZMA2 blocks cut into stretches: the same members, the same errors."""

import itertools
import lzma
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.data import blocks
from podium.data.blocks import Block, split
from podium.data.formats import open_archive
from podium.data.sevenzip import SevenZipArchive
from podium.errors import ArchiveError

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}]
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch):
    monkeypatch.setattr(blocks, "STRETCH_BYTES", 10)


def packed(contents: list[bytes]) -> bytes:
    """One LZMA2 stream of `contents` end to end, the dictionary emptied before each."""
    return b"".join(lzma.compress(piece, lzma.FORMAT_RAW, filters=FILTERS)[:-1] for piece in contents) + b"\0"


def block_of(members: list[bytes], cuts: list[int], path: Path) -> Block:
    """`members` as a block in a file of its own, after 7 other bytes; the dictionary is emptied at each of `cuts`."""
    whole = b"".join(members)
    bounds = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    stream = packed([whole[a:b] for a, b in itertools.pairwise(bounds)])
    path.write_bytes(b"before!" + stream + b"after")
    listed = [(str(i), len(data), zlib.crc32(data)) for i, data in enumerate(members)]
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
    return Block(7, len(stream), len(whole), filters, listed)


def read(some: list[Block], path: Path) -> list[tuple[str, bytes]]:
    archive = SevenZipArchive.__new__(SevenZipArchive)
    archive.path, archive.label = path, "train.7z"
    found: list[tuple[str, bytes]] = []
    for block in some:
        archive._read_block(block, lambda *member: found.append(member))
    return found


def some_bytes(seed: int, size: int) -> bytes:
    """Half noise, which LZMA2 stores, half zeros, which it compresses."""
    data = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    data[size // 2 :] = 0
    return data.tobytes()


SIZES = st.lists(st.one_of(st.integers(0, 60), st.integers(0, 200_000)), min_size=1, max_size=8)
CUTS = st.lists(st.integers(0, 500_000), max_size=6)


@MANY
@given(sizes=SIZES, cuts=CUTS)
def test_stretches_give_each_member_once_in_order(sizes, cuts, tmp_path):
    members = [some_bytes(i, size) for i, size in enumerate(sizes)]
    path = tmp_path / "block"
    block = block_of(members, cuts, path)
    assert read(split(path, block), path) == [(str(i), data) for i, data in enumerate(members)]


def test_a_block_is_cut_where_the_dictionary_is_empty(tmp_path):
    members = [some_bytes(i, 100) for i in range(9)]
    parts = split(tmp_path / "b", block_of(members, [250, 300, 305, 640, 890], tmp_path / "b"))
    # 300 begins no stretch, since no member begins after 250 and before it; nor does 890, after which none does
    assert [block.members[0][:2] for block in parts] == [("0", 100), (None, 50), (None, 95), (None, 60)]
    assert [len(block.members) for block in parts] == [3, 2, 4, 3]
    assert [block.unpacked_bytes for block in parts] == [300, 150, 395, 260]
    assert all(block.filters is not None and block.filters[0]["dict_size"] == 4096 for block in parts)


@MANY
@given(data=st.data())
def test_damage_is_found_whatever_the_stretches(data, tmp_path):
    members = [some_bytes(i, 1000) for i in range(9)]
    path = tmp_path / "block"
    block = block_of(members, [1500, 3000, 7001], path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[7 + data.draw(st.integers(0, block.packed_bytes - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[7 + data.draw(st.integers(0, block.packed_bytes - 1)) :]
    path.write_bytes(content)
    try:
        found = read(split(path, block), path)
    except ArchiveError as error:
        assert str(error).startswith("train.7z: damaged or not complete")  # noqa: PT017
    else:
        assert [data for _, data in found] == members


def test_sizes_that_do_not_add_up_are_read_in_one(tmp_path):
    path = tmp_path / "block"
    block = block_of([some_bytes(i, 100) for i in range(9)], [250, 500], path)
    assert len(split(path, block)) == 3
    block.unpacked_bytes += 1
    assert split(path, block) == [block]
    block.unpacked_bytes -= 1
    block.members.append(("9", 1, None))
    assert split(path, block) == [block]
    with pytest.raises(ArchiveError, match="ends within a member"):
        read(split(path, block), path)


@pytest.mark.parametrize("filters", [None, [{"id": lzma.FILTER_LZMA1, "dict_size": 4096, "lc": 3, "lp": 0, "pb": 2}]])
def test_other_coders_are_not_cut(filters, tmp_path):
    block = block_of([bytes(99)], [50], tmp_path / "block")
    block.filters = filters
    assert split(tmp_path / "block", block) == [block]


def test_what_7_zip_writes_is_cut(tmp_path):
    program = shutil.which("7z") or shutil.which("7zz") or shutil.which("7za")
    if program is None:
        pytest.skip("7-Zip isn't installed")
    (tmp_path / "train").mkdir()
    members = {f"train/{i}.png": some_bytes(i, 300_000) for i in range(12)}
    for name, data in members.items():
        (tmp_path / name).write_bytes(data)
    coder = "-m0=lzma2:d=64k:c=256k"
    subprocess.run([program, "a", coder, "train.7z", "train"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    archive = open_archive(tmp_path / "train.7z")
    assert isinstance(archive, SevenZipArchive)
    assert archive._blocks is not None
    assert len(archive._blocks) > 3
    assert dict(archive.members()) == members
