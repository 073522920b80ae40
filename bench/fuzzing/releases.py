"""CIFAR's releases, as pickles, binaries and tars, and ImageNet's: the devkit, Kaggle's tables, a tar of tars."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fuzzing.material import picture, read_all, tar_of, write
from fuzzing.mutate import mended_tar
from fuzzing.reader import Reader

__all__ = ["READERS"]

WNIDS = ("n01440764", "n01443537", "n02084071", "n02958343")

# ---- CIFAR


def pickled(value: object) -> bytes:
    """As Python 2 wrote it, in protocol 2: a dict of byte strings, whole numbers, lists and arrays of bytes."""
    return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: object) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
        case bytes():
            return (
                b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value
            )
        case list():
            return b"](" + b"".join(map(_pickled, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(_pickled, value)) + b"t"
        case dict():
            return b"}(" + b"".join(_pickled(one) for pair in value.items() for one in pair) + b"u"
        case np.ndarray():
            kind = (
                b"cnumpy\ndtype\n"
                + _pickled((b"u1", 0, 1))
                + b"R"
                + _pickled((3, b"|", None, None, None, -1, -1, 0))
                + b"b"
            )
            state = _pickled(1) + _pickled(value.shape) + kind + _pickled(False) + _pickled(value.tobytes())
            array = b"(cnumpy\nndarray\n" + _pickled((0,)) + _pickled(b"b") + b"t"
            return b"cnumpy.core.multiarray\n_reconstruct\n" + array + b"R(" + state + b"tb"
    raise AssertionError(type(value))


def _rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 3072), np.uint8)


def _batch(count: int = 3) -> bytes:
    labels = [number % 2 for number in range(count)]
    names = [b"image_%d.png" % number for number in range(count)]
    return pickled(
        {
            b"filenames": names,
            b"batch_label": b"one",
            b"fine_labels": labels,
            b"coarse_labels": labels,
            b"data": _rows(count),
        }
    )


META = {b"fine_label_names": [b"cat", b"dog"], b"coarse_label_names": [b"wild", b"tame"]}


def _batches() -> Sequence[bytes]:
    evil = b"\x80\x02cos\nsystem\n(U\x05touchtR."
    return [_batch(), _batch(1), pickled(META), evil, pickled({b"data": [1, b"x", 300, -1]}), b"\x80\x04\x95\0\0\0\0."]


def _as_batch(work: Path, data: bytes) -> object:
    return read_all(write(work / "cifar-100-python", {"train": data, "test": _batch(2), "meta": pickled(META)}))


def _as_meta(work: Path, data: bytes) -> object:
    return read_all(write(work / "cifar-100-python", {"train": _batch(), "test": _batch(2), "meta": data}))


def _pickle(_: Path, data: bytes) -> object:
    from podium.data.pickles import read_pickle

    return read_pickle(io.BytesIO(data), len(data), "train")


def _records() -> Sequence[bytes]:
    labels = np.array([[0, 0], [1, 1], [0, 1]], np.uint8)
    return [np.hstack([labels, _rows(3)]).tobytes(), b"", b"\0" * 3074]


NAMES = b"cat\ndog\n"


def _as_binary(work: Path, data: bytes) -> object:
    names = {"fine_label_names.txt": NAMES, "coarse_label_names.txt": NAMES}
    return read_all(write(work / "cifar-100-binary", {"train.bin": data, "test.bin": _records()[0]} | names))


def _as_names(work: Path, data: bytes) -> object:
    names = {"fine_label_names.txt": data, "coarse_label_names.txt": NAMES}
    return read_all(write(work / "cifar-100-binary", {"train.bin": _records()[0], "test.bin": _records()[0]} | names))


def _packed() -> Sequence[bytes]:
    files = {"train": _batch(), "test": _batch(2), "meta": pickled(META)}
    found = [tar_of({f"cifar-100-python/{name}": data for name, data in files.items()})]
    return [
        *found,
        tar_of({f"../{name}": data for name, data in files.items()}),
        tar_of({"cifar-100-python/train": _batch()}),
    ]


def _gzipped(data: bytes, rng: random.Random) -> bytes:
    return gzip.compress(data, 1) if rng.random() < 0.8 else data


def _as_release(work: Path, data: bytes) -> object:
    return read_all(write(work, {"cifar-100-python.tar.gz": data}) / "cifar-100-python.tar.gz")


# ---- ImageNet

TRUTH, SYNSETS = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"


def _mats() -> Sequence[bytes]:
    import scipy.io

    names = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    rows = [(4 - place, wnid, "words", 0) for place, wnid in enumerate(WNIDS)]
    array = np.array(rows, [(name, "O") for name in names])[:, None]
    found = []
    for variables, compressed in (({"synsets": array}, True), ({"synsets": array}, False), ({"other": array}, False)):
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, variables, do_compression=compressed)
        found.append(buffer.getvalue())
    return found


def _train_tar() -> bytes:
    tars = {
        f"{wnid}.tar": tar_of({f"{wnid}_{number}.JPEG": picture(number, "JPEG") for number in (1, 2)}) for wnid in WNIDS
    }
    return tar_of(tars)


def _val_tar() -> bytes:
    return tar_of({f"ILSVRC2012_val_{number:08}.JPEG": picture(number, "JPEG") for number in (1, 2, 3)})


def _imagenet(work: Path, **changed: bytes) -> object:
    files = {"train": _train_tar(), "val": _val_tar(), "truth": b"1\n2\n3\n", "mat": _mats()[1]} | changed
    kit = "ILSVRC2012_devkit_t12/data"
    places = {"ILSVRC2012_img_train.tar": files["train"], "ILSVRC2012_img_val.tar": files["val"]}
    write(work / "data", places | {f"{kit}/{TRUTH}": files["truth"], f"{kit}/{SYNSETS}": files["mat"]})
    return read_all(work / "data", image_size=4)


def _mat(work: Path, data: bytes) -> object:
    from podium.data.sources.devkit import ground_truth

    return ground_truth(write(work / "kit", {TRUTH: b"1\n2\n3\n", SYNSETS: data}))


def _truth(work: Path, data: bytes) -> object:
    from podium.data.sources.devkit import ground_truth

    return ground_truth(write(work / "kit", {TRUTH: data, SYNSETS: _MAT}))


_MAT = b""


def _prepare(_: Path) -> None:
    global _MAT  # noqa: PLW0603  (made once in each process)
    _MAT = _mats()[1]


KAGGLE = "ILSVRC/Data/CLS-LOC"


def _solution() -> Sequence[bytes]:
    rows = b"".join(b"ILSVRC2012_val_%08d,%s 1 2 10 20\n" % (place + 1, WNIDS[place].encode()) for place in range(3))
    return [b"ImageId,PredictionString\n" + rows, b"ImageId,PredictionString\n" + rows.replace(b"\n", b"\r\n")]


def _kaggle_files() -> dict[str, bytes]:
    files = {f"{KAGGLE}/train/{wnid}/{wnid}_{n}.JPEG": picture(n, "JPEG") for wnid in WNIDS for n in (1, 2)}
    files |= {f"{KAGGLE}/val/ILSVRC2012_val_{n:08}.JPEG": picture(n, "JPEG") for n in (1, 2, 3)}
    files |= {f"{KAGGLE}/test/ILSVRC2012_test_{n:08}.JPEG": picture(n, "JPEG") for n in (1, 2)}
    mapping = "".join(f"{wnid} words of it\n" for wnid in WNIDS).encode()
    sample = b"ImageId,PredictionString\nILSVRC2012_test_00000002,x\nILSVRC2012_test_00000001,x\n"
    tables = {"LOC_synset_mapping.txt": mapping, "LOC_sample_submission.csv": sample}
    return files | tables | {"LOC_val_solution.csv": _solution()[0]}


def _prepare_kaggle(folder: Path) -> None:
    write(folder / "data", _kaggle_files())


def _kaggle_tables() -> Sequence[bytes]:
    files = _kaggle_files()
    return [*_solution(), files["LOC_synset_mapping.txt"], files["LOC_sample_submission.csv"]]


def _as_table(work: Path, data: bytes) -> object:
    """Each of Kaggle's three tables in turn, told by what the input begins with; the others are as they should be."""
    files = _kaggle_files()
    name = "LOC_synset_mapping.txt" if data[:1] == b"n" else "LOC_val_solution.csv"
    for other in ("LOC_synset_mapping.txt", "LOC_val_solution.csv"):
        (work / "data" / other).write_bytes(data if other == name else files[other])
    return read_all(work / "data", image_size=4)


