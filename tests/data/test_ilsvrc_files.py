import functools
import io
import os
import tempfile
import zipfile
import zlib

import ilsvrc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ilsvrc import WNIDS

import podium.data
from podium.data import archive, encoded
from podium.data import cache as cache_module
from podium.data.encoded import Files
from podium.data.image_index import IndexBuilder
from podium.data.sources.ilsvrc_files import index_part, index_zip
from podium.errors import ArchiveError, DataError


def zip_of(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as outer:
        for name, data in members.items():
            outer.writestr(name, data)
    return path


@pytest.fixture
def packed(tmp_path):
    """Kaggle's zip in small; may be changed."""
    return ilsvrc.as_kaggle_zip(tmp_path / "kaggle")


def test_only_images_and_tables_of_the_zip_are_taken(packed, cache):
    found = index_zip(packed)
    assert set(found) == {"train", "val", "test", "tables"}
    assert [len(found[part]) for part in ("train", "val", "test", "tables")] == [20, 8, 3, 3]
    assert found["train"].files.deflated.any()
    assert (
        found["train"].files.where(0).endswith(f"challenge.zip: ILSVRC/Data/CLS-LOC/train/{WNIDS[0]}/{WNIDS[0]}_1.JPEG")
    )


def test_a_stored_zip_needs_no_inflating(tmp_path, cache):
    assert index_zip(ilsvrc.as_kaggle_zip(tmp_path, zipfile.ZIP_STORED))["train"].files.deflated is None


def test_a_link_in_the_zip(packed, cache):
    info = zipfile.ZipInfo(f"ILSVRC/Data/CLS-LOC/train/{WNIDS[0]}/link.JPEG")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(packed, "a") as outer:
        outer.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match=r"link\.JPEG' is a link"):
        _ = podium.data.open(packed).train


def test_a_rare_compression(tmp_path, cache):
    path = zip_of(tmp_path / "rare.zip", ilsvrc.kaggle_files(), zipfile.ZIP_LZMA)
    with pytest.raises(ArchiveError, match="compressed in a rare way"):
        _ = podium.data.open(path).train


def test_a_zip_without_training_images(tmp_path, cache):
    files = {name: data for name, data in ilsvrc.kaggle_files().items() if "/train/" not in name}
    with pytest.raises(DataError, match="holds no training images"):
        _ = podium.data.open(zip_of(tmp_path / "some.zip", files)).train


def test_a_zip_that_is_cut_short(packed, cache):
    whole = packed.read_bytes()
    for length in (40, 500, len(whole) // 2, len(whole) - 30):
        packed.write_bytes(whole[:length])
        with pytest.raises(ArchiveError, match="damaged or not complete"):
            _ = podium.data.open(packed).train


def test_a_listing_that_points_elsewhere(packed, cache):
    data = bytearray(packed.read_bytes())
    place = data.index(b"PK\3\4", 1000)
    data[place + 3] = 0
    packed.write_bytes(data)
    with pytest.raises(ArchiveError, match="its header is not where the listing says"):
        _ = podium.data.open(packed).train


def test_a_damaged_member_is_named(packed, cache):
    dataset = podium.data.open(packed)
    files = dataset.train.pixels.files
    data = bytearray(packed.read_bytes())
    data[int(files.offsets[2])] = 0xFF
    packed.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"n01440764_100\.JPEG is damaged"):
        _ = dataset.train.pixels[2]


def deflated_files(path, data):
    path.write_bytes(data)
    one = np.zeros(1, np.int64)
    return Files(
        np.array([os.fsencode(path)]), one.astype(np.int32), one, one + len(data), np.array([b"x"]), np.array([True])
    )


def test_inflating_ends(tmp_path, monkeypatch):
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(bytes(5000)) + packer.flush()
    files = deflated_files(tmp_path / "some", data)
    assert files.read(0) == bytes(5000)
    assert files.take(np.array([0, 0])).read(1) == bytes(5000)
    monkeypatch.setattr(encoded, "MAX_MEMBER_BYTES", 4000)
    with pytest.raises(ArchiveError, match="has more than 4,000 bytes"):
        files.read(0)
    with pytest.raises(ArchiveError, match="is cut short"):
        deflated_files(tmp_path / "some", data[:-4]).read(0)


def test_names_in_a_zip_lead_nowhere(packed, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "SETTLED_NS", -1)
    with zipfile.ZipFile(packed, "a") as outer:
        outer.writestr("ILSVRC/Data/CLS-LOC/../x.JPEG", b"x")
    _ = podium.data.open(packed).train
    (place,) = (cache.root / "indexes").iterdir()
    assert sorted(path.name for path in place.iterdir()) == ["index.json", "tables", "test", "train", "val"]
    with zipfile.ZipFile(packed, "a") as outer:
        outer.writestr("ILSVRC/Data/CLS-LOC/train/../x.JPEG", b"x")
    with pytest.raises(ArchiveError, match="points out of the archive"):
        _ = podium.data.open(packed).train


