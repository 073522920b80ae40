"""podium export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Json, RunFolder, Threads


class Format(StrEnum):
    """What a run's weights can be written as."""

    ONNX = "onnx"
    GLUON = "gluon"


def export(
    run: RunFolder,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write; for ONNX NAME.onnx, or a new folder."),
    ],
    format: Annotated[
        Format, typer.Option("--format", help="onnx: for ONNX Runtime and others; gluon: for MXNet's load_parameters.")
    ] = Format.ONNX,
    tta: Annotated[bool, typer.Option("--tta", help="ONNX: put the recipe's test-time augmentation inside.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="ONNX: write an int8 form too, calibrated on training images.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="ONNX: what the run was trained on. (default: where it was then)"),
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write a run for other software: ONNX with its preprocessing inside and a model card, or MXNet's weights."""
    from podium.errors import ExportError

    if format is Format.ONNX:
        _onnx(run, out, tta, int8, data, threads, json)
        return
    for given, name in ((tta, "--tta"), (int8, "--int8"), (data, "--data"), (threads, "--threads")):
        if given:
            raise ExportError(f"{name} would be ignored: it is for ONNX, not for {format.value}. Leave it out.")
    _gluon(run, out, json)


def _gluon(run: Path, out: Path, json: bool) -> None:
    import hashlib

    from podium import api
    from podium.cli.display import out as console
    from podium.cli.display import print_json

    api.export_gluon(run, out)
    content = out.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if json:
        print_json({"file": str(out), "format": "gluon", "num_bytes": len(content), "sha256": digest})
    else:
        console.print(f"{out}: {len(content):,} bytes, sha256 {digest}", soft_wrap=True)


def _onnx(run: Path, out: Path, tta: bool, int8: bool, data: str | None, threads: int | None, json: bool) -> None:
    from dataclasses import asdict

    from podium import api
    from podium.cli.display import bars, note, print_json
    from podium.cli.display import out as console

    with bars() as bar:
        made = api.export_onnx(run, out, data=data, tta=tta, int8=int8, num_threads=threads, progress=bar)
    if json:
        print_json(
            {
                "format": "onnx",
                "files": {
                    str(path): {"num_bytes": path.stat().st_size, "sha256": digest}
                    for path, digest in made.files.items()
                },
                "agreement": asdict(made.agreement),
                "evaluations": {kind: one.to_dict() for kind, one in made.evaluations.items()},
                "notes": list(made.notes),
            }
        )
        return
    for path, digest in made.files.items():
        console.print(f"{path}: {path.stat().st_size:,} bytes, sha256 {digest}", soft_wrap=True)
    found = made.agreement
    console.print(
        f"Beside PyTorch, {found.num_images:,} {found.what}: probabilities differ by {found.probabilities:.0e} at "
        f"most, {found.num_other_guesses} get another class.",
        soft_wrap=True,
    )
    for kind, one in made.evaluations.items():
        low, high = one.interval
        console.print(
            f"{'int8' if kind == 'int8' else 'float32'}: accuracy {one.accuracy:.2%}, 95 % interval {low:.2%} to "
            f"{high:.2%}: {one.what}, n = {one.num_images:,}, test-time augmentation: {one.tta}",
            soft_wrap=True,
        )
    for one_note in made.notes:
        note(one_note)
