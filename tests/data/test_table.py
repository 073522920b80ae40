import io
import re

import numpy as np
import pytest
from PIL import Image

import podium.data
from podium.data import packing, summarize
from podium.data.sources.paths import Paths
from podium.errors import DataError, ImageError, TableError

NAMES = [f"images/{'ab'[i % 2]}/{i}.png" for i in range(12)]
LABELS = [("owl", "wren", "rook")[i % 3] for i in range(12)]


@pytest.fixture
def birds(tmp_path, png, write_archive, cache):
    """Writes twelve images and some tables; a table's rows are made of each image's path, stem and label."""

    def make(tables=None, more=(), folder="birds"):
        files = {name: png(i) for i, name in enumerate(NAMES)} | {name: png(100 + i) for i, name in enumerate(more)}
        path = write_archive(tmp_path / folder, files)
        for name, text in (tables or {}).items():
            (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def rows(form, which=range(12)):
    return "".join(
        form.format(path=NAMES[i], stem=i, base=f"{i}.png", label=LABELS[i], bare=NAMES[i][:-4]) + "\n" for i in which
    )


def refused(path, *says, error=TableError, **options):
    with pytest.raises(error) as caught:
        read_all(path, **options)
    message = str(caught.value)
    assert message.count("\n") <= 1, message
    for part in says:
        assert part in message, message


def read_all(path, **options):
    dataset = podium.data.open(path, **options)
    return dataset.train, dataset.evaluation, dataset.test


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("path,label", "{path},{label}"),
        ("file,class", "{base},{label}"),
        ("label,filename", "{label},{path}"),
        ("id_code,diagnosis", "{stem},{label}"),
        ("image_id,label", "{bare},{label}"),
        ("foto,Art", "./{path},{label}"),
        ("filepaths,labels,width", "birds/{path},{label},8"),
        ("number,width,image,species", "{stem}00,8,images\\{base},{label}"),
        ("class_id,class_name,image_path", "0,{label},/{path}"),
    ],
)
def test_columns_are_found_by_what_is_in_them(header, form, birds, png):
    path = birds({"labels.csv": f"{header}\n{rows(form)}"})
    dataset = podium.data.open(path)
    train = dataset.train
    assert (dataset.kind, dataset.name) == ("table", "birds")
    assert train.classes == ("owl", "rook", "wren")
    assert len(train) == 12
    number = [int(re.search(r"(\d+?)(00)?(\.png)?$", image_id)[1]) for image_id in train.ids.tolist()]
    assert [train.classes[label] for label in train.labels] == [LABELS[i] for i in number]
    np.testing.assert_array_equal(train.pixels, [np.asarray(Image.open(io.BytesIO(png(i)))) for i in number])
    assert (dataset.evaluation, dataset.test) == (None, None)
    assert podium.data.open(path / "labels.csv").fingerprint == dataset.fingerprint


def test_a_column_may_be_chosen(birds):
    path = birds({"labels.csv": "path,kind,Colour Name\n" + rows("{path},{label},{stem}")})
    refused(path, "labels.csv, line 1", "kind, Colour Name", "--labels COLUMN")
    refused(path, "no column 'size'", "path, kind, Colour Name", labels="size")
    dataset = podium.data.open(path, labels="kind")
    assert (dataset.labels_from, dataset.classes) == ("kind", ("owl", "rook", "wren"))
    for name in ("colour_name", "Colour Name"):
        dataset = podium.data.open(path, labels=name)
        assert (dataset.labels_from, len(dataset.classes)) == ("Colour Name", 12)


def test_a_column_of_parts(birds):
    table = "path,label,Split\n" + "".join(
        f"{NAMES[i]},{LABELS[i] if i < 9 else ''},{('Training', 'valid', 'TEST')[i // 6 + (i > 8)]}\n"
        for i in range(12)
    )
    dataset = podium.data.open(birds({"birds.csv": table}))
    assert dataset.evaluation_name == "validation rows"
    assert [len(dataset.train), len(dataset.evaluation), len(dataset.test)] == [6, 3, 3]
    assert dataset.test.labels is None
    assert sorted(dataset.test.ids.tolist()) == sorted(NAMES[9:])
    assert dataset.faults() == []


