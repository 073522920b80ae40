"""podium export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Json, RunFolder


class Format(StrEnum):
    """What a run's weights can be written as."""

    GLUON = "gluon"


def export(
    run: RunFolder,
    format: Annotated[Format, typer.Option("--format", help="gluon: for load_parameters of MXNet's Gluon.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")],
    json: Json = False,
) -> None:
    """Write a run's weights for another framework."""
    import hashlib

    from podium import api
    from podium.cli.display import out as console
    from podium.cli.display import print_json

    api.export_gluon(run, out)
    content = out.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if json:
        print_json({"file": str(out), "format": format.value, "num_bytes": len(content), "sha256": digest})
    else:
        console.print(f"{out}: {len(content):,} bytes, sha256 {digest}", soft_wrap=True)
