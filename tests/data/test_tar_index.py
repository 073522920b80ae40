import io
import os
import tarfile

import ilsvrc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from podium.data.tar_index import members_of_tar
from podium.errors import ArchiveError

LONG = "a/" * 70 + "b" * 90 + ".JPEG"
FILES = {"n01/x.JPEG": b"x" * 700, LONG: b"long", "empty.png": b"", "ö.jpg": b"1" * 512}
INNER = ilsvrc.tar_of({"a.JPEG": b"a" * 1000, "b.JPEG": b"b"})
NESTED = ilsvrc.tar_of({"n01.tar": INNER, "n02.tar": INNER})


def listed(data, folder, start=0, end=None):
    path = folder / "some.tar"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(members_of_tar(descriptor, "some.tar", start, len(data) if end is None else end))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_lie_where_they_are_said_to(kind, tmp_path):
    files = dict(FILES)
    if kind == tarfile.USTAR_FORMAT:  # which has 100 bytes for the name and 155 for its folder
        files["a/" * 50 + "b.JPEG"] = files.pop(LONG)
    data = ilsvrc.tar_of(files, kind)
    found = listed(data, tmp_path)
    assert {member.name: data[member.offset :][: member.size] for member in found} == files


def test_places_in_a_nested_tar_are_those_of_the_outer(tmp_path):
    for member in listed(NESTED, tmp_path):
        inner = listed(NESTED, tmp_path, member.offset, member.offset + member.size)
        assert [(one.name, NESTED[one.offset :][: one.size]) for one in inner] == [
            ("a.JPEG", b"a" * 1000),
            ("b.JPEG", b"b"),
        ]


def headers(*infos, content=b"x" * 512):
    return b"".join(info.tobuf(tarfile.GNU_FORMAT) + content[: -(-info.size // 512) * 512] for info in infos) + bytes(
        1024
    )


def info_of(name="a.JPEG", size=10, kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


def test_folders_and_global_headers_are_passed_over(tmp_path):
    data = headers(info_of("a/", 0, tarfile.DIRTYPE), info_of("./a/b.JPEG"))
    assert [member.name for member in listed(data, tmp_path)] == ["a/b.JPEG"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "ö"}) as archive:
        archive.addfile(info_of("c.JPEG", 3), io.BytesIO(b"abc"))
    assert [member.name for member in listed(buffer.getvalue(), tmp_path)] == ["c.JPEG"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "without the mark of its end"),
        (b"no tar" * 200, "its first bytes are no tar's"),
        (headers(info_of(kind=tarfile.SYMTYPE, linkname="/etc/passwd", size=0)), "is a link or a special file"),
        (headers(info_of(kind=tarfile.LNKTYPE, linkname="b", size=0)), "is a link or a special file"),
        (headers(info_of(kind=tarfile.FIFOTYPE, size=0)), "is a link or a special file"),
        (headers(info_of(kind=tarfile.GNUTYPE_SPARSE)), "is a link or a special file"),
        (headers(info_of("../a.JPEG")), "points out of the archive"),
        (headers(info_of("a/../../b.JPEG")), "points out of the archive"),
        (headers(info_of("/a.JPEG")), "points out of the archive"),
        (headers(info_of("C:\\a.JPEG")), "points out of the archive"),
        (headers(info_of(size=10_000)), "it ends within a member"),
        (headers(info_of(size=1 << 70), content=b""), "it ends within a member"),
        (headers(info_of(size=-512), content=b""), "header is damaged|no tar's"),
        (headers(info_of("x", 512, tarfile.GNUTYPE_LONGNAME)), "it ends within a member"),
        (
            headers(info_of("x", 1 << 17, tarfile.GNUTYPE_LONGNAME), content=b"x" * (1 << 17)),
            "a header of 131,072 bytes",
        ),
        (headers(info_of("x", 30, tarfile.XHDTYPE), content=b"30 size=-5" + bytes(502)), "pax header is damaged"),
        (headers(info_of("x", 30, tarfile.XHDTYPE), content=b"0 size=5" + bytes(504)), "pax header is damaged"),
        (headers(info_of("x", 30, tarfile.XHDTYPE), content=b"99 size=5" + bytes(503)), "pax header is damaged"),
        (
            headers(info_of("x", 29, tarfile.XHDTYPE), content=b"29 GNU.sparse.major=111111111" + bytes(483)),
            "a sparse file",
        ),
        (headers(info_of())[:-1024] + b"\1" * 1024, "a member's header is damaged"),
    ],
)
def test_hostile_tars(data, message, tmp_path):
    with pytest.raises(ArchiveError, match=message):
        listed(data, tmp_path)


def test_a_size_in_a_pax_header_is_followed(tmp_path):
    def after_pax(record, size):
        record_header = headers(info_of("x", len(record), tarfile.XHDTYPE), content=record.ljust(512, b"\0"))[:-1024]
        return listed(record_header + headers(info_of(size=size)), tmp_path)

    assert after_pax(b"9 size=7\n", 500) == [("a.JPEG", 1536, 7)]
    with pytest.raises(ArchiveError, match="within a member"):
        after_pax(b"13 size=9999\n", 5)


changes = st.lists(st.tuples(st.integers(0, len(NESTED) - 1), st.integers(0, 255)), max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes, st.integers(0, len(NESTED)), st.booleans())
@example([(124, 0x80), (125, 0x7F)], len(NESTED), True)
def test_a_changed_tar_is_an_error_or_a_reading_within_it(tmp_path, changed, length, mend):
    data = bytearray(NESTED)
    for place, value in changed:
        data[place] = value
    if mend:  # or nearly every change would be no more than a wrong sum
        for start in range(0, len(data), 512):
            if data[start + 257 : start + 262] == b"ustar":
                total = sum(data[start : start + 512]) - sum(data[start + 148 : start + 156]) + 8 * 32
                data[start + 148 : start + 156] = b"%06o\0 " % total
    data = bytes(data[:length])
    try:
        for member in (outer := listed(data, tmp_path)):
            assert 512 <= member.offset <= member.offset + member.size <= len(data)
        for member in outer:
            stop = member.offset + member.size
            for one in listed(data, tmp_path, member.offset, stop):
                assert member.offset < one.offset <= one.offset + one.size <= stop
    except ArchiveError:
        pass
