import csv
import gzip
import io

import ilsvrc
import numpy as np
import pytest
from ilsvrc import IDS, LAYOUTS, NUM_TEST, NUM_TRAIN, NUM_VAL, VAL, WNIDS
from PIL import Image

import podium.data
from podium.data import cache as cache_module
from podium.data import summarize
from podium.data.encoded import EncodedPixels
from podium.data.sources import ilsvrc_files
from podium.errors import ArchiveError, DataError, ImageError, TableError


def expected():
    """For each set the files in the order of the rows, and labels."""
    train = [data for found in ilsvrc.train_images().values() for data in found.values()]
    labels = [c for c in range(len(WNIDS)) for _ in range(NUM_TRAIN)]
    val = [WNIDS.index(wnid) for wnid in VAL]
    return train, labels, list(ilsvrc.val_images().values()), val, list(ilsvrc.images_of_test().values())


def contents(images):
    return [images.pixels.files.read(row) for row in range(len(images))]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_data_set(layout, tmp_path, cache):
    dataset = podium.data.open(LAYOUTS[layout](tmp_path / "imagenet"))
    train, labels, val, val_labels, test = expected()
    assert dataset.kind == "imagenet"
    assert dataset.classes == WNIDS
    assert contents(dataset.train) == train
    assert dataset.train.labels.tolist() == labels
    assert dataset.train.ids[:3].tolist() == ["n01440764_1", "n01440764_10", "n01440764_100"]
    assert contents(dataset.evaluation) == val
    assert dataset.evaluation.labels.tolist() == val_labels
    assert dataset.evaluation.ids.tolist() == [f"ILSVRC2012_val_{i + 1:08}" for i in range(NUM_VAL)]
    assert dataset.evaluation_name == "validation set"
    assert contents(dataset.test) == test
    assert dataset.test.labels is None
    assert dataset.test.ids.tolist() == [f"ILSVRC2012_test_{i + 1:08}" for i in range(NUM_TEST)]
    assert dataset.fingerprint == podium.data.open(ilsvrc.as_official(tmp_path / "other")).fingerprint
    if "kaggle" in layout:
        assert dataset.sample_submission.columns == ("ImageId", "PredictionString")
        assert dataset.sample_submission.ids.tolist() == dataset.test.ids.tolist()[::-1]
    else:
        assert dataset.sample_submission is None


def test_the_numbers_of_the_devkit_are_not_the_order_of_the_names(tmp_path, cache):
    """Where another devkit numbers the classes otherwise, the same lines mean other classes."""
    folder = ilsvrc.as_official_unpacked_kit(tmp_path)
    before = podium.data.open(folder).evaluation.labels
    ids = {wnid: 1 + place for place, wnid in enumerate(WNIDS)}
    (folder / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(ilsvrc.meta_mat(ids, compressed=False))
    after = podium.data.open(folder).evaluation.labels
    of_number = {number: wnid for wnid, number in IDS.items()}
    assert before.tolist() == [WNIDS.index(wnid) for wnid in VAL]
    assert after.tolist() == [IDS[wnid] - 1 for wnid in VAL] != before.tolist()
    assert [of_number[label + 1] for label in after] == VAL


def test_images_are_decoded_when_asked_for(tmp_path, cache):
    dataset = podium.data.open(ilsvrc.as_official(tmp_path), image_size=16)
    pixels = dataset.train.pixels
    assert isinstance(pixels, EncodedPixels)
    assert pixels.shape == (20, 16, 16, 3)
    assert dataset.resized_to == 16
    assert podium.data.open(tmp_path).train.size == (224, 224)
    mean = np.asarray(Image.open(io.BytesIO(expected()[0][7])).convert("RGB")).mean((0, 1))
    assert np.abs(pixels[7].mean((0, 1)) - mean).max() < 30
    assert np.array_equal(pixels[[7, 3]], np.stack([pixels[7], pixels[3]]))
    stream = dataset.stream_test(2)
    assert [len(rows) for rows, _ in stream.batches] == [2, 1]


def test_the_second_opening_reads_no_archive(tmp_path, cache, monkeypatch):
    folder = ilsvrc.as_official(tmp_path / "imagenet")
    monkeypatch.setattr(cache_module, "SETTLED_NS", -1)
    first = podium.data.open(folder)
    known = first.train.labels, first.fingerprint, first.faults(), contents(first.evaluation)

    def forbidden(*_):
        raise AssertionError

    monkeypatch.setattr(ilsvrc_files, "members_of_tar", forbidden)
    second = podium.data.open(folder)
    assert second.train.labels.tolist() == known[0].tolist()
    assert (second.fingerprint, second.faults(), contents(second.evaluation)) == known[1:]
    (folder / "ILSVRC2012_img_train.tar").touch()
    with pytest.raises(AssertionError):
        _ = podium.data.open(folder).train


def test_a_damaged_index_is_made_again(tmp_path, cache, monkeypatch):
    folder = ilsvrc.as_official(tmp_path / "imagenet")
    monkeypatch.setattr(cache_module, "SETTLED_NS", -1)
    fingerprint = podium.data.open(folder).fingerprint
    for path in cache.root.glob("indexes/*/all/offsets.npy"):
        path.write_bytes(path.read_bytes()[:-9])
    assert podium.data.open(folder).fingerprint == fingerprint
    for path in cache.root.glob("indexes/*/index.json"):
        path.write_text("[1")
    assert podium.data.open(folder).fingerprint == fingerprint
    assert not list(cache.root.glob("indexes/building-*"))


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path, cache):
    _ = podium.data.open(ilsvrc.as_official(tmp_path / "imagenet")).train
    assert not (cache.root / "indexes").exists()