def test_labelled_test_rows_are_to_measure_on(birds):
    table = "path,label,set\n" + rows("{path},{label},train", range(9)) + rows("{path},{label},test", range(9, 12))
    dataset = podium.data.open(birds({"birds.csv": table}))
    assert (dataset.evaluation_name, len(dataset.evaluation), dataset.test) == ("labelled test rows", 3, None)


def test_a_table_for_each_part(birds):
    tables = {
        "train.csv": "path,label\n" + rows("{path},{label}", range(6)),
        "val.csv": "path,label\n" + rows("{base},{label}", range(6, 9)),
        "test.csv": "id,width,height\n" + rows("{stem},8,8", range(9, 12)),
        "sample_submission.csv": "id,label\n11,owl\n9,owl\n10,owl\n",
    }
    dataset = podium.data.open(birds(tables))
    assert [len(dataset.train), len(dataset.evaluation), len(dataset.test)] == [6, 3, 3]
    assert sorted(dataset.test.ids.tolist()) == ["10", "11", "9"]
    assert dataset.sample_submission.ids.tolist() == ["11", "9", "10"]
    stream = podium.data.open(dataset.path).stream_test(2)
    assert [stream.ids.tolist(), sum(len(some) for some, _ in stream.batches)] == [dataset.test.ids.tolist(), 3]


def test_sample_submission_of_other_ids(birds):
    tables = {
        "train.csv": "path,label\n" + rows("{path},{label}", range(9)),
        "test.csv": "id\n" + rows("{stem}", range(9, 12)),
        "sample_submission.csv": "id,label\n11,owl\n9,owl\n12,owl\n",
    }
    refused(birds(tables), "sample_submission.csv, line 4: id '12' has no image in birds")


def test_second_opening_decodes_nothing(birds, cache, monkeypatch):
    path = birds({"labels.csv": "path,label\n" + rows("{path},{label}")})
    before = podium.data.open(path).train.pixels.copy()
    monkeypatch.setattr(packing, "decode_all", None)  # would fail if it were called
    np.testing.assert_array_equal(podium.data.open(path).train.pixels, before)
    (path / "labels.csv").write_text("path,label\n" + rows("{path},x{label}"))
    assert podium.data.open(path).classes == ("xowl", "xrook", "xwren")
    assert len(cache.packs()) == 1


def test_what_is_left_out_is_said(birds):
    path = birds({"labels.csv": "path,label\n" + rows("{path},{label}", range(9)), "notes.txt": "x"}, more=["x/y.png"])
    assert summarize(podium.data.open(path)).faults[-1] == (
        f"Left out, since without a row: 4 images, {', '.join(sorted([*NAMES[9:], 'x/y.png']))}."
    )


def test_images_that_no_row_names_are_not_decoded(birds):
    path = birds({"labels.csv": "path,label\n" + rows("{path},{label}", range(9))})
    (path / NAMES[11]).write_bytes(b"no image")
    assert len(podium.data.open(path).train) == 9
    (path / NAMES[3]).write_bytes(b"no image")
    refused(path, NAMES[3], error=ImageError)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("path,label\n{rows}images/a/99.png,owl\n", ("labels.csv, line 14", "'images/a/99.png' has no image", "birds")),
        ("path,label\n{rows}98.png,owl\n99.png,owl\n", ("line 14", "'98.png'", "nor have 1 more")),
        ("path,label\n{rows}images/a/0.png,owl\n", ("line 14", "already in line 2")),
        ("path,label\n{rows}./images/a/0.png,owl\n", ("line 14", "already in line 2")),
        ("path,label\n{rows},owl\n", ("line 14", "path is empty")),
        ("path,label\n{rows}images/a/99.png\n", ("line 14", "1 of the header's 2 columns")),
        ("path,label,split\n{parts}", ("line 3", "'elsewhere' is none of train, val and test")),
        ("path,label,split\n{tests}", ("no row of the part train",)),
        ("path,label,split\n{mixed}", ("line 13", "has no label", "other rows of the part test have")),
        ("path,label,split\n{strange}", ("line 13", "'emu' is no class", "owl, rook, wren")),
    ],
)
def test_bad_rows(table, says, birds):
    parts = "".join(f"{NAMES[i]},{LABELS[i]},{'elsewhere' if i == 1 else 'train'}\n" for i in range(12))
    text = table.format(
        rows=rows("{path},{label}"),
        parts=parts,
        tests=rows("{path},{label},test"),
        mixed=rows("{path},{label},train", range(10)) + f"{NAMES[10]},owl,test\n{NAMES[11]},,test\n",
        strange=rows("{path},{label},train", range(11)) + f"{NAMES[11]},emu,val\n",
    )
    refused(birds({"labels.csv": text}), *says)


