"""Writes a data set as WebDataset shards: tar files of pairs such as 000000012.jpg and 000000012.cls, and an index.

    OUT/index.json                       see `shard_index`
    OUT/train-000000.tar, …              images to train on, shuffled over all shards: each is a fair sample
    OUT/evaluation-000000.tar, test-…    in the order that they had
    OUT/train.safetensors, …             where each image lies, its id, label and checksum: see `shard_table`
    OUT/sample_submission.csv            if there was one

Images that stay encoded, and those of a folder a class that lie as single files and weren't resized, are copied as they
are, byte for byte; others are written without loss. All is written to a
hidden folder beside OUT, which is renamed when it is whole. If it is killed, the same command goes on with the first
shard that isn't whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from podium.data.cache import cache_errors, cache_root
from podium.data.encoded import EncodedPixels, Files
from podium.data.images import Dataset, Images, digest
from podium.data.progress import Progress, Ticker
from podium.data.shard_index import INDEX_NAME, ShardIndex, SplitIndex, Stored
from podium.data.shard_order import shuffled
from podium.data.shard_samples import Sample, samples_of
from podium.data.shard_table import ShardTable
from podium.data.tar_index import members_of_tar
from podium.errors import DataError, StorageError
from podium.files import sha256_of, write_atomically

__all__ = ["PLAN_NAME", "write_shards"]

PLAN_NAME = "unfinished.json"
SEED = 0
BLOCK, RECORD = 512, 10240  # a tar's members begin at multiples of one, and it ends at one of the other


def write_shards(
    dataset: Dataset,
    out: Path,
    *,
    shard_bytes: int = 100_000_000,
    image_format: str = "png",
    progress: Progress | None = None,
) -> ShardIndex:
    """Writes a data set's images, labels and ids as shards.

    Args:
        dataset: what to write.
        out: a new folder.
        shard_bytes: a shard has no more, unless it has but one image.
        image_format: of images that aren't copied: "png" or "webp", both without loss.
        progress: told how far it is.

    Raises:
        DataError: webdataset isn't installed, or as `Dataset.train`.
        StorageError: `out` is there already, or can't be written; what is finished of it stays, hidden, to go on with.
    """
    try:
        import webdataset  # noqa: F401, PLC0415
    except ImportError as error:
        raise DataError("Writing shards needs webdataset: pip install 'podium-vision[shards]'.") from error
    out = out.expanduser().absolute()
    if out.exists():
        raise StorageError(f"{out} is there already. Choose another folder, or remove it.")
    found = {"train": dataset.train, "evaluation": dataset.evaluation, "test": dataset.test}
    splits = {role: images for role, images in found.items() if images is not None}
    plan = digest(
        "1",
        dataset.fingerprint,
        json.dumps([shard_bytes, image_format, dataset.train.size]),
        *("\n".join([role, *images.ids.tolist()]) for role, images in splits.items()),
    )
    building = out.with_name(f".{out.name}.unfinished")
    with _alone(out), _said(out, building):
        _begin(building, plan)
        written = {}
        for role, images in splits.items():
            written[role] = _write_split(
                building, role, images, dataset.loose(role), shard_bytes, image_format, progress
            )
        index = ShardIndex(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            classes=dataset.classes,
            image_size=dataset.train.size,
            is_encoded=isinstance(dataset.train.pixels, EncodedPixels),
            labels=dataset.labels_from,
            evaluation=dataset.evaluation_name,
            sample_submission=_write_sample(building, dataset),
            splits=written,
        )
        write_atomically(building / INDEX_NAME, index.encoded())
        (building / PLAN_NAME).unlink()
        building.rename(out)
    return index


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    with cache_errors():
        lock = filelock.FileLock(cache_root() / "locks" / f"{digest('shards', str(out))}.lock")
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise StorageError(f"{out}: another process is writing it.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _said(out: Path, building: Path) -> Iterator[None]:
    """Turns OSErrors of writing (none is of reading) into StorageErrors that say how to go on."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{out} can't be written: {error.strerror or error}.\nMake room there, and the same command goes on from "
            f"what is finished in {building.name} beside it. Or remove that."
        ) from error


def _begin(building: Path, plan: str) -> None:
    """Makes the folder, or keeps what an earlier process has finished of the same."""
    try:
        is_same = json.loads((building / PLAN_NAME).read_text())["plan"] == plan
    except (OSError, ValueError, KeyError, TypeError):
        is_same = False
    if not is_same:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        write_atomically(building / PLAN_NAME, json.dumps({"plan": plan}))
    for leftover in building.glob("*.part"):
        leftover.unlink()


