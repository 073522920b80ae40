"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[str, typer.Argument(metavar="DATA", help="A competition's folder or zip file, or the word digits.")]
OptionalData = Annotated[str | None, typer.Argument(metavar="DATA", help="As it was trained on, if left out.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that train made.")]
ImageSize = Annotated[
    int | None,
    typer.Option("--image-size", metavar="PIXELS", help="Resize every image to a square of this side.", min=1),
]
Threads = Annotated[int | None, typer.Option(help="Threads to compute with; all cores if left out.", min=1)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
