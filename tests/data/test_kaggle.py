import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

import podium.data
from podium.data.sources import top
from podium.errors import ArchiveError, DataError, ImageError, TableError

KINDS = [".7z", ".zip", ".tar", ".tar.gz", ""]


def one_zip(folder, target, prefix=""):
    """The competition's one outer zip; inner archives stored, as Kaggle does it."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def read_all(path):
    dataset = podium.data.open(path)
    return dataset.train, dataset.test, dataset.sample_submission


def refused(path, error, *says):
    """Opening and reading all of `path` raises `error`, in one or two lines that say each of `says`."""
    with pytest.raises(error) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.count("\n") <= 1, message
    for part in says:
        assert part in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_images(kind, competition, png, cache):
    dataset = podium.data.open(competition(kind))
    train, test = dataset.train, dataset.test
    assert dataset.kind == "kaggle"
    assert dataset.name == "competition"
    assert train.ids.tolist() == [str(i) for i in range(1, 13)]  # 10 after 9, as in the table
    assert train.classes == dataset.classes == ("cat", "dog", "frog")
    np.testing.assert_array_equal(train.labels, np.arange(1, 13) % 3)
    expected = [np.asarray(Image.open(io.BytesIO(png(i)))) for i in range(1, 13)]
    np.testing.assert_array_equal(train.pixels, expected)
    assert test is not None
    assert test.labels is None
    assert test.ids.tolist() == ["1", "2", "3", "4", "5"]
    sample = dataset.sample_submission
    assert sample is not None
    assert sample.columns == ("id", "label")
    assert sample.ids.tolist() == ["1", "2", "3", "4", "5"]


def test_fingerprint_is_the_datas_and_not_the_archives(competition, cache):
    fingerprints = {podium.data.open(competition(kind, folder=f"as{kind}")).fingerprint for kind in KINDS}
    assert len(fingerprints) == 1
    labels = "id,label\n" + "".join(f"{i},{'cat' if i % 2 else 'dog'}\n" for i in range(1, 13))
    assert podium.data.open(competition(labels=labels, folder="other")).fingerprint not in fingerprints


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "competition/"])
def test_one_outer_zip(kind, prefix, competition, tmp_path, cache):
    folder = competition(kind)
    expected = podium.data.open(folder).train
    (tmp_path / "alone").mkdir()
    path = one_zip(folder, tmp_path / "alone" / "cifar-10.zip", prefix)
    for where in (path, path.parent):
        dataset = podium.data.open(where)
        np.testing.assert_array_equal(dataset.train.pixels, expected.pixels)
        np.testing.assert_array_equal(dataset.train.labels, expected.labels)
        assert dataset.test is not None
        assert len(dataset.test) == 5
    assert not list(cache.root.glob("**/spool-*"))


def test_training_never_opens_the_test_set(competition, cache):
    folder = competition()
    (folder / "test.7z").write_bytes(b"no archive")
    (folder / "sampleSubmission.csv").write_bytes(b"")
    dataset = podium.data.open(folder)
    assert len(dataset.train) == 12
    with pytest.raises(TableError, match="sampleSubmission"):
        _ = dataset.test


@pytest.mark.parametrize(
    "labels",
    [
        "\ufeffid,label\n{rows}",
        "id,label\r\n{crlf}",
        "Id , Label\n{rows}",
        "label,id\n{swapped}",
        "id,photographer,label\n{extra}",
        '"id","label"\n{quoted}',
        "id,label\n{rows}\n\n",
        "id,label\n{reversed}",
        "image,breed\n{rows}",
    ],
)
def test_tables_that_simply_work(labels, competition, cache):
    pairs = [(str(i), ("cat", "dog", "frog")[i % 3]) for i in range(1, 13)]
    text = labels.format(
        rows="\n".join(f"{i},{name}" for i, name in pairs),
        crlf="\r\n".join(f"{i},{name}" for i, name in pairs),
        swapped="\n".join(f"{name},{i}" for i, name in pairs),
        extra="\n".join(f'{i},"Doe, Jane",{name}' for i, name in pairs),
        quoted="\n".join(f'"{i}","{name}"' for i, name in pairs),
        reversed="\n".join(f"{i},{name}" for i, name in reversed(pairs)),
    )
    train = podium.data.open(competition(labels=text.encode())).train
    assert [(image_id, train.classes[label]) for image_id, label in zip(train.ids, train.labels, strict=True)] == pairs


ROWS = "".join(f"{i},cat\n" for i in range(1, 13))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (f"id,label\n{ROWS}13,cat\n", ("trainLabels.csv, line 14", "'13'", "no image in train.7z")),
        (f"id,label\n{ROWS}13,cat\n14,cat\n", ("'13'", "1 more")),
        (f"id,label\n{ROWS}7,dog\n", ("trainLabels.csv, line 14", "'7'", "already in line 8")),
        (ROWS, ("trainLabels.csv, line 1", "'1,cat'", "no header")),
        ("", ("trainLabels.csv", "empty")),
        ("id,label\n", ("trainLabels.csv", "no rows")),
        (f"id,label\n{ROWS}13,\n", ("trainLabels.csv, line 14", "label is empty")),
        (f"id,label\n{ROWS},cat\n", ("trainLabels.csv, line 14", "id is empty")),
        (f"id,label\n{ROWS}13\n", ("trainLabels.csv, line 14", "1 of the header's 2 columns")),
        (f"id,label\n{ROWS}".encode() + b"13,caf\xe9\n", ("trainLabels.csv, line 14", "UTF-8")),
        (f'id,label\n{ROWS}13,"cat\n', ("trainLabels.csv, line 14",)),
        (f"id,colour,shape\n{ROWS}", ("trainLabels.csv, line 1", "label")),
    ],
)
def test_bad_labels(labels, says, competition, cache):
    refused(competition(labels=labels), TableError, *says)
    assert cache.packs() == []


def test_image_without_label(competition, cache):
    folder = competition(labels="id,label\n" + "".join(f"{i},cat\n" for i in range(1, 12)))
    refused(folder, ArchiveError, "train.7z", "'12'", "no row in trainLabels.csv")
    assert cache.packs() == []


def test_labels_are_compared_at_later_openings_too(competition, cache):
    folder = competition()
    assert len(podium.data.open(folder).train) == 12
    (folder / "trainLabels.csv").write_text(f"id,label\n{ROWS}13,cat\n")
    refused(folder, TableError, "'13'")


def test_doubled_id_in_the_archive(competition, png, cache):
    train = {f"train/{i}.png": png(i) for i in range(1, 13)} | {"train/more/7.jpg": png(1)}
    refused(competition(train=train), ArchiveError, "train.7z", "'train/7.png'", "'train/more/7.jpg'", "the id '7'")
    assert cache.packs() == []


def test_unknown_class_in_sample_submission(competition, cache):
    sample = "id,label\n1,cat\n2,horse\n3,cat\n4,cat\n5,cat\n"
    refused(competition(sample=sample), TableError, "sampleSubmission.csv, line 3", "'horse'", "cat, dog, frog")


@pytest.mark.parametrize(("rows", "error"), [(4, ArchiveError), (6, TableError)])
def test_sample_submission_and_test_images_differ(rows, error, competition, cache):
    sample = "id,label\n" + "".join(f"{i},cat\n" for i in range(1, rows + 1))
    refused(competition(sample=sample), error, "sampleSubmission.csv", f"'{max(rows, 5)}'", "test.7z")


@pytest.mark.parametrize("kind", [".7z", ".zip", ".tar.gz"])
def test_truncated_archive(kind, competition, cache):
    folder = competition(kind)
    path = folder / f"train{kind}"
    path.write_bytes(path.read_bytes()[:-100])
    refused(folder, ArchiveError, f"train{kind}", "Download it again")
    assert cache.packs() == []


def test_corrupt_inner_archive_of_an_outer_zip(competition, tmp_path, cache):
    folder = competition()
    path = folder / "train.7z"
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    refused(one_zip(folder, tmp_path / "all.zip"), ArchiveError, "all.zip/train.7z", "Download it again")
    assert cache.packs() == []


@pytest.mark.parametrize("kind", KINDS)
def test_member_that_is_no_image(kind, competition, png, cache):
    train = {f"train/{i}.png": png(i) for i in range(1, 13)} | {"train/5.png": b"<html>not found</html>"}
    refused(
        competition(kind, train=train), ImageError, f"train{kind}", "'train/5.png'" if kind else "5.png", "no image"
    )
    assert cache.packs() == []


def test_member_of_another_size(competition, png, cache):
    train = {f"train/{i}.png": png(i) for i in range(1, 13)} | {"train/5.png": png(5, 16)}
    folder = competition(train=train)
    refused(folder, ImageError, "train.7z", "5.png", "16x16", "8x8", "--image-size 8")
    assert cache.packs() == []
    assert podium.data.open(folder, image_size=8).train.size == (8, 8)
    assert podium.data.open(folder, image_size=4).train.size == (4, 4)
    assert len(cache.packs()) == 2


def test_converted_images(competition, png, cache):
    rng = np.random.default_rng(0)
    train = {f"{i}.png": png(i) for i in range(1, 13)}
    for i, image in enumerate(
        [
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)),
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8), "P"),
            Image.fromarray(rng.integers(0, 256, (8, 8, 4), np.uint8)),
            Image.fromarray(rng.integers(0, 65536, (8, 8), np.uint16)),
        ],
        start=1,
    ):
        if image.mode == "P":
            image.putpalette(list(range(256)) * 3)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        train[f"{i}.png"] = buffer.getvalue()
    assert podium.data.open(competition(train=train)).train.pixels.shape == (12, 8, 8, 3)


@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_climbing_paths(kind, competition, png, tmp_path, cache):
    train = {f"train/{i}.png": png(i) for i in range(1, 12)} | {"../../12.png": png(12)}
    refused(competition(kind, train=train), ArchiveError, f"train{kind}", "'../../12.png'")
    assert cache.packs() == []
    assert not list(tmp_path.parent.glob("*12.png"))


def test_what_is_no_dataset(tmp_path, competition, cache):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", DataError, "folder is empty", "train.7z", "trainLabels.csv")
    (tmp_path / "stuff").mkdir()
    (tmp_path / "stuff" / "thesis.tex").write_text("x")
    refused(tmp_path / "stuff", DataError, "Looked for", "train.7z", "trainLabels.csv")
    refused(tmp_path / "stuff" / "thesis.tex", DataError, "Looked for")
    refused(tmp_path / "nowhere", DataError, "no such file or folder", "digits")
    refused(competition(labels=None), DataError, "train.7z is there", "trainLabels.csv is missing")
    folder = competition(folder="no-train")
    (folder / "train.7z").unlink()
    refused(folder, DataError, "trainLabels.csv is there", "train.7z")
    folder = competition(folder="no-test")
    (folder / "test.7z").unlink()
    refused(folder, DataError, "sampleSubmission.csv is there", "test.7z")
    (folder / "sampleSubmission.csv").unlink()
    assert podium.data.open(folder).test is None
    assert podium.data.open(folder).sample_submission is None


def test_unknown_home_folder():
    refused("~no-such-user/data", DataError, "~no-such-user/data", "home folder")


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize("name", ["trainLabels.csv", "sampleSubmission.csv"])
def test_table_of_absurd_size_is_not_read(name, is_zip, competition, tmp_path, cache, monkeypatch):
    path = competition()
    (path / name).write_text("id,label\n" + "1,cat\n" * 100)
    if is_zip:
        path = one_zip(path, tmp_path / "all.zip")
    monkeypatch.setattr(top, "MAX_TABLE_BYTES", 608)
    refused(path, TableError, f"{path.name}/{name}: is 609 bytes")


def test_table_that_is_larger_than_it_says(competition, tmp_path, cache):
    folder = competition()
    path = tmp_path / "all.zip"
    num_bytes = 1 << 26
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "train.7z", "train.7z")
        archive.writestr("trainLabels.csv", bytes(num_bytes))
    content = path.read_bytes()
    assert content.count(num_bytes.to_bytes(4, "little")) == 2  # in the member's header and in the listing
    path.write_bytes(content.replace(num_bytes.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    tracemalloc.start()
    refused(path, ArchiveError, "all.zip", "'trainLabels.csv'", "damaged")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < num_bytes / 8


def test_empty_train_folder(competition, cache):
    folder = competition("")
    for path in (folder / "train" / "train").iterdir():
        path.unlink()
    refused(folder, ArchiveError, "train: holds no image")


def test_bad_image_size(competition):
    with pytest.raises(DataError, match="image_size is 0"):
        podium.data.open(competition(), image_size=0)


def like_kaggles(tmp_path, png, write_archive, *, suffix, tables, kind=""):
    """Twelve and five images in train_images and test_images, and some tables."""
    folder = tmp_path / "blindness"
    write_archive(folder / f"train_images{kind}", {f"x{i}{suffix}": png(i) for i in range(1, 13)})
    write_archive(folder / f"test_images{kind}", {f"y{i}{suffix}": png(100 + i) for i in range(1, 6)})
    for name, text in tables.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("kind", ["", ".zip", ".7z"])
@pytest.mark.parametrize("given", ["", ".png"])
@pytest.mark.parametrize(
    ("labels", "columns"),
    [("train.csv", "id_code,diagnosis"), ("train.csv", "image_id,label"), ("labels.csv", "image,species")],
)
def test_other_names_for_the_same(labels, columns, given, kind, tmp_path, png, write_archive, cache):
    tables = {
        labels: f"{columns}\n" + "".join(f"x{i}{given},{i % 3}\n" for i in range(1, 13)),
        "test.csv": "id_code\n" + "".join(f"y{i}{given}\n" for i in range(1, 6)),
        "sample_submission.csv": f"{columns}\n" + "".join(f"y{i}{given},0\n" for i in (2, 1, 5, 4, 3)),
    }
    dataset = podium.data.open(like_kaggles(tmp_path, png, write_archive, suffix=".png", tables=tables, kind=kind))
    train, test = dataset.train, dataset.test
    assert dataset.kind == "kaggle"
    assert train.ids.tolist() == [f"x{i}{given}" for i in range(1, 13)]
    assert train.classes == ("0", "1", "2")
    np.testing.assert_array_equal(train.labels, np.arange(1, 13) % 3)
    np.testing.assert_array_equal(train.pixels[4], np.asarray(Image.open(io.BytesIO(png(5)))))
    assert test is not None
    assert test.ids.tolist() == [f"y{i}{given}" for i in range(1, 6)]
    assert dataset.sample_submission.columns == tuple(columns.split(","))
    assert dataset.sample_submission.ids.tolist() == [f"y{i}{given}" for i in (2, 1, 5, 4, 3)]
    stream = podium.data.open(dataset.path).stream_test(3)
    assert stream.ids.tolist() == test.ids.tolist()


def test_the_column_of_labels_may_be_chosen(competition, cache):
    rows = "".join(f"{i},{i},{'ab'[i % 2]},{'xyz'[i % 3]}\n" for i in range(1, 13))
    folder = competition(labels=f"id,size,kind,Colour\n{rows}", sample=None)
    refused(folder, TableError, "trainLabels.csv, line 1", "size, kind, Colour", "--labels COLUMN")
    for name, classes in (("kind", ("a", "b")), ("Colour", ("x", "y", "z")), ("colour", ("x", "y", "z"))):
        dataset = podium.data.open(folder, labels=name)
        assert (dataset.classes, dataset.train.classes, dataset.labels_from) == (classes, classes, name)
    with pytest.raises(TableError, match="no column 'form'"):
        podium.data.open(folder, labels="form")


def test_archive_with_a_table_of_another_name(competition, cache):
    folder = competition(".zip", sample=None)
    (folder / "trainLabels.csv").rename(folder / "answers.csv")
    assert len(podium.data.open(folder).train) == 12


def test_ids_that_are_one_without_their_suffix(competition, png, cache):
    train = {f"train/{i}.png": png(i) for i in range(1, 3)}
    refused(competition(train=train, labels="id,label\n1.png,cat\n1.jpg,dog\n"), DataError, "trainLabels.csv")


def test_a_table_of_paths_below_train(competition, png, write_archive, tmp_path, cache):
    folder = tmp_path / "deep"
    write_archive(folder / "train", {f"{'ab'[i % 2]}/{i // 2}.png": png(i) for i in range(12)})
    rows = "".join(f"train/{'ab'[i % 2]}/{i // 2}.png,{'xyz'[i % 3]}\n" for i in range(12))
    (folder / "train.csv").write_text(f"path,label\n{rows}")
    dataset = podium.data.open(folder)
    assert (dataset.kind, len(dataset.train), dataset.classes) == ("table", 12, ("x", "y", "z"))
    (folder / "train.csv").write_text("number,name\n0,a\n1,b\n")  # not about images: folders of classes
    dataset = podium.data.open(folder)
    assert (dataset.kind, dataset.classes) == ("folder", ("a", "b"))


def test_a_label_may_have_a_slash(competition, cache):
    folder = competition(
        "", labels="id,label\n" + "".join(f"{i},{'n/a' if i % 2 else 'cat'}\n" for i in range(1, 13)), sample=None
    )
    dataset = podium.data.open(folder)
    assert (dataset.kind, dataset.classes) == ("kaggle", ("cat", "n/a"))