def _write_split(
    building: Path,
    role: str,
    images: Images,
    loose: Files | None,
    shard_bytes: int,
    image_format: str,
    progress: Progress | None,
) -> SplitIndex:
    order = shuffled(len(images), SEED) if role == "train" else np.arange(len(images))
    labels = np.full(len(images), -1) if images.labels is None else images.labels
    ticker = Ticker(progress, f"writing {role}", len(images))
    shards: list[Stored] = []
    parts, done = [], 0
    samples: Iterator[Sample] | None = None
    kept: Sample | None = None
    while done < len(images):
        path = building / f"{role}-{len(shards):06}.tar"
        if path.exists():  # of an earlier process
            samples, kept = None, None
        else:
            if samples is None:
                samples = samples_of(images, loose, order[done:], image_format)
            kept = _write_shard(path, samples, kept, done, labels[order[done:]], shard_bytes, ticker)
        parts.append(_contents(path))
        count = len(parts[-1][0])
        shards.append(Stored(path.name, path.stat().st_size, sha256_of(path), count))
        done += count
        ticker(done)
    offsets, lengths, checks, names = (np.concatenate(column) for column in zip(*parts, strict=True))
    assert done == len(images), (done, len(images))
    table = ShardTable(
        np.repeat(np.arange(len(shards), dtype=np.int32), [shard.num_images for shard in shards]),
        offsets,
        lengths,
        checks,
        labels[order],
        order,
        np.char.encode(images.ids[order], "utf-8"),
        names,
    )
    return SplitIndex(len(images), _stored(building / f"{role}.safetensors", table.encoded()), tuple(shards))


def _write_shard(
    path: Path,
    samples: Iterator[Sample],
    kept: Sample | None,
    first: int,
    labels: npt.NDArray[np.int64],
    shard_bytes: int,
    tick: Callable[[int], None],
) -> Sample | None:
    """Writes one shard, from `kept` on if that is given; returns the sample that is the next one's, None at the end.

    Of webdataset, its tar writer is used, with bytes and nothing to encode: that neither pickles nor executes.
    """
    from webdataset.writer import TarWriter  # noqa: PLC0415

    part = path.with_name(f"{path.name}.part")
    size, count = 2 * BLOCK, 0
    with part.open("wb") as file:
        writer = TarWriter(file, user="", group="", encoder=False, compress=False, mtime=0)
        while (sample := kept or next(samples, None)) is not None:
            kept = sample
            label = b"" if labels[count] < 0 else str(labels[count]).encode()
            more = sum(BLOCK + -(-len(data) // BLOCK) * BLOCK for data in (sample.data, label) if data)
            if count and -(-(size + more) // RECORD) * RECORD > shard_bytes:
                break
            members = {"__key__": f"{first + count:09}", sample.suffix: sample.data} | ({"cls": label} if label else {})
            writer.write(members)
            size, count, kept = size + more, count + 1, None
            tick(first + count)
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return kept


def _contents(path: Path) -> tuple[Any, Any, Any, Any]:
    """Of a shard that has been written, read back: its images' offsets, lengths, CRC-32s and names."""
    found, checks = [], []
    with path.open("rb") as file:
        for member in members_of_tar(file.fileno(), path.name, 0, path.stat().st_size):
            if not member.name.endswith(".cls"):
                found.append(member)
                checks.append(zlib.crc32(os.pread(file.fileno(), member.size, member.offset)))
    names = np.array([member.name.encode() for member in found], np.bytes_)
    offsets, lengths = ([getattr(member, name) for member in found] for name in ("offset", "size"))
    return np.array(offsets, np.int64), np.array(lengths, np.int64), np.array(checks, np.uint32), names


def _write_sample(building: Path, dataset: Dataset) -> Stored | None:
    sample = dataset.sample_submission
    if sample is None:
        return None
    import csv  # noqa: PLC0415

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(sample.columns)
    writer.writerows((image_id, dataset.classes[0]) for image_id in sample.ids.tolist())
    return _stored(building / "sample_submission.csv", text.getvalue().encode())


def _stored(path: Path, data: bytes) -> Stored:
    write_atomically(path, data)
    return Stored(path.name, len(data), hashlib.sha256(data).hexdigest())