def _kaggle_zips() -> Sequence[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in _kaggle_files().items():
                archive.writestr(name, data)
        found.append(buffer.getvalue())
    return found


def _as_kaggle_zip(work: Path, data: bytes) -> object:
    return read_all(write(work / "data", {"imagenet.zip": data}) / "imagenet.zip", image_size=4)


READERS = (
    Reader("pickle", 12, _batches, _pickle, focus=400),
    Reader("CIFAR, Python version", 2, _batches, _as_batch, focus=400),
    Reader("CIFAR, class names", 2, lambda: [pickled(META), _batch(1)], _as_meta),
    Reader("CIFAR, binary version", 2, _records, _as_binary),
    Reader("CIFAR, names of the binary version", 1, lambda: [NAMES, b"cat\r\ndog\n\n"], _as_names),
    Reader("CIFAR, packed", 2, _packed, _as_release, mended_tar, wrap=_gzipped),
    Reader("devkit, meta.mat", 6, lambda: [_mats()[1], *_mats()], _mat),
    Reader("devkit, ground truth", 2, lambda: [b"1\n2\n3\n", b"1\r\n4\r\n"], _truth, prepare=_prepare),
    Reader(
        "ImageNet, train tar", 2, lambda: [_train_tar()], lambda work, data: _imagenet(work, train=data), mended_tar
    ),
    Reader("ImageNet, val tar", 2, lambda: [_val_tar()], lambda work, data: _imagenet(work, val=data), mended_tar),
    Reader("ImageNet, Kaggle's tables", 2, _kaggle_tables, _as_table, prepare=_prepare_kaggle, keeps=True),
    Reader("ImageNet, Kaggle's zip", 2, _kaggle_zips, _as_kaggle_zip),
)
