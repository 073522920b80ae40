import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

import podium.data
from podium.data import packing, summarize
from podium.errors import ArchiveError, DataError, ImageError

KINDS = [".7z", ".zip", ".tar", ".tar.gz", ""]
CLASSES = ("lily", "rose", "tulip")


def tree(png, prefix="", count=12, seed=0):
    """Images of three classes, a quarter of each class in a folder of its own."""
    names = [f"{CLASSES[i % 3]}/{'more/' if i < 3 else ''}{i}.png" for i in range(count)]
    return {prefix + name: png(seed + i) for i, name in enumerate(names)}


def pixels_of(files, prefix, ids):
    return [np.asarray(Image.open(io.BytesIO(files[prefix + image_id]))) for image_id in ids]


def read_all(path, **options):
    dataset = podium.data.open(path, **options)
    return dataset.train, dataset.evaluation, dataset.test


def refused(path, *says, error=DataError, **options):
    with pytest.raises(error) as caught:
        read_all(path, **options)
    message = str(caught.value)
    assert message.count("\n") <= 1, message
    for part in says:
        assert part in message, message


@pytest.mark.parametrize("prefix", ["", "flowers/", "some/flowers/"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_a_class(kind, prefix, tmp_path, png, write_archive, cache):
    files = tree(png, prefix)
    dataset = podium.data.open(write_archive(tmp_path / f"flowers{kind}", files))
    train = dataset.train
    assert (dataset.kind, dataset.name) == ("folder", "flowers")
    assert train.classes == CLASSES
    assert train.ids.tolist()[:4] == ["lily/3.png", "lily/6.png", "lily/9.png", "lily/more/0.png"]
    assert [train.classes[label] for label in train.labels] == [i.split("/")[0] for i in train.ids.tolist()]
    np.testing.assert_array_equal(train.pixels, pixels_of(files, prefix, train.ids.tolist()))
    assert (dataset.evaluation, dataset.evaluation_name, dataset.test) == (None, None, None)
    assert dataset.faults() == []


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
@pytest.mark.parametrize("kind", KINDS)
def test_parts(kind, val, tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | tree(png, f"{val}/", 6, 50) | {f"test/{i}.png": png(100 + i) for i in range(11)}
    dataset = podium.data.open(write_archive(tmp_path / f"flowers{kind}", files))
    evaluation, test = dataset.evaluation, dataset.test
    assert len(dataset.train) == 12
    assert dataset.evaluation_name == "validation set"
    assert (len(evaluation), evaluation.classes) == (6, CLASSES)
    assert [CLASSES[label] for label in evaluation.labels] == [i.split("/")[0] for i in evaluation.ids.tolist()]
    np.testing.assert_array_equal(evaluation.pixels, pixels_of(files, f"{val}/", evaluation.ids.tolist()))
    assert test.ids.tolist() == [f"{i}.png" for i in range(11)]
    assert test.labels is None
    np.testing.assert_array_equal(test.pixels, pixels_of(files, "test/", test.ids.tolist()))
    stream = podium.data.open(dataset.path).stream_test(4)
    assert sum(len(rows) for rows, _ in stream.batches) == 11


@pytest.mark.parametrize("inner", [".zip", ".tar.gz", ".7z"])
@pytest.mark.parametrize("prefix", ["", "train/"])
@pytest.mark.parametrize("outer", [False, True])
def test_each_part_in_an_archive(inner, prefix, outer, tmp_path, png, write_archive, cache):
    folder = tmp_path / "flowers"
    write_archive(folder / f"train{inner}", tree(png, prefix))
    write_archive(folder / f"test{inner}", {f"{prefix and 'test/'}{i}.png": png(100 + i) for i in range(5)})
    (folder / "sample_submission.csv").write_text(
        "file,species\n" + "".join(f"{i}.png,rose\n" for i in (3, 1, 0, 2, 4))
    )
    path = folder
    if outer:
        path = tmp_path / "flowers.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"flowers/{file.name}")
    dataset = podium.data.open(path)
    assert (dataset.kind, len(dataset.train), dataset.evaluation) == ("folder", 12, None)
    assert dataset.train.ids[0] == "lily/3.png"
    assert dataset.sample_submission.columns == ("file", "species")
    stream = dataset.stream_test(2)
    assert sorted(stream.ids.tolist()) == sorted(dataset.sample_submission.ids.tolist())
    stream.batches.close()
    assert dataset.test.ids.tolist() == [f"{i}.png" for i in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_sample_submission_without_suffixes(kind, tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | {f"test/{i}.png": png(100 + i) for i in range(3)}
    path = write_archive(tmp_path / f"flowers{kind}", files)
    if kind not in ("", ".zip"):
        return
    sample = "id,label\n2,rose\n0,rose\n1,lily\n"
    if kind == "":
        (path / "sampleSubmission.csv").write_text(sample)
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("sampleSubmission.csv", sample)
    dataset = podium.data.open(path)
    assert dataset.test.ids.tolist() == ["0", "1", "2"]
    assert dataset.sample_submission.ids.tolist() == ["2", "0", "1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_labelled_test_set_is_to_measure_on(kind, tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | tree(png, "test/", 6, 50)
    path = write_archive(tmp_path / f"flowers{kind}", files)
    dataset = podium.data.open(path)
    assert (dataset.evaluation_name, dataset.test) == ("labelled test set", None)
    assert len(dataset.evaluation) == 6
    assert dataset.stream_test(9) is None


def test_a_labelled_test_set_beside_val_is_to_be_predicted(tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | tree(png, "test/", 6, 50) | tree(png, "val/", 3, 80)
    path = write_archive(tmp_path / "flowers", files)
    dataset = podium.data.open(path)
    assert (dataset.evaluation_name, len(dataset.evaluation)) == ("validation set", 3)
    assert (len(dataset.test), dataset.test.labels) == (6, None)
    alone = podium.data.open(path / "test")  # a data set of its own
    assert (len(alone.train), alone.classes) == (6, CLASSES)


@pytest.mark.parametrize("folder", ["images", "unknown"])
def test_a_test_set_in_a_folder_that_is_no_class(folder, tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | {f"test/{folder}/{i}.png": png(100 + i) for i in range(3)}
    dataset = podium.data.open(write_archive(tmp_path / "flowers", files))
    assert dataset.evaluation is None
    assert dataset.test.ids.tolist() == [f"{folder}/{i}.png" for i in range(3)]


@pytest.mark.parametrize("kind", ["", ".zip"])
def test_a_class_may_be_called_train(kind, tmp_path, png, write_archive, cache):
    files = {f"{name}/{i}.png": png(i) for i in range(9) for name in [("bus", "plane", "train")[i % 3]]}
    dataset = podium.data.open(write_archive(tmp_path / f"vehicles{kind}", files))
    assert dataset.classes == ("bus", "plane", "train")


def test_fingerprint_is_the_trees_and_not_the_archives(tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | {"test/1.png": png(99)}
    alone = podium.data.open(write_archive(tmp_path / "alone", tree(png)))
    fingerprints = {podium.data.open(write_archive(tmp_path / f"all{kind}", files)).fingerprint for kind in KINDS}
    assert fingerprints == {alone.fingerprint}
    for swept in cache.root.glob("packs/*/hashes.npy"):
        swept.unlink()
    assert podium.data.open(tmp_path / "all.zip").fingerprint == alone.fingerprint
    files["test/1.png"] = png(98)  # it isn't trained on
    assert podium.data.open(write_archive(tmp_path / "other.zip", files)).fingerprint == alone.fingerprint
    files["train/lily/3.png"] = png(98)
    assert podium.data.open(write_archive(tmp_path / "third.zip", files)).fingerprint != alone.fingerprint


@pytest.mark.parametrize("kind", ["", ".zip", ".tar"])
def test_second_opening_decodes_nothing(kind, tmp_path, png, write_archive, cache, monkeypatch):
    files = tree(png, "train/") | tree(png, "val/", 3, 40) | {"test/1.png": png(99)}
    path = write_archive(tmp_path / f"flowers{kind}", files)
    expected = read_all(path)
    num_packs = len(cache.packs())
    assert num_packs == (3 if kind == "" else 1)
    monkeypatch.setattr(packing, "decode_all", None)  # would fail if it were called
    for before, after in zip(expected, read_all(path), strict=True):
        np.testing.assert_array_equal(before.pixels, after.pixels)
    assert len(cache.packs()) == num_packs
    assert sorted(tmp_path.iterdir()) == sorted({cache.root, path})


def test_training_never_opens_the_test_set(tmp_path, png, write_archive, cache):
    files = tree(png, "train/") | {"test/1.png": b"no image", "val/rose/1.png": b"no image"}
    dataset = podium.data.open(write_archive(tmp_path / "flowers", files))
    assert len(dataset.train) == 12
    assert dataset.evaluation_name == "validation set"
    with pytest.raises(ImageError, match=r"1\.png"):
        _ = dataset.test
    with pytest.raises(ImageError, match=r"1\.png"):
        _ = dataset.evaluation


def test_images_of_any_size_and_mode(tmp_path, png, write_archive, cache):
    files = tree(png)
    rng = np.random.default_rng(0)
    for i, (image, suffix) in enumerate(
        [
            (Image.fromarray(rng.integers(0, 256, (20, 31), np.uint8)), "jpg"),
            (Image.fromarray(rng.integers(0, 256, (9, 8, 4), np.uint8), "RGBA"), "png"),
            (Image.fromarray(rng.integers(0, 256, (40, 8, 3), np.uint8)).convert("P"), "GIF"),
            (Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).convert("CMYK"), "tiff"),
        ]
    ):
        buffer = io.BytesIO()
        image.save(buffer, {"jpg": "JPEG", "png": "PNG", "GIF": "GIF", "tiff": "TIFF"}[suffix])
        files[f"rose/other{i}.{suffix}"] = buffer.getvalue()
    path = write_archive(tmp_path / "flowers", files)
    refused(path, "rose/other0.jpg", "31x20 pixels", "8x8 pixels", "--image-size", error=ImageError)
    assert podium.data.open(path, image_size=12).train.pixels.shape == (16, 12, 12, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_is_said(kind, tmp_path, png, write_archive, cache):
    files = tree(png, "train/", 33) | {"train/notes.txt": b"x", "train/rose/LICENSE": b"x", "train/.git/1.png": png(1)}
    files |= {
        "README.md": b"x",
        "masks/1.png": png(500),
        "train/rose/Thumbs.db": b"x",
        "test/a.csv": b"x",
        "test/1.png": png(9),
    }
    dataset = podium.data.open(write_archive(tmp_path / f"flowers{kind}", files))
    faults = summarize(dataset).faults[1:]
    assert len(dataset.train) == 33
    if kind == "":
        assert faults == [
            "Left out of flowers/train, since no images: 2 files, notes.txt, rose/LICENSE.",
            "Left out of flowers/test, since no images: 1 file, a.csv.",
        ]
    else:
        assert faults == [
            f"Left out of flowers{kind}, since no images: 4 files, README.md, test/a.csv, train/notes.txt, "
            "train/rose/LICENSE.",
            "Left out, since beside test/ and train/: 1 image, masks/1.png.",
        ]


@pytest.mark.parametrize("kind", ["", ".zip"])
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"stray.png": 1}, ["no folder of a class", "stray.png", "CSV"]),
        ({"val/rose/1.png": 1, "valid/rose/1.png": 2, "train/rose/1.png": 3}, ["val/ and valid/ are both", "Rename"]),
    ],
)
def test_trees_that_make_no_sense(kind, more, says, tmp_path, png, write_archive, cache):
    files = tree(png) | {name: png(200 + i) for name, i in more.items()}
    refused(write_archive(tmp_path / f"flowers{kind}", files), *says)
    assert cache.packs() == []


@pytest.mark.parametrize("kind", ["", ".zip"])
def test_images_without_classes(kind, tmp_path, png, write_archive, cache):
    flat = {f"images/{i}.png": png(i) for i in range(3)}
    refused(write_archive(tmp_path / f"flat{kind}", flat), "the one folder images", "CSV")
    if not kind:
        bare = {f"{i}.png": png(i) for i in range(3)}
        refused(write_archive(tmp_path / "bare", bare), "no folders of classes, and no CSV", "the folder above")
    no_train = tree(png, "val/") | {"test/1.png": png(1)}
    refused(write_archive(tmp_path / f"rest{kind}", no_train), "test/ and val/ but no train/")
    beside = tree(png) | {"test/1.png": png(1)}
    refused(write_archive(tmp_path / f"beside{kind}", beside), "has test/ but no train/")
    flat = {f"train/{i}.png": png(i) for i in range(3)} | {"test/1.png": png(1)}
    expected = ["train/ is there", "train/0.png"] if kind else ["trainLabels.csv is missing"]
    refused(write_archive(tmp_path / f"both{kind}", flat), *expected)
    if kind:
        loose = {f"train/{i}.png": png(i) for i in range(3)}
        refused(
            write_archive(tmp_path / "a" / f"train{kind}", loose).parent, "trainLabels.csv is missing", "train/0.png"
        )


@pytest.mark.parametrize("kind", ["", ".zip"])
def test_classes_of_the_parts_differ(kind, tmp_path, png, write_archive, cache):
    path = write_archive(tmp_path / f"val{kind}", tree(png, "train/") | {"val/violet/1.png": png(1)})
    refused(path, "'violet/1.png'", "the folder violet", "no class", "lily, rose, tulip")
    path = write_archive(
        tmp_path / f"flat{kind}", tree(png, "train/") | {"val/1.png": png(1), "val/rose/2.png": png(2)}
    )
    refused(path, "1.png", "no folder")
    mixed = tree(png, "train/") | {"test/violet/1.png": png(1), "test/rose/1.png": png(2)}
    refused(write_archive(tmp_path / f"test{kind}", mixed), "violet/1.png", "some do not")


def test_there_is_one_set_of_labels(tmp_path, png, write_archive, cache):
    refused(write_archive(tmp_path / "flowers", tree(png)), "one set of labels", labels="coarse")


def test_links_are_followed(tmp_path, png, write_archive, cache):
    elsewhere = write_archive(tmp_path / "elsewhere", {"a.png": png(70), "roses/b.png": png(71)})
    path = write_archive(tmp_path / "flowers", tree(png))
    (path / "lily" / "linked.png").symlink_to(elsewhere / "a.png")
    (path / "wild").symlink_to(elsewhere / "roses")
    train = podium.data.open(path).train
    assert len(train) == 14
    assert train.classes == ("lily", "rose", "tulip", "wild")
    assert {"lily/linked.png", "wild/b.png"} <= set(train.ids.tolist())


@pytest.mark.parametrize("target", [".", "..", "../rose", "../lily"])
def test_links_without_end(target, tmp_path, png, write_archive, cache):
    path = write_archive(tmp_path / "flowers", tree(png))
    (path / "rose" / "again").symlink_to(target)
    if target == "../lily":
        (path / "lily" / "back").symlink_to("../rose")
    refused(
        path, "rose/again is a link to a folder" if target != "../lily" else "is a link to a folder", error=ArchiveError
    )


def test_broken_link(tmp_path, png, write_archive, cache):
    path = write_archive(tmp_path / "flowers", tree(png))
    (path / "rose" / "gone.png").symlink_to("nowhere.png")
    refused(path, "gone.png can't be read (No such file or directory)", error=ArchiveError)


@pytest.mark.skipif(os.name == "nt", reason="has other rights")
def test_archive_members_write_nowhere(tmp_path, png, cache):
    path = tmp_path / "flowers.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (tree(png) | {"rose/../../../out.png": png(1)}).items():
            archive.writestr(name, data)
    refused(path, "points out of the archive", error=ArchiveError)
    assert not list(tmp_path.parent.rglob("out.png"))


@pytest.mark.parametrize("kind", [".zip", ".tar.gz", ".7z"])
def test_damaged_archive(kind, tmp_path, png, write_archive, cache):
    path = write_archive(tmp_path / f"flowers{kind}", tree(png))
    path.write_bytes(path.read_bytes()[:-60])
    refused(path, f"flowers{kind}: damaged", "Download it again", error=ArchiveError)
    assert cache.packs() == []


def test_a_folder_with_one_archive(tmp_path, png, write_archive, cache):
    write_archive(tmp_path / "download" / "102flowers.tgz.tar.gz", tree(png, "jpg/"))
    assert len(podium.data.open(tmp_path / "download").train) == 12
