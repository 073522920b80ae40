import stat
import tarfile
import threading
import time
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import py7zr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.data import archive as archive_module
from podium.data.archive import QUEUED_BATCHES, Archive
from podium.data.formats import open_archive
from podium.data.sevenzip import SevenZipArchive, _SinkFactory
from podium.errors import ArchiveError, ImageError

KINDS = (".7z", ".zip", ".tar", ".tar.gz", "")
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def members(png):
    return {f"train/{i}.png": png(i) for i in (1, 10, 2, 3)}


@pytest.fixture
def _writes_any_name(monkeypatch):
    monkeypatch.setattr(py7zr.py7zr, "check_archive_path", lambda name: True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_members(kind, tmp_path, write_archive, members):
    archive = open_archive(write_archive(tmp_path / f"train{kind}", members))
    assert sorted(archive.names) == sorted(members)
    assert dict(archive.members()) == members


@pytest.mark.parametrize("kind", KINDS)
def test_litter_and_directories_are_left_out(kind, tmp_path, write_archive, members):
    litter = {"train/.DS_Store": b"x", "__MACOSX/train/._1.png": b"x", "train/Thumbs.db": b"x", "train/._2.png": b"x"}
    archive = open_archive(write_archive(tmp_path / f"train{kind}", litter | members))
    assert dict(archive.members()) == members


def test_directories_in_a_7z_are_left_out(tmp_path, write_archive, members):
    folder = write_archive(tmp_path / "unpacked", members)
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w") as archive:
        archive.writeall(folder / "train", "train")
    assert dict(open_archive(tmp_path / "train.7z").members()) == members


@pytest.mark.parametrize("kind", KINDS)
def test_empty_member_is_given_as_it_is(kind, tmp_path, write_archive, members):
    members["train/4.png"] = b""
    assert dict(open_archive(write_archive(tmp_path / f"train{kind}", members)).members()) == members


@pytest.mark.parametrize(
    "name", ["../1.png", "train/../../1.png", "/etc/1.png", "C:/1.png", "..\\1.png", "train\\1.png"]
)
@pytest.mark.parametrize("kind", [".7z", ".zip", ".tar"])
@pytest.mark.usefixtures("_writes_any_name")
def test_names_that_climb_out(kind, name, tmp_path, write_archive, png):
    if kind == ".7z" and name == "train\\1.png":
        pytest.skip("py7zr writes it with a slash")
    path = write_archive(tmp_path / f"train{kind}", {"train/2.png": png(2), name: png(1)})
    with pytest.raises(ArchiveError, match="points out of the archive") as caught:
        open_archive(path)
    assert repr(name if kind != ".7z" else name.replace("\\", "/")) in str(caught.value)  # as py7zr writes it
    assert path.name in str(caught.value)


@given(
    name=st.lists(st.sampled_from(["..", ".", "", "a", "C:", "C:a", "b.png", "\\", "\0", "__MACOSX", "._a", "é"]))
    .map("/".join)
    .filter(lambda name: not name.endswith("/"))
)
def test_which_names_climb_out_and_which_are_litter(name):
    parts = name.split("/")
    climbs = not parts[0] or "\\" in name or "\0" in name or ".." in parts or parts[0][1:2] == ":"
    archive = _Endless(Path("x"), "x")
    if climbs:
        with pytest.raises(ArchiveError, match="points out"):
            archive._admit(name, 1)
    elif "__MACOSX" in parts or "._a" in parts:
        assert not archive._admit(name, 1)
    elif parts[-1] in (".", "C:a"):
        with suppress(ImageError):
            archive._admit(name, 1)
    else:
        assert archive._admit(name, 1)


def test_links_are_refused(tmp_path, png):
    (tmp_path / "1.png").write_bytes(png(1))
    (tmp_path / "2.png").symlink_to("1.png")
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w") as seven_zip:
        seven_zip.write(tmp_path / "1.png", "1.png")
        seven_zip.write(tmp_path / "2.png", "2.png")
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        tar.add(tmp_path / "2.png", "2.png")
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as zipped:
        info = zipfile.ZipInfo("2.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    for kind in (".7z", ".tar", ".zip"):
        with pytest.raises(ArchiveError, match=r"'2\.png' is a link"):
            open_archive(tmp_path / f"train{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_member_of_another_kind_is_named(kind, tmp_path, write_archive, members):
    path = write_archive(tmp_path / f"train{kind}", members | {"train/notes.txt": b"hello"})
    with pytest.raises(ImageError, match=r"train.*'train/notes\.txt' is no image|'.*notes\.txt' is no image"):
        open_archive(path)


@pytest.mark.parametrize("kind", KINDS)
def test_member_of_absurd_size_is_refused_before_it_is_read(kind, tmp_path, write_archive, png, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBER_BYTES", 10_000)
    path = write_archive(tmp_path / f"train{kind}", {"1.png": png(1), "2.png": bytes(10_001)})
    with pytest.raises(ArchiveError, match=r"'2\.png' says it is 10,001 bytes"):
        open_archive(path)


@pytest.mark.parametrize("kind", KINDS)
def test_litter_of_absurd_size_is_refused_too(kind, tmp_path, write_archive, png, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBER_BYTES", 10_000)
    path = write_archive(tmp_path / f"train{kind}", {"1.png": png(1), "Thumbs.db": bytes(10_001)})
    with pytest.raises(ArchiveError, match=r"'Thumbs\.db' says it is 10,001 bytes"):
        open_archive(path)


@pytest.mark.parametrize("coder", [{"id": py7zr.FILTER_LZMA2, "preset": 0}, {"id": py7zr.FILTER_COPY}])
def test_litter_is_not_kept_in_memory(coder, tmp_path, members):
    litter = bytes(1 << 25)
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w", filters=[coder]) as archive:
        for name, data in {"Thumbs.db": litter, **members}.items():
            archive.writestr(data, name)
    archive = SevenZipArchive(tmp_path / "train.7z", "train.7z")
    tracemalloc.start()
    found = dict(archive.members())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == members
    assert peak < len(litter) / 4


def test_litter_is_not_kept_by_the_public_reader_either():
    given = []
    factory = _SinkFactory(lambda *member: given.append(member), {"1.png": "1.png"})
    for name in ("Thumbs.db", "1.png"):
        member = factory.create(name)
        member.write(b"content")
        assert member.size() == (7 if name == "1.png" else 0)
        member.close()
    assert given == [("1.png", b"content")]


def test_litters_checksum_is_compared(tmp_path, write_archive, members):
    archive = SevenZipArchive(write_archive(tmp_path / "train.7z", {"Thumbs.db": b"x" * 99, **members}), "train.7z")
    assert archive._blocks is not None
    name, size, crc = archive._blocks[0].members[0]
    assert (name, size) == (None, 99)
    archive._blocks[0].members[0] = (None, size, crc ^ 1)
    with pytest.raises(ArchiveError, match="another checksum"):
        list(archive.members())


def test_too_many_members_are_refused(tmp_path, write_archive, members, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 3)
    with pytest.raises(ArchiveError, match="more than 3 members"):
        open_archive(write_archive(tmp_path / "train.zip", members))


def test_encrypted_archives_say_so(tmp_path, write_archive, png):
    for name, hide_names in (("a.7z", False), ("b.7z", True)):
        with py7zr.SevenZipFile(tmp_path / name, "w", password="x", header_encryption=hide_names) as archive:
            archive.writestr(png(1), "1.png")
    path = write_archive(tmp_path / "c.zip", {"1.png": png(1)})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the encryption flag, in the member's own header and in the listing's
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    for name in ("a.7z", "b.7z", "c.zip"):
        with pytest.raises(ArchiveError, match=f"{name}: is encrypted"):
            open_archive(tmp_path / name)


@pytest.mark.parametrize("name", ["train.7z", "train.zip", "train.tar"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"Rar!\x1a\x07\x00"])
def test_what_is_no_archive(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArchiveError, match=f"{name}: damaged or not complete"):
        open_archive(tmp_path / name)


@pytest.mark.parametrize(
    ("filters", "is_fast"),
    [
        ([{"id": py7zr.FILTER_LZMA2, "preset": 1}], True),
        ([{"id": py7zr.FILTER_LZMA, "preset": 1}], True),
        ([{"id": py7zr.FILTER_COPY}], True),
        ([{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 1}], False),
        ([{"id": py7zr.FILTER_DELTA}, {"id": py7zr.FILTER_LZMA2, "preset": 1}], False),
        ([{"id": py7zr.FILTER_BZIP2}], False),
        ([{"id": py7zr.FILTER_ZSTD}], False),
    ],
)
def test_every_coder_of_7z(filters, is_fast, tmp_path, members):
    litter = {"train/.DS_Store": b"x" * 99}
    with py7zr.SevenZipFile(tmp_path / "train.7z", "w", filters=filters) as archive:
        for name, data in (litter | members).items():
            archive.writestr(data, name)
    archive = SevenZipArchive(tmp_path / "train.7z", "train.7z")
    assert (archive._blocks is not None) == is_fast
    assert dict(archive.members()) == members


def test_7z_of_several_blocks(tmp_path, png):
    members = {}
    for start in range(0, 30, 10):
        filters = [{"id": py7zr.FILTER_LZMA2, "preset": 1}]
        with py7zr.SevenZipFile(tmp_path / "train.7z", "a" if start else "w", filters=filters) as archive:
            for i in range(start, start + 10):
                members[f"{i}.png"] = png(i, 64)
                archive.writestr(members[f"{i}.png"], f"{i}.png")
    archive = SevenZipArchive(tmp_path / "train.7z", "train.7z")
    assert archive._blocks is not None
    assert len(archive._blocks) == 3
    assert dict(archive.members()) == members


def test_7z_whose_reader_has_changed_is_read_publicly(tmp_path, write_archive, members, monkeypatch):
    path = write_archive(tmp_path / "train.7z", members)
    monkeypatch.setattr("podium.data.sevenzip._find_blocks", lambda archive, entries, wanted: None)
    assert dict(open_archive(path).members()) == members


@pytest.fixture
def whole(request, tmp_path, write_archive, members):
    """The name and bytes of an archive of the test's kind, made once for all of its examples."""
    path = write_archive(tmp_path / f"train{request.getfixturevalue('kind')}", members)
    return path, path.read_bytes()


@pytest.mark.parametrize("kind", [".7z", ".zip", ".tar.gz"])
@MANY
@given(data=st.data())
def test_truncated_archive_is_never_taken_for_whole(kind, data, whole):
    path, content = whole
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ArchiveError, match=r"^train"):
        list(open_archive(path).members())


@pytest.mark.parametrize("kind", [".7z", ".zip", ".tar", ".tar.gz"])
@MANY
@given(data=st.data())
def test_damaged_archive_gives_the_truth_or_an_error(kind, data, whole, members):
    path, content = whole
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    try:
        found = dict(open_archive(path).members())
    except (ArchiveError, ImageError) as error:
        assert str(error).count("\n") <= 1  # noqa: PT017
        return
    if kind != ".tar":  # which has no checksum over its members
        assert all(members.get(name, content) == content for name, content in found.items())


@pytest.mark.parametrize("coder", [py7zr.FILTER_BZIP2, py7zr.FILTER_COPY])
@MANY
@given(data=st.data())
def test_damaged_7z_of_another_coder(coder, data, tmp_path, members):
    path = tmp_path / "train.7z"
    if not path.exists():
        with py7zr.SevenZipFile(path, "w", filters=[{"id": coder}]) as archive:
            for name, content in members.items():
                archive.writestr(content, name)
        (tmp_path / "whole").write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "whole").read_bytes())
    content[data.draw(st.integers(0, 900))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        assert dict(open_archive(path).members()) == members
    except ArchiveError as error:
        assert str(error).startswith("train.7z: ")  # noqa: PT017


class _Endless(Archive):
    """Gives 1 MiB members for ever, and counts them."""

    given = 0

    def parts(self):
        def part(sink):
            while True:
                self.given += 1
                sink(f"{self.given}.png", bytes(1 << 20))

        return [part]


def test_memory_is_bounded_and_threads_end_with_their_reader(tmp_path):
    archive = _Endless(tmp_path, "endless")
    members = archive.members()
    next(members)
    time.sleep(0.3)
    assert archive.given <= QUEUED_BATCHES + 2
    members.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "podium-archive"]


def test_unreadable_file_in_a_folder(tmp_path, write_archive, members):
    archive = open_archive(write_archive(tmp_path / "train", members))
    Path(tmp_path / "train/train/2.png").unlink()
    with pytest.raises(ArchiveError, match=r"2\.png: can't be read"):
        list(archive.members())


@pytest.mark.parametrize("open_it", [open_archive, lambda path: SevenZipArchive(path, path.name)])
def test_archive_that_is_gone(open_it, tmp_path):
    with pytest.raises(ArchiveError, match=r"^train\.7z: can't be read \(No such file or directory\)"):
        open_it(tmp_path / "train.7z")
