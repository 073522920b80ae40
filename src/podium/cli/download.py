"""podium download."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Json


def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="cifar-10 or cifar-100 (official releases), or kaggle:COMPETITION.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write to.")] = Path(),
    binary: Annotated[
        bool, typer.Option("--binary", help="A release's binary version rather than its Python version.")
    ] = False,
    mirror: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Try this address of a release first; may be given more than once."),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a data set's files; what was cut short goes on where it ended."""
    from podium.api import download as fetch
    from podium.cli.display import bars, print_json
    from podium.cli.display import out as console
    from podium.files import sha256_of

    with bars() as bar:
        path = fetch(name, out, binary=binary, mirrors=mirror or (), progress=bar)
    digest, num_bytes = sha256_of(path), path.stat().st_size
    if json:
        print_json({"file": str(path), "num_bytes": num_bytes, "sha256": digest})
        return
    console.print(f"{path}: {num_bytes:,} bytes, sha256 {digest}", soft_wrap=True)
    console.print(f"Next: podium data {shlex.quote(str(path))}", soft_wrap=True)
