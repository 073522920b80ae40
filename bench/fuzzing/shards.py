"""Shards with their index and table, others' shards, Parquet, and what podium itself keeps in its cache."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from fuzzing.archives import LABELS, SAMPLE
from fuzzing.material import picture, read_all, tar_of, write
from fuzzing.mutate import mended_tar
from fuzzing.reader import Reader

__all__ = ["READERS"]

# ---- shards that podium wrote


@cache
def written() -> dict[str, bytes]:
    """A small data set in shards: index.json, tables and tars."""
    import podium
    from podium.data import write_shards

    before = os.environ.get("PODIUM_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PODIUM_CACHE"] = f"{folder}/cache"
        try:
            images = {
                f"{part}/{n}.png": picture(n)
                for part, count in (("train", 4), ("test", 2))
                for n in range(1, count + 1)
            }
            write(Path(folder, "data"), images | {"trainLabels.csv": LABELS, "sampleSubmission.csv": SAMPLE})
            write_shards(podium.open(Path(folder, "data")), Path(folder, "out"))
        finally:
            os.environ.pop("PODIUM_CACHE")
            if before is not None:
                os.environ["PODIUM_CACHE"] = before
        return {path.name: path.read_bytes() for path in Path(folder, "out").iterdir()}


def _as_index(work: Path, data: bytes) -> object:
    return read_all(write(work / "shards", written() | {"index.json": data}), image_size=4)


def _as_part(name: str, work: Path, data: bytes) -> object:
    """A table or tar, which the index then says is as it should be."""
    index = json.loads(written()["index.json"])
    split = index["splits"]["train"]
    told = split["table"] if name == "train.safetensors" else split["shards"][0]
    told["num_bytes"], told["sha256"] = max(1, len(data)), hashlib.sha256(data).hexdigest()
    return read_all(
        write(work / "shards", written() | {name: data, "index.json": json.dumps(index).encode()}), image_size=4
    )


# ---- others' shards


def _webdatasets() -> Sequence[bytes]:
    pairs = {f"{n:04}.{kind}": data for n in range(3) for kind, data in (("png", picture(n)), ("cls", b"%d" % (n % 2)))}
    jsons = {
        f"a/{n}.{kind}": data
        for n in range(3)
        for kind, data in (("jpg", picture(n, "JPEG")), ("json", b'{"label": "cat"}'))
    }
    odd = {
        "x.png": picture(1),
        "x.cls": b"[" * 2000,
        "y.json": b"[" * 5000,
        "y.png": b"",
        "../z.png": picture(2),
        "z.cls": b"\xff",
    }
    return [tar_of(pairs), tar_of(jsons), tar_of(odd), tar_of(pairs | {"0001.seg.png": picture(4), "readme": b"words"})]


def _as_webdataset(work: Path, data: bytes) -> object:
    return read_all(write(work / "others", {"train-000.tar": data, "train-001.tar": _webdatasets()[0]}), image_size=4)


# ---- Parquet


def parquets() -> Sequence[bytes]:
    import pyarrow as arrow
    from pyarrow import parquet

    struct = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    images = arrow.array([{"bytes": picture(n), "path": f"{n}.png"} for n in range(6)], struct)
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    numbers = arrow.table({"image": images, "label": [0, 1, 0, 1, 0, 1]}).replace_schema_metadata(about)
    words = arrow.table(
        {"image": arrow.array([picture(n) for n in range(6)]), "label": ["cat", "dog"] * 3, "id": list("abcdef")}
    )
    found = []
    for table, options in (
        (numbers, {}),
        (words, {"compression": "zstd"}),
        (numbers, {"compression": "gzip", "row_group_size": 2}),
        (words, {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"}),
        (numbers, {"compression": "lz4", "write_statistics": False, "store_schema": False}),
        (words, {"compression": "brotli", "column_encoding": {"label": "DELTA_BYTE_ARRAY"}, "use_dictionary": False}),
    ):
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, **options)
        found.append(buffer.getvalue())
    return found


def _as_parquet(work: Path, data: bytes) -> object:
    return read_all(write(work / "hub", {"train-00000.parquet": data}), image_size=4)


# ---- the cache


def _prepare_pack(folder: Path) -> None:
    """A competition opened once: its pack lies in the cache, and beside it to be put there again."""
    images = {f"{part}/{n}.png": picture(n) for part, count in (("train", 4), ("test", 2)) for n in range(1, count + 1)}
    write(folder / "data", images | {"trainLabels.csv": LABELS, "sampleSubmission.csv": SAMPLE})
    read_all(folder / "data")
    shutil.copytree(folder / "cache", folder / "whole")


@cache
def _pack() -> dict[str, bytes]:
    """The files of a pack of those images."""
    with tempfile.TemporaryDirectory() as folder:
        before, os.environ["PODIUM_CACHE"] = os.environ.get("PODIUM_CACHE"), f"{folder}/cache"
        try:
            _prepare_pack(Path(folder))
        finally:
            os.environ.pop("PODIUM_CACHE")
            if before is not None:
                os.environ["PODIUM_CACHE"] = before
        place = next(
            path
            for path in Path(folder, "cache", "packs").iterdir()
            if len(json.loads((path / "ids.json").read_text())) == 4
        )
        return {path.name: path.read_bytes() for path in place.iterdir()}


def _as_pack(name: str, work: Path, data: bytes) -> object:
    """One file of the pack, damaged: the images are there all the same, or it is said what isn't."""
    packs = work / "cache" / "packs"
    for whole in (work / "whole" / "packs").iterdir():
        place = packs / whole.name
        is_train = len(json.loads((whole / "ids.json").read_text())) == 4
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        if is_train:
            (place / name).write_bytes(data)
    found = read_all(work / "data")
    assert found.train.pixels.shape == (4, 6, 5, 3), "other pixels than were packed"
    assert sorted(found.train.ids.tolist()) == ["1", "2", "3", "4"], "other ids than were packed"
    return found


READERS = (
    Reader("shards, index.json", 6, lambda: [written()["index.json"]], _as_index),
    Reader(
        "shards, table", 5, lambda: [written()["train.safetensors"]], partial(_as_part, "train.safetensors"), focus=1500
    ),
    Reader(
        "shards, tar", 3, lambda: [written()["train-000000.tar"]], partial(_as_part, "train-000000.tar"), mended_tar
    ),
    Reader("WebDataset tar", 5, _webdatasets, _as_webdataset, mended_tar),
    Reader("Parquet", 8, parquets, _as_parquet),
    *(
        Reader(
            f"cache, {name}",
            2,
            lambda name=name: [_pack()[name]],
            partial(_as_pack, name),
            prepare=_prepare_pack,
            keeps=True,
        )
        for name in ("pixels.npy", "ids.json", "pack.json", "hashes.npy")
    ),
)
