"""ILSVRC2012 in small, in every form that it comes in: real JPEGs, a tar of tars, the devkit's meta.mat."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

WNIDS = ("n01440764", "n01443537", "n02084071", "n02958343")
IDS = {"n02084071": 1, "n01443537": 2, "n02958343": 3, "n01440764": 4}  # no order of the names
NUM_TRAIN, NUM_VAL, NUM_TEST = 5, 8, 3  # images of each class; of all
VAL = [WNIDS[(3 * i + i // 4) % 4] for i in range(NUM_VAL)]
FIELDS = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images")


def jpeg(number):
    """Of its own size and colour; the same bytes for the same number."""
    random = np.random.default_rng(number)
    colours = random.integers(0, 256, (3, 4, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize((20 + number % 7, 24), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


def train_images():
    """Each class's images by name. Numbers of many lengths, so natural order is not that of the names."""
    return {
        wnid: {f"{wnid}_{10**i + c}.JPEG": jpeg(100 * c + i) for i in range(NUM_TRAIN)} for c, wnid in enumerate(WNIDS)
    }


def val_images():
    return {f"ILSVRC2012_val_{i + 1:08}.JPEG": jpeg(1000 + i) for i in range(NUM_VAL)}


def images_of_test():
    return {f"ILSVRC2012_test_{i + 1:08}.JPEG": jpeg(2000 + i) for i in range(NUM_TEST)}


def tar_of(files, kind=tarfile.GNU_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def meta_mat(ids=None, *, compressed=True):
    """As the devkit has it: a struct array with the classes first, then the synsets above them."""
    ids = ids or IDS
    empty = np.array([], np.uint16)
    rows = [(number, wnid, f"words of {wnid}, more", "a gloss", 0, empty, 0, 1300) for wnid, number in ids.items()]
    rows.sort(key=lambda row: row[0])
    rows.append((len(ids) + 1, "n00001740", "entity", "that which is", len(ids), np.arange(1, len(ids) + 1), 18, 0))
    array = np.array(rows, [(name, "O") for name in FIELDS]).reshape(-1, 1)
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"synsets": array}, do_compression=compressed)
    return buffer.getvalue()


def truth(val=VAL, ids=None):
    return "".join(f"{(ids or IDS)[wnid]}\n" for wnid in val).encode()


def devkit_files():
    return {
        "ILSVRC2012_devkit_t12/readme.txt": b"read me",
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": truth(),
        "ILSVRC2012_devkit_t12/data/meta.mat": meta_mat(),
    }


def solution():
    boxes = [f"{wnid} 1 2 10 20 " * (1 + i % 2) for i, wnid in enumerate(VAL)]
    order = sorted(range(NUM_VAL), key=lambda i: i * 5 % 8)  # Kaggle's rows are in no order
    rows = [f"ILSVRC2012_val_{i + 1:08},{boxes[i]}" for i in order]
    return "\n".join(["ImageId,PredictionString", *rows, ""]).encode()


def sample():
    rows = [f"ILSVRC2012_test_{i + 1:08},{WNIDS[0]} 1 1 2 2" for i in reversed(range(NUM_TEST))]
    return "\n".join(["ImageId,PredictionString", *rows, ""]).encode()


def write(folder, files):
    for name, data in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Path(folder)


def train_tar(images=None):
    return tar_of({f"{wnid}.tar": tar_of(files) for wnid, files in (images or train_images()).items()})


def official_files():
    return {
        "ILSVRC2012_img_train.tar": train_tar(),
        "ILSVRC2012_img_val.tar": tar_of(val_images()),
        "ILSVRC2012_img_test_v10102019.tar": tar_of({f"test/{name}": data for name, data in images_of_test().items()}),
    }


def loose(prefix=""):
    """Train in folders of classes, val and test flat."""
    files = {f"train/{wnid}/{name}": data for wnid, found in train_images().items() for name, data in found.items()}
    files |= {f"val/{name}": data for name, data in val_images().items()}
    files |= {f"test/{name}": data for name, data in images_of_test().items()}
    return {prefix + name: data for name, data in files.items()}


def kaggle_files():
    tables = {"LOC_val_solution.csv": solution(), "LOC_sample_submission.csv": sample()}
    mapping = "".join(f"{wnid} words of {wnid}, more\n" for wnid in WNIDS).encode()
    return loose("ILSVRC/Data/CLS-LOC/") | tables | {"LOC_synset_mapping.txt": mapping}


def as_official(folder):
    return write(folder, official_files() | {"ILSVRC2012_devkit_t12.tar.gz": gzip.compress(tar_of(devkit_files()))})


def as_official_unpacked_kit(folder):
    return write(folder, official_files() | devkit_files())


def as_train_tar(folder):
    return as_official(folder) / "ILSVRC2012_img_train.tar"


def as_kaggle(folder):
    return write(folder, kaggle_files())


def as_kaggle_inner(folder):
    return write(folder, kaggle_files()) / "ILSVRC" / "Data" / "CLS-LOC"


def as_kaggle_zip(folder, method=zipfile.ZIP_DEFLATED):
    Path(folder).mkdir(parents=True, exist_ok=True)
    path = Path(folder) / "imagenet-object-localization-challenge.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in kaggle_files().items():
            archive.writestr(name, data)
        archive.writestr("ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml", b"<annotation/>")
    return path


def as_kaggle_zip_stored_in_folder(folder):
    return as_kaggle_zip(folder, zipfile.ZIP_STORED).parent


def as_folders_with_kit(folder):
    return write(folder, loose() | devkit_files())


def as_class_folders(folder):
    files = {name: data for name, data in loose().items() if not name.startswith("val/")}
    labelled = zip(VAL, val_images().items(), strict=True)
    return write(folder, files | {f"val/{wnid}/{name}": data for wnid, (name, data) in labelled})


def as_class_tars(folder):
    files = {name: data for name, data in loose().items() if not name.startswith("train/")}
    tars = {f"train/{wnid}.tar": tar_of(found) for wnid, found in train_images().items()}
    return write(folder, files | tars | devkit_files())


LAYOUTS = {
    function.__name__.removeprefix("as_"): function
    for function in (
        *(as_official, as_official_unpacked_kit, as_train_tar, as_kaggle, as_kaggle_inner, as_kaggle_zip),
        *(as_kaggle_zip_stored_in_folder, as_folders_with_kit, as_class_folders, as_class_tars),
    )
}
