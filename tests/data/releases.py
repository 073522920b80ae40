"""CIFAR's releases in small, in the very form of the real ones: pickles as Python 2's cPickle wrote them."""

import io
import pickle
import struct
import tarfile
from typing import ClassVar

import numpy as np

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FINE = [f"fine_{i:02}" for i in range(20)]
COARSE = [f"coarse_{i}" for i in range(4)]


class Array:
    """Stands for an array that Python 2's NumPy pickled."""

    def __init__(self, content, *, is_fortran=False):
        self.content, self.is_fortran = content, is_fortran


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2's str, and arrays under NumPy's names of then."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        if len(value) < 256:
            self.write(b"U" + bytes([len(value)]) + value)
        else:
            self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_array(self, value):
        self.write(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n")
        self.save((0,))
        self.save(b"b")
        self.write(b"tR(")
        self.save(1)
        self.save(value.content.shape)
        self.write(b"cnumpy\ndtype\n(")
        for part in (b"u1", 0, 1):
            self.save(part)
        self.write(b"tR(")
        for part in (3, b"|", None, None, None, -1, -1, 0):
            self.save(part)
        self.write(b"tb")
        self.save(value.is_fortran)
        self.save(value.content.tobytes(order="F" if value.is_fortran else "C"))
        self.write(b"tb")

    dispatch[Array] = save_array


def python2_pickle(value):
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def rows(count, seed):
    """Images as the releases hold them, uint8 (count, 3072)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)


def pixels_of(content):
    """What the images of `rows` look like, uint8 (N, 32, 32, 3)."""
    return content.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _batch(content, labels, *, is_fortran=False):
    names = [b"image_s_%06d.png" % i for i in range(len(content))]
    keys = {key: list(map(int, values)) for key, values in labels.items()}
    return python2_pickle(
        {b"filenames": names, b"batch_label": b"a batch", b"data": Array(content, is_fortran=is_fortran)} | keys
    )


def hundred_parts():
    """Images, fine and coarse numbers of both splits of a small CIFAR-100."""
    fine = {"train": np.arange(60) % 20, "test": np.arange(20)[::-1]}
    return {
        split: (rows(len(numbers), seed), numbers, numbers // 5) for seed, (split, numbers) in enumerate(fine.items())
    }


def ten_parts():
    """Images and labels of the five training batches and the test batch of a small CIFAR-10."""
    return [(rows(4, 10 + i), (np.arange(4) * 3 + i) % 10) for i in range(6)]


def cifar100_python(*, is_fortran=False):
    files = {"file.txt~": b""}
    for split, (content, fine, coarse) in hundred_parts().items():
        files[split] = _batch(content, {b"fine_labels": fine, b"coarse_labels": coarse}, is_fortran=is_fortran)
    names = {b"fine_label_names": FINE, b"coarse_label_names": COARSE}
    return files | {"meta": python2_pickle({key: [n.encode() for n in value] for key, value in names.items()})}


def cifar100_binary():
    files = {}
    for split, (content, fine, coarse) in hundred_parts().items():
        records = np.concatenate([coarse[:, None], fine[:, None], content], axis=1).astype(np.uint8)
        files[f"{split}.bin"] = records.tobytes()
    return files | {f"{which}_label_names.txt": "\n".join(names).encode() + b"\n" for which, names in NAMES.items()}


NAMES = {"fine": FINE, "coarse": COARSE}


def cifar10_python():
    files = {"readme.html": b"<html>"}
    for i, (content, labels) in enumerate(ten_parts(), 1):
        files[f"data_batch_{i}" if i < 6 else "test_batch"] = _batch(content, {b"labels": labels})
    names = [name.encode() for name in TEN]
    return files | {
        "batches.meta": python2_pickle({b"num_cases_per_batch": 10000, b"label_names": names, b"num_vis": 3072})
    }


def cifar10_binary():
    files = {"readme.html": b"<html>", "batches.meta.txt": "\n".join([*TEN, "", ""]).encode()}
    for i, (content, labels) in enumerate(ten_parts(), 1):
        records = np.concatenate([labels[:, None].astype(np.uint8), content], axis=1)
        files[f"data_batch_{i}.bin" if i < 6 else "test_batch.bin"] = records.tobytes()
    return files


RELEASES = {
    "cifar-10-python": ("cifar-10-batches-py", cifar10_python),
    "cifar-10-binary": ("cifar-10-batches-bin", cifar10_binary),
    "cifar-100-python": ("cifar-100-python", cifar100_python),
    "cifar-100-binary": ("cifar-100-binary", cifar100_binary),
}


def write_release(parent, name, files=None, *, packed=False):
    """Writes a release into `parent`, as its folder or as its .tar.gz; returns its path."""
    folder, make = RELEASES[name]
    files = make() if files is None else files
    if packed:
        path = parent / f"{name}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for member, data in files.items():
                info = tarfile.TarInfo(f"{folder}/{member}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path
    path = parent / folder
    path.mkdir(parents=True)
    for member, data in files.items():
        (path / member).write_bytes(data)
    return path