@pytest.mark.parametrize("place", [1 << 40, (1 << 64) - 1])
def test_a_listing_that_points_far_beyond_the_file(place, packed, cache):
    """With the field of zip64 that large files have."""
    with zipfile.ZipFile(packed, "a") as outer:
        outer.writestr("ILSVRC/Data/CLS-LOC/train/n02958343/x.JPEG", b"x")
        outer.filelist[-1].header_offset = place
    with pytest.raises(ArchiveError, match="its header is not where the listing says"):
        _ = podium.data.open(packed).train


@functools.cache
def whole_zip():
    with tempfile.TemporaryDirectory() as folder:
        return ilsvrc.as_kaggle_zip(folder).read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    in_the_listing=st.booleans(),
)
def test_a_changed_zip_is_an_error_or_a_reading(changes, in_the_listing, tmp_path, cache):
    data = bytearray(whole_zip())
    first = data.index(b"PK\1\2") if in_the_listing else 0
    for place, value in changes:
        data[first + place % (len(data) - first)] = value
    path = tmp_path / "changed.zip"
    path.write_bytes(data)
    try:
        for index in index_zip(path).values():
            assert (index.files.offsets + index.files.lengths <= len(data)).all()
            for row in range(len(index)):
                index.files.read(row)
    except ArchiveError:
        pass


# ---- trees


def test_what_is_left_out_of_a_tree(tmp_path, cache):
    folder = ilsvrc.as_class_folders(tmp_path)
    ilsvrc.write(
        folder / "train" / WNIDS[0], {"notes.txt": b"", "more/x.JPEG": b"", ".hidden.JPEG": b"", "._a.JPEG": b""}
    )
    index = index_part(folder / "train")
    assert (len(index), index.num_others, index.others) == (20, 2, (f"{WNIDS[0]}/more/", "notes.txt"))


def test_a_broken_link_in_a_tree(tmp_path, cache):
    folder = ilsvrc.as_class_folders(tmp_path)
    (folder / "train" / WNIDS[0] / "x.JPEG").symlink_to("nowhere")
    with pytest.raises(ArchiveError, match=r"x\.JPEG: can't be read"):
        index_part(folder / "train")


def test_an_empty_part(tmp_path, cache):
    (tmp_path / "val").mkdir()
    with pytest.raises(ArchiveError, match="val: holds no image"):
        index_part(tmp_path / "val")


def test_two_images_of_one_name(tmp_path, cache):
    path = tmp_path / "val.tar"
    path.write_bytes(ilsvrc.tar_of({"a/x.JPEG": b"1", "b/x.JPEG": b"2"}))
    with pytest.raises(ArchiveError, match="two images are called 'x'"):
        index_part(path)


def test_a_tar_that_changes_while_it_is_listed(tmp_path, cache):
    path = tmp_path / "val.tar"
    path.write_bytes(ilsvrc.tar_of(ilsvrc.val_images()))

    def progress(*_):
        path.write_bytes(path.read_bytes() + bytes(10240))

    with path.open("ab") as file:
        file.truncate(2_000_000)  # less than a MB isn't worth a word of progress
    with pytest.raises(ArchiveError, match="was changed while it was read"):
        index_part(path, progress)


def test_an_absurdly_large_image(tmp_path, cache):
    with pytest.raises(ArchiveError, match="more than 134,217,728 is refused"):
        IndexBuilder("some").admits("x.JPEG", archive.MAX_MEMBER_BYTES + 1)


def test_many_loose_members_are_taken_in_parts(tmp_path, cache, monkeypatch):
    from podium.data.sources import ilsvrc_files

    monkeypatch.setattr(ilsvrc_files, "CHUNK", 3)
    path = tmp_path / "train.tar"
    files = {
        f"train/{wnid}/{name}": data for wnid, found in ilsvrc.train_images().items() for name, data in found.items()
    }
    path.write_bytes(ilsvrc.tar_of(dict(reversed(files.items()))))
    index = index_part(path)
    assert [index.files.read(row) for row in range(len(index))] == list(files.values())
    assert index.folders.tolist() == [wnid.encode() for wnid in WNIDS for _ in range(5)]
    assert io.BytesIO(index.files.read(0)).read(2) == b"\xff\xd8"


def test_names_beyond_ascii(tmp_path, cache):
    folder = ilsvrc.write(tmp_path / "val", {"grün_2.JPEG": b"1", "grün_10.JPEG": b"2"})
    assert index_part(folder).names().tolist() == ["grün_2", "grün_10"]
