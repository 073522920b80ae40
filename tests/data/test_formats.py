"""Archives made to harm: names that aren't, headers that would fill memory."""

import gzip
import tarfile
import zipfile

import pytest

from podium.data import formats
from podium.data.formats import open_archive
from podium.errors import ArchiveError


def test_a_member_of_a_zip_without_a_name_is_refused(tmp_path):
    path = tmp_path / "train.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = info.orig_filename = ""
        archive.writestr(info, b"x")
    with pytest.raises(ArchiveError, match="points out of the archive"):
        open_archive(path)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_memory_is_refused_before_it_is_read(tmp_path, kind):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 1 << 40
    path = tmp_path / "train.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(ArchiveError, match="a header of 1,099,511,627,776 bytes"):
        open_archive(path)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read(tmp_path, png, form):
    name = "train/" + "x" * 240 + ".png"
    path = tmp_path / "train.tar.gz"
    with tarfile.open(path, "w:gz", format=form) as archive:
        (tmp_path / "a").write_bytes(png(1))
        archive.add(tmp_path / "a", name)
    opened = open_archive(path)
    assert opened.names == [name]
    assert [data for _, data in opened.members()] == [png(1)]


def test_too_long_a_name_is_refused(tmp_path, monkeypatch, png):
    monkeypatch.setattr(formats, "MAX_EXTENDED_BYTES", 200)
    with pytest.raises(ArchiveError, match="a header of"):
        test_long_names_are_read(tmp_path, png, tarfile.GNU_FORMAT)