def test_a_new_file_in_a_tree_is_found(tmp_path, cache, monkeypatch):
    folder = ilsvrc.as_class_folders(tmp_path / "imagenet")
    monkeypatch.setattr(cache_module, "SETTLED_NS", -1)
    before = podium.data.open(folder)
    assert len(before.train) == 20
    (folder / "train" / WNIDS[1] / f"{WNIDS[1]}_7.JPEG").write_bytes(ilsvrc.jpeg(7))
    after = podium.data.open(folder)
    assert np.bincount(after.train.labels).tolist() == [5, 6, 5, 5]
    assert after.fingerprint != before.fingerprint


def test_summary(tmp_path, cache):
    summary = summarize(podium.data.open(ilsvrc.as_kaggle(tmp_path / "imagenet"), image_size=32))
    assert summary.class_counts == dict.fromkeys(WNIDS, NUM_TRAIN)
    assert summary.evaluation_counts == {wnid: VAL.count(wnid) for wnid in WNIDS}
    assert (summary.num_train, summary.num_evaluation, summary.num_test) == (20, NUM_VAL, NUM_TEST)
    assert (summary.num_duplicates, summary.num_shared) == (None, None)
    assert summary.bytes == 31 * 32 * 32 * 3
    assert summary.faults[1:] == [
        "Equal images were not looked for: these are decoded when they are asked for, and are too many to be kept.",
        "Not the whole of ILSVRC2012: 20 of 1,281,167 training images, 8 of 50,000 validation images, "
        "3 of 100,000 test images; 4 of 1,000 classes.",
    ]


def test_a_member_that_is_no_image(tmp_path, cache):
    images = ilsvrc.train_images()
    images[WNIDS[2]] |= {"readme.txt": b"no image", f"{WNIDS[2]}_5.JPEG": b"no image either"}
    ilsvrc.as_official(tmp_path)
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(ilsvrc.train_tar(images))
    dataset = podium.data.open(tmp_path)
    assert len(dataset.train) == 21
    faults = summarize(dataset).faults
    assert any(fault.startswith("1 image of 32 tried can't be decoded: ") for fault in faults), faults
    assert f"n02084071.tar/{WNIDS[2]}_5.JPEG" in " ".join(faults)
    assert faults[-1] == "Left out of imagenet/train, since no images: 1 file, readme.txt.".replace(
        "imagenet/train", f"{tmp_path.name}/ILSVRC2012_img_train.tar"
    )
    with pytest.raises(ImageError, match=r"ILSVRC2012_img_train\.tar: n02084071\.tar/n02084071_5\.JPEG: is no image"):
        dataset.train.pixels[11]


def without(folder, name):
    (folder / name).unlink()
    return podium.data.open(folder)


def test_val_without_devkit(tmp_path, cache):
    dataset = without(ilsvrc.as_official(tmp_path), "ILSVRC2012_devkit_t12.tar.gz")
    assert len(dataset.train) == 20
    with pytest.raises(DataError, match="what says their classes is missing"):
        _ = dataset.evaluation
    assert "Put ILSVRC2012_devkit_t12.tar.gz" in " ".join(summarize(dataset).faults)


def test_devkit_without_synsets(tmp_path, cache):
    dataset = without(ilsvrc.as_official_unpacked_kit(tmp_path), "ILSVRC2012_devkit_t12/data/meta.mat")
    with pytest.raises(DataError, match=r"has no meta\.mat"):
        _ = dataset.evaluation


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("truth", ilsvrc.truth()[2:], DataError, "has 8 images, and the ground truth of data 7 lines"),
        ("truth", ilsvrc.truth() + b"1\n", DataError, "ground truth of data 9 lines"),
        ("truth", ilsvrc.truth()[2:] + b"99\n", TableError, "line 8: '99' is the number of no class"),
        ("truth", b"-1\n" + ilsvrc.truth()[2:], TableError, "line 1: '-1' is the number of no class"),
        ("truth", b"9\x1d\n" + ilsvrc.truth()[2:], TableError, "line 1: '9' is the number of no class"),
        ("truth", b"\xff\n" + ilsvrc.truth()[2:], TableError, "line 1: 'ÿ' is the number of no class"),
        ("meta", b"", ArchiveError, "meta.mat: damaged or not complete .it is no MATLAB 5 file"),
        ("meta", ilsvrc.meta_mat(compressed=False)[:900], ArchiveError, "it is cut short"),
        ("meta", ilsvrc.meta_mat()[:300], ArchiveError, "it is cut short"),
        ("meta", ilsvrc.meta_mat({**IDS, "n09": 1}), ArchiveError, "or is there twice"),
        ("meta", ilsvrc.meta_mat({**IDS, "n09": 2.5}), ArchiveError, "2.5 with 'n09' is no class"),
        ("meta", ilsvrc.meta_mat({**IDS, "n09": float("nan")}), ArchiveError, "nan with 'n09' is no class"),
    ],
)
def test_bad_devkits(name, content, error, message, tmp_path, cache):
    folder = ilsvrc.as_official_unpacked_kit(tmp_path)
    names = {"truth": "ILSVRC2012_validation_ground_truth.txt", "meta": "meta.mat"}
    (folder / "ILSVRC2012_devkit_t12" / "data" / names[name]).write_bytes(content)
    with pytest.raises(error, match=message):
        _ = podium.data.open(folder).evaluation


