"""Arguments and options that several verbs share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DATA_HELP = "A competition's folder, CIFAR's releases, a folder a class, Parquet, shards (http:// too), …; or digits."
Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
OptionalData = Annotated[str | None, typer.Argument(metavar="DATA", help="As it was trained on, if left out.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that train made, or builtin:cifar10.")]
ImageSize = Annotated[
    int | None,
    typer.Option("--image-size", metavar="PIXELS", help="Resize every image to a square of this side.", min=1),
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels", metavar="NAME", help="Which labels, where there are several: coarse (CIFAR-100), a column's name."
    ),
]


class BadImageAnswer(StrEnum):
    """What is done about an image that can't be decoded."""

    STOP = "stop"
    SKIP = "skip"


OnBadImage = Annotated[
    BadImageAnswer | None,
    typer.Option(
        "--on-bad-image",
        help="Of streamed images: stop at one that can't be decoded, or name it and go on. (default: stop)",
    ),
]
Threads = Annotated[int | None, typer.Option(help="Threads to compute with; all cores if left out.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
