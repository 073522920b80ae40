"""WebDataset shards: in a folder, or on a web server.

food/index.json, train-000000.tar, …     as `podium shard` writes them; also http://host/food/
food/train-000000.tar, val-000000.tar    others': pairs of x.jpg and x.cls (or x.json) in tars
food/train/000.tar, food/test/000.tar
train-000000.tar                         one of either
http://host/food/train-{000000..000099}.tar
"""

from __future__ import annotations

from pathlib import Path

from podium.data import http
from podium.data.progress import Progress
from podium.data.shard_index import INDEX_NAME, parse
from podium.data.shard_places import Folder, Server, expanded
from podium.data.shard_scan import is_webdataset
from podium.data.shard_writer import PLAN_NAME
from podium.data.sources.packed import no_choice
from podium.data.sources.shard_others import ScannedShards, Shard, shards_in, shards_of
from podium.data.sources.shard_sets import IndexedShards, ShardsDataset
from podium.errors import DataError

__all__ = ["find", "open_url"]

LOOKED_FOR = "WebDataset shards"


def find(
    path: Path, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> ShardsDataset | None:
    """The shards at `path`, a folder or one of them; None if there are none. Raises ArchiveError, DataError."""
    if path.name == INDEX_NAME and path.is_file():
        path = path.parent
    found: ShardsDataset | None = None
    if path.is_dir():
        if (path / PLAN_NAME).exists():
            raise DataError(
                f"{path}: podium shard hasn't finished it. Give the same command again; it goes on from here."
            )
        if (path / INDEX_NAME).is_file() and b'"podium_shards"' in Folder(path).index()[:100]:
            place = Folder(path)
            found = IndexedShards(path, place, parse(place.index(), place.label(INDEX_NAME)), image_size, progress)
        elif shards := shards_in(path):
            found = ScannedShards(path, shards, image_size, progress)
    elif path.suffix == ".tar" and is_webdataset(path):
        classes = None
        place = Folder(path.parent)
        if (path.parent / INDEX_NAME).is_file() and b'"podium_shards"' in place.index()[:100]:
            index = parse(place.index(), place.label(INDEX_NAME))
            if any(shard.name == path.name for split in index.splits.values() for shard in split.shards):
                classes = index.classes
        found = ScannedShards(path, {"train": [Shard(path.name, path)]}, image_size, progress, class_names=classes)
    if found is not None:
        _check_labels(found, labels)
    return found


def open_url(
    url: str, *, image_size: int | None = None, labels: str | None = None, progress: Progress | None = None
) -> ShardsDataset:
    """The shards at an URL: of a folder with an index.json, of a tar, or of several, as name-{000000..000099}.tar.

    Raises:
        ArchiveError: nothing is there, or it isn't what it should be.
        DataError: it is no URL of http or https.
    """
    http.checked(url)
    found: ShardsDataset
    if url.partition("?")[0].endswith(".tar"):
        shards = {"train": shards_of(expanded(url), progress)}
        found = ScannedShards(Path(url), shards, image_size, progress, url)
    else:
        place = Server(url, progress)
        index = parse(place.index(), place.label(INDEX_NAME))
        found = IndexedShards(Path(url), place, index, image_size, progress, url)
    _check_labels(found, labels)
    return found


def _check_labels(dataset: ShardsDataset, labels: str | None) -> None:
    if labels is not None and labels != dataset.labels_from:
        no_choice(dataset.path, labels)
