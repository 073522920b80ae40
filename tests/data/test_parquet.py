import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import podium.data
from podium.data import packing, parquet_files
from podium.errors import ArchiveError, DataError, ImageError

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = ["sushi", "pizza", "apple pie"]  # not sorted: the numbers are the hub's


def write(path, images, columns=None, names=None, *, image="image", kind="struct", classes=("label",), **options):
    """Writes rows as datasets' `to_parquet` does: images as structs, ClassLabels in the schema's metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or {}
    struct = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    values = [None if data is None else {"bytes": data, "path": f"{i}.png"} for i, data in enumerate(images)]
    arrays = {image: arrow.array(values, struct) if kind == "struct" else arrow.array(list(images), kind)}
    arrays |= {name: arrow.array(values) for name, values in columns.items()}
    features = {image: {"_type": "Image"}}
    features |= {name: {"names": names or NAMES, "_type": "ClassLabel"} for name in classes if name in columns}
    table = arrow.table(arrays).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, **options)
    return path


@pytest.fixture
def food(tmp_path, png, cache):
    """Writes twelve, six and three images as two, one and one files; returns their folder."""

    def make(
        places=("data/train-00000-of-00002", "data/train-00001-of-00002", "data/validation-0", "data/test-0"), **options
    ):
        for place, start, stop in zip(places, (0, 8, 12, 18), (8, 12, 18, 21), strict=False):
            labels = {"label": [i % 3 for i in range(start, stop)]}
            if "test" in place and "validation" in "".join(places):
                labels = {"label": [-1] * 3}
            write(tmp_path / "food" / f"{place}.parquet", [png(i) for i in range(start, stop)], labels, **options)
        return tmp_path / "food"

    return make


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


def pixels_of(png, numbers):
    return [np.asarray(Image.open(io.BytesIO(png(i)))) for i in numbers]


@pytest.mark.parametrize(
    "places",
    [
        ("data/train-00000-of-00002", "data/train-00001-of-00002", "data/validation-00000-of-00001", "data/test-0"),
        ("train-00000-of-00002", "train-00001-of-00002", "validation-0", "test-0"),
        (
            "plain_text/train-00000-of-00002",
            "plain_text/train-00001-of-00002",
            "plain_text/validation-0",
            "plain_text/test-0",
        ),
        ("train/0000", "train/0001", "validation/0000", "test/0000"),
    ],
)
def test_splits(places, food, png):
    dataset = podium.data.open(food(places))
    train, evaluation, test = dataset.train, dataset.evaluation, dataset.test
    assert (dataset.kind, dataset.name, dataset.labels_from) == ("parquet", "food", "label")
    assert train.classes == ("apple pie", "pizza", "sushi")
    assert train.ids.tolist() == [str(i) for i in range(12)]
    assert [train.classes[label] for label in train.labels] == [NAMES[i % 3] for i in range(12)]
    np.testing.assert_array_equal(train.pixels, pixels_of(png, range(12)))
    assert dataset.evaluation_name == "validation split"
    np.testing.assert_array_equal(evaluation.pixels, pixels_of(png, range(12, 18)))
    assert [train.classes[label] for label in evaluation.labels] == [NAMES[i % 3] for i in range(12, 18)]
    assert test.labels is None
    np.testing.assert_array_equal(test.pixels, pixels_of(png, range(18, 21)))
    stream = podium.data.open(dataset.path).stream_test(2)
    assert stream.ids.tolist() == ["0", "1", "2"]


def test_a_labelled_test_split_is_to_measure_on(food):
    dataset = podium.data.open(food(("train-0", "train-1", "test-0")))
    assert (dataset.evaluation_name, len(dataset.evaluation), dataset.test) == ("test split", 6, None)


def test_one_file(food):
    path = food() / "data" / "train-00000-of-00002.parquet"
    dataset = podium.data.open(path)
    assert (dataset.name, len(dataset.train), dataset.evaluation, dataset.test) == (path.stem, 8, None, None)
    alone = podium.data.open(food().joinpath("data", "validation-0.parquet"))
    assert len(alone.train) == 6


def test_files_whose_names_say_nothing_are_all_to_train_on(food):
    dataset = podium.data.open(food(("part-0", "part-1", "part-10")))
    assert len(dataset.train) == 18
    assert dataset.train.ids[-1] == "17"


@pytest.mark.parametrize("kind", ["struct", "binary", "large_binary"])
@pytest.mark.parametrize("image", ["image", "img"])
def test_images_as_structs_and_as_bytes(image, kind, food, png):
    train = podium.data.open(food(image=image, kind=kind)).train
    np.testing.assert_array_equal(train.pixels, pixels_of(png, range(12)))


def test_fine_and_coarse_labels(tmp_path, png, cache):
    columns = {"fine_label": [i % 3 for i in range(9)], "coarse_label": [i % 2 for i in range(9)]}
    path = write(tmp_path / "cifar.parquet", [png(i) for i in range(9)], columns, image="img", classes=list(columns))
    fine, coarse = podium.data.open(path), podium.data.open(path, labels="coarse")
    assert (fine.labels_from, coarse.labels_from) == ("fine_label", "coarse_label")
    assert [fine.classes[k] for k in fine.train.labels] == [NAMES[i % 3] for i in range(9)]
    assert [coarse.classes[k] for k in coarse.train.labels] == [NAMES[i % 2] for i in range(9)]
    assert fine.fingerprint != coarse.fingerprint
    assert podium.data.open(path, labels="coarse_label").fingerprint == coarse.fingerprint
    assert len(cache.packs()) == 1
    refused(path, "no column 'rough'", "fine_label, coarse_label", labels="rough")


def test_labels_without_names_and_ids_of_a_column(tmp_path, png, cache):
    columns = {"label": [0, 2, 10, 0], "image_id": ["d10", "d9", "a", "b"]}
    path = write(tmp_path / "x.parquet", [png(i) for i in range(4)], columns, classes=())
    train = podium.data.open(path).train
    assert train.classes == ("0", "10", "2")
    assert train.ids.tolist() == ["a", "b", "d9", "d10"]
    assert [train.classes[label] for label in train.labels] == ["10", "0", "2", "0"]
    np.testing.assert_array_equal(train.pixels, pixels_of(png, [2, 3, 1, 0]))
    columns = {"label": ["cat", "dog", "cat", "emu"], "id": [1, 1, 2, 3]}  # not of different values
    path = write(tmp_path / "y.parquet", [png(i) for i in range(4)], columns, classes=())
    train = podium.data.open(path).train
    assert train.classes == ("cat", "dog", "emu")
    assert train.ids.tolist() == ["0", "1", "2", "3"]


def test_second_opening_decodes_nothing(food, cache, monkeypatch):
    path = food()
    before = read_all(path)
    monkeypatch.setattr(packing, "decode_all", None)  # would fail if it were called
    for first, second in zip(before, read_all(path), strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)
    assert len(cache.packs()) == 3


def test_fingerprint_does_not_depend_on_how_rows_are_cut_into_files(food, tmp_path, png):
    path = write(tmp_path / "all.parquet", [png(i) for i in range(12)], {"label": [i % 3 for i in range(12)]})
    assert podium.data.open(path).fingerprint == podium.data.open(food()).fingerprint


def test_mixed_sizes(tmp_path, png, cache):
    path = write(tmp_path / "x.parquet", [png(0), png(1), png(2, 16)], {"label": [0, 1, 2]})
    refused(path, "x.parquet: row 2 is 16x16 pixels", "8x8", "--image-size", error=ImageError)
    assert podium.data.open(path, image_size=10).train.size == (10, 10)


@pytest.mark.parametrize(
    ("images", "says", "error"),
    [
        ([b"no image"], "row 1: is no image", ImageError),
        ([None], "row 1 has no image", ImageError),
        ([b""], "row 1: is empty", ImageError),
    ],
)
def test_rows_without_a_good_image(images, says, error, tmp_path, png, cache):
    path = write(tmp_path / "a" / "train-0.parquet", [png(i) for i in range(3)], {"label": [0, 1, 2]})
    write(path.with_name("train-1.parquet"), [png(3), *images], {"label": [0, 1]})
    refused(path.parent, f"train-1.parquet: {says}", error=error)
    assert cache.packs() == []


def test_an_image_of_absurd_size(tmp_path, png, cache, monkeypatch):
    monkeypatch.setattr(parquet_files, "MAX_MEMBER_BYTES", 1000)
    path = write(tmp_path / "x.parquet", [png(0), bytes(1001)], {"label": [0, 1]})
    refused(path, "row 1 has 1,001 bytes", error=ArchiveError)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"label": [0, 1, 3]}, ("row 2 has the label 3, beyond its 3 classes",)),
        ({"label": [0, -2, 1]}, ("row 1 has the label -2",)),
        ({"label": [0, None, 1]}, ("row 1 has no label",)),
        ({"label": [0, 1, -1]}, ("row 2 has no label",)),
        ({"size": [0, 1, 2]}, ("no column of labels", "--labels COLUMN")),
    ],
)
def test_bad_labels(columns, says, tmp_path, png, cache):
    path = write(tmp_path / "x.parquet", [png(i) for i in range(3)], columns)
    refused(path, *says)
    assert cache.packs() == []


def test_two_columns_of_labels(tmp_path, png, cache):
    columns = {"kind": [0, 1, 2], "colour": [0, 1, 2]}
    path = write(tmp_path / "x.parquet", [png(i) for i in range(3)], columns, classes=list(columns))
    refused(path, "several columns of labels: kind, colour", "--labels")
    assert podium.data.open(path, labels="colour").labels_from == "colour"


def test_a_class_that_the_training_rows_have_not(tmp_path, png, cache):
    for split, labels in (("train", ["a", "b"]), ("test", ["a", "c"])):
        write(tmp_path / "x" / f"{split}.parquet", [png(0), png(1)], {"label": labels}, classes=())
    refused(tmp_path / "x", "x (test): row 1 has the label 'c'", "a, b")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "first bytes"),
        (b"<html>", "first bytes"),
        (b"PAR1" + bytes(40), "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_what_is_no_parquet(content, says, tmp_path, cache):
    (tmp_path / "x.parquet").write_bytes(content)
    refused(tmp_path / "x.parquet", says, error=ArchiveError)


def test_damaged_files_give_an_error_or_good_images(tmp_path, png, cache):
    path = write(tmp_path / "x.parquet", [png(i, 32) for i in range(20)], {"label": [i % 3 for i in range(20)]})
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for i in range(80):
        damaged = bytearray(content)
        if i % 4 == 0:
            damaged = damaged[: int(rng.integers(len(content)))]
        else:
            for _ in range(3):
                damaged[int(rng.integers(len(content)))] = int(rng.integers(256))
        path.write_bytes(damaged)
        try:
            assert podium.data.open(path).train.size == (32, 32)
        except DataError as error:
            assert str(error).count("\n") <= 1  # noqa: PT017
    assert not any(name.startswith(".") for name in cache.packs())


def test_no_images_and_no_split(tmp_path, png, cache):
    table = arrow.table({"text": ["a"], "label": [1]})
    parquet.write_table(table, tmp_path / "text.parquet")
    refused(tmp_path / "text.parquet", "no column of images", "text, label")
    write(tmp_path / "x" / "train-0.parquet", [png(0)], {"label": [0]})
    write(tmp_path / "x" / "rest.parquet", [png(0)], {"label": [0]})
    refused(tmp_path / "x", "rest.parquet: of which split")
    for split in ("test", "validation"):
        write(tmp_path / "y" / f"{split}.parquet", [png(0)], {"label": [0]})
    refused(tmp_path / "y", "files of test and val, but none of train")
    for name in ("one", "two"):
        write(tmp_path / "z" / name / "train.parquet", [png(0)], {"label": [0]})
    refused(tmp_path / "z", "several sets of Parquet files: one, two")
    write(tmp_path / "w" / "train-0.parquet", [png(0)], {"label": [0]})
    write(tmp_path / "w" / "train-1.parquet", [png(0)], {"colour": [0]})
    refused(tmp_path / "w", "train-1.parquet: has no column label")


def test_without_pyarrow(food, monkeypatch):
    path = food()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'podium-vision\[parquet\]'") as caught:
        podium.data.open(path)
    assert "\n" not in str(caught.value)


MEASURE = """
import sys
import podium.data
import pyarrow.parquet
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before = peak()
assert len(podium.data.open(sys.argv[1]).train) == int(sys.argv[2])
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="has no such measure")
@pytest.mark.parametrize("options", [{"row_group_size": 100}, {"row_group_size": 10**9, "write_batch_size": 16}])
def test_memory_is_flat(options, tmp_path, cache):
    """Row groups as the hub writes them; and one group, whose pages are small. Four times the rows take no more."""
    rng, images = np.random.default_rng(0), []
    for _ in range(2000):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (128, 128, 3), np.uint8)).save(buffer, "PNG", compress_level=0)
        images.append(buffer.getvalue())
    peaks = []
    for count in (500, 2000):
        labels = {"label": [i % 3 for i in range(count)]}
        path = write(tmp_path / f"{count}.parquet", images[:count], labels, **options)
        command = [sys.executable, "-c", MEASURE, path, str(count)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert path.stat().st_size > 90_000_000
    assert peaks[1] - peaks[0] < 20  # MiB
