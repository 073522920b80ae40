"""podium import-gluon."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Json


def import_gluon(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What Gluon's save_parameters or export wrote.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="seed_resnet18 or seed_resnet164_v2.")],
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Names in the order of the outputs; CIFAR-10's or numbers if left out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="RUN", help="The new run; runs/<time>-<model> if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a run of weights that MXNet's Gluon saved."""
    from podium import api
    from podium.cli.display import out as console
    from podium.cli.display import print_json

    names = None if classes is None else classes.split(",")
    run = api.import_gluon(file, model, out, classes=names, command=shlex.join(["podium", *sys.argv[1:]]))
    if json:
        print_json({"run": str(run.path), **run.manifest})
        return
    known = run.manifest["data"]["classes"]
    shown = ", ".join(known[:10]) + (" …" if len(known) > 10 else "")
    console.print(f"{run.path}: {model} from {file}, {len(known)} classes: {shown}", soft_wrap=True)
    console.print(f"Next: podium evaluate {shlex.quote(str(run.path))} DATA", soft_wrap=True)