def test_a_name_of_several_images(birds):
    path = birds({"labels.csv": "file,label\n" + rows("{base},{label}")}, more=["other/3.png"])
    refused(path, "labels.csv, line 5", "'3.png' is the name of several images")


def test_a_row_without_label(birds):
    text = "path,label\n" + rows("{path},{label}", range(11)) + f"{NAMES[11]},\n"
    refused(birds({"labels.csv": text}), "labels.csv, line 13", "has no label")


@pytest.mark.parametrize("text", ["", "path,label\n", b"path,label\n\xff", 'path,label\n"images'])
def test_bad_tables(text, birds):
    path = birds({"mine.csv": text})
    refused(path / "mine.csv", "mine.csv")


def test_several_tables(birds):
    text = "path,label\n" + rows("{path},{label}")
    path = birds({"one.csv": text, "two.csv": text})
    refused(path, "one.csv and two.csv both list images", f"{path}/two.csv", error=DataError)
    assert len(podium.data.open(path / "one.csv").train) == 12


def test_a_table_that_lists_something_else(birds, tmp_path):
    path = birds({"classes.csv": "index,class\n1,owl\n", "notes.csv": "size,date\nbig,now\n"})
    dataset = podium.data.open(path)  # images/a and images/b
    assert (dataset.kind, dataset.classes) == ("folder", ("a", "b"))
    refused(path / "notes.csv", "none of its columns names images")


def test_paths_never_lead_out(birds, tmp_path, png):
    (tmp_path / "outside.png").write_bytes(png(1))
    text = "path,label\n" + rows("{path},{label}") + "../outside.png,owl\n"
    refused(birds({"labels.csv": text}), "line 14", "'../outside.png' has no image")


def test_paths():
    paths = Paths(["a/1.png", "a/2.jpg", "b/1.png", "b/3.png", "c.png"])
    assert paths.best(["a/1.png", "c.png"]) == (0, 2)
    assert paths.best(["x/a/1.png", "x/b/3.png"])[1] == 2
    assert [paths.find("1.png", 3), paths.find("3.png", 3), paths.find("c.png", 3)] == [None, "b/3.png", "c.png"]
    assert paths.complaint("1.png", 3, "there").startswith("is the name of several images there.")
    assert paths.complaint("9.png", 3, "there").startswith("has no image there.")


def test_names_alone_never_lead_to_another_part(tmp_path, png, write_archive, cache):
    """A competition whose train folder is missing: the labels' ids are the test images' names too."""
    path = write_archive(tmp_path / "lost", {f"test/{i}.png": png(i) for i in range(9)})
    (path / "trainLabels.csv").write_text("id,label\n" + "".join(f"{i},{i % 3}\n" for i in range(9)))
    refused(path, "trainLabels.csv, line 2: '0' has no image but test/0.png", "another part")
    (path / "trainLabels.csv").write_text("id,label\n" + "".join(f"test/{i}.png,{i % 3}\n" for i in range(9)))
    assert len(podium.data.open(path).train) == 9


def test_a_table_of_images_that_are_not_there(tmp_path, png, write_archive, cache):
    path = write_archive(tmp_path / "flat", {f"pics/{i}.png": png(i) for i in range(9)})
    (path / "labels.csv").write_text("file,label\nx.png,cat\n")
    refused(path, "flat/labels.csv: none of its columns names images that lie below")
