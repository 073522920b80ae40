"""podium shard."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Data, ImageSize, Json, Labels


class Format(StrEnum):
    """What images that aren't copied are written as; both lose nothing."""

    PNG = "png"
    WEBP = "webp"


def shard(
    data: Data,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    size_mb: Annotated[
        int, typer.Option("--size-mb", metavar="MB", help="Of a shard, at most.", min=1, max=100_000)
    ] = 100,
    format: Annotated[
        Format, typer.Option("--format", help="Of images that don't stay as they are; neither loses anything.")
    ] = Format.PNG,
    image_size: ImageSize = None,
    labels: Labels = None,
    json: Json = False,
) -> None:
    """Write a data set as WebDataset shards, to train from a folder or a web server.

    Killed or out of room, the same command goes on from the last shard that is whole.
    """
    from podium import data as room
    from podium.cli.display import bars, print_json
    from podium.cli.display import out as console

    with bars() as bar:
        dataset = room.open(data, image_size=image_size, labels=labels, progress=bar)
        index = room.write_shards(
            dataset, out, shard_bytes=size_mb * 1_000_000, image_format=format.value, progress=bar
        )
    splits = {
        role: {
            "num_images": split.num_images,
            "num_shards": len(split.shards),
            "num_bytes": sum(one.num_bytes for one in split.shards),
        }
        for role, split in index.splits.items()
    }
    if json:
        print_json({"path": str(out), "fingerprint": index.fingerprint, "splits": splits})
        return
    for role, about in splits.items():
        shards = "1 shard" if about["num_shards"] == 1 else f"{about['num_shards']:,} shards"
        console.print(f"{role}: {about['num_images']:,} images in {shards}, {about['num_bytes'] / 1e6:,.1f} MB")
    console.print(f"To train on them: podium train {out}", soft_wrap=True)