def test_a_class_without_training_images(tmp_path, cache):
    images = ilsvrc.train_images()
    del images["n02958343"]
    ilsvrc.as_official(tmp_path)
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(ilsvrc.train_tar(images))
    dataset = podium.data.open(tmp_path)
    assert len(dataset.classes) == 3
    with pytest.raises(DataError, match="is of class n02958343, of which there are no images to train on"):
        _ = dataset.evaluation
    assert "3 of 1,000 classes" in " ".join(dataset.faults())


@pytest.mark.parametrize("rows", [NUM_VAL - 1, NUM_VAL + 1])
def test_a_solution_of_other_images(rows, tmp_path, cache):
    folder = ilsvrc.as_kaggle(tmp_path)
    header, *lines = ilsvrc.solution().decode().splitlines()
    lines = [*lines, "ILSVRC2012_val_00000009,n01440764 1 1 2 2"][:rows]
    (folder / "LOC_val_solution.csv").write_text("\n".join([header, *lines]))
    with pytest.raises(DataError, match=r"has no (row|image) in"):
        _ = podium.data.open(folder).evaluation


def test_a_sample_submission_of_other_images(tmp_path, cache):
    folder = ilsvrc.as_kaggle(tmp_path)
    rows = list(csv.reader(ilsvrc.sample().decode().splitlines()))[:-1]
    (folder / "LOC_sample_submission.csv").write_text("\n".join(map(",".join, rows)))
    with pytest.raises(ArchiveError, match="has no row in LOC_sample_submission"):
        _ = podium.data.open(folder).test


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_tar_that_is_cut_short(part, tmp_path, cache):
    folder = ilsvrc.as_official(tmp_path)
    path = folder / f"ILSVRC2012_img_{part}.tar"
    whole = path.read_bytes()
    for length in (0, 1, 511, 512, 600, 1024, 5000, len(whole) // 2, len(whole.rstrip(b"\0")), 10240):
        path.write_bytes(whole[:length])
        dataset = podium.data.open(folder)
        with pytest.raises(ArchiveError, match="damaged or not complete"):
            _ = dataset.train if part == "train" else dataset.evaluation


def test_a_compressed_tar(tmp_path, cache):

    folder = ilsvrc.as_official(tmp_path)
    path = folder / "ILSVRC2012_img_train.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ArchiveError, match="a compressed one must be decompressed first"):
        _ = podium.data.open(folder).train


def test_images_in_no_class(tmp_path, cache):
    folder = ilsvrc.as_official(tmp_path)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(ilsvrc.tar_of(ilsvrc.val_images()))
    with pytest.raises(DataError, match="is in no folder or tar of a class"):
        _ = podium.data.open(folder).train


def test_labels_by_name_are_refused(tmp_path, cache):
    with pytest.raises(DataError, match="one set of labels"):
        podium.data.open(ilsvrc.as_official(tmp_path), labels="fine")


def test_other_sets_with_wordnet_ids_stay_folders(tmp_path, cache, png):
    """Tiny ImageNet and the like have small images, which are decoded once."""
    files = {f"train/{wnid}/images/{wnid}_{i}.png": png(i) for wnid in WNIDS for i in range(3)}
    dataset = podium.data.open(ilsvrc.write(tmp_path / "tiny", files))
    assert dataset.kind == "folder"
    assert dataset.train.size == (8, 8)


def test_names_that_are_not_unique_get_their_folders(tmp_path, cache):
    files = {f"train/{wnid}/{i}.JPEG": ilsvrc.jpeg(i) for wnid in WNIDS[:2] for i in (2, 10)}
    folder = ilsvrc.write(tmp_path, files | ilsvrc.devkit_files())
    ids = ["n01440764/2", "n01440764/10", "n01443537/2", "n01443537/10"]
    assert podium.data.open(folder).train.ids.tolist() == ids


def test_a_link_to_the_tar_is_found_beside_its_devkit(tmp_path, cache):
    folder = ilsvrc.as_official(tmp_path / "imagenet")
    path = folder / "ILSVRC2012_img_train.tar"
    path.rename(tmp_path / "elsewhere.tar")
    path.symlink_to(tmp_path / "elsewhere.tar")
    assert len(podium.data.open(path).evaluation) == NUM_VAL
