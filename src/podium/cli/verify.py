"""podium verify."""

from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import DATA_HELP, ImageSize, Json, Labels, RunFolder, Threads

if TYPE_CHECKING:
    from podium.api import FormCheck, Verification


def verify(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help=f"Whose images to ask about; made from a seed, if left out. {DATA_HELP}"),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", help="How many. (default: 256 made ones, 1,000 of DATA)", min=1),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--form", metavar="NAME", help="Ask this form only; may be given several times."),
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show that all forms of a run give the same answers: eager, bf16, compiled, ONNX, int8, server, resumed.

    Exit status 0 if all that can be had here do, within the tolerances of docs/VERIFY.md; 1 if one doesn't.
    """
    from podium import api, runtime
    from podium.cli.display import bars, print_json

    api.check_alone("verify")
    with bars() as bar:
        found = api.verify(
            run,
            data,
            num_images=images,
            forms=form,
            image_size=image_size,
            labels=labels,
            runtime=runtime.prepare("fp32", num_threads=threads),
            progress=bar,
        )
    if json:
        print_json(found.to_dict())
    else:
        _show(found)
    raise typer.Exit(0 if found.holds else 1)


def _show(found: "Verification") -> None:
    from rich.table import Table

    from podium.cli.display import out

    table = Table(box=None, pad_edge=False)
    for heading in ("form", "", "probabilities", "logits", "other answers", "near a tie", "seconds"):
        table.add_column(heading, justify="left" if heading in ("form", "") else "right")
    for one in found.forms:
        table.add_row(one.form, one.status, *_figures(one), f"{one.seconds:.1f}")
    out.print(table)
    out.print(
        f"Largest differences from PyTorch's answers in float32 (allowed in brackets), {found.num_images:,} "
        f"{found.images}, test-time augmentation: {found.tta}, on {found.device}.",
        soft_wrap=True,
    )
    for one in found.forms:
        if one.reason is not None:
            out.print(f"{one.form} {one.status}: {one.reason}", soft_wrap=True)
        elif one.difference is not None and one.difference.num_other_tensors:
            out.print(f"{one.form}: {one.difference.num_other_tensors} tensors aren't the same bits.", soft_wrap=True)
    wrong = [one.form for one in found.forms if one.status in ("differs", "failed")]
    skipped = [one.form for one in found.forms if one.status == "skipped"]
    verdict = f"Not the same: {', '.join(wrong)}." if wrong else "All give the same answers."
    out.print(verdict + (f" Skipped: {', '.join(skipped)}." if skipped else ""), style="bold", soft_wrap=True)


def _figures(one: "FormCheck") -> list[str]:
    """Probabilities, logits, other answers, and how many of them are near a tie; dashes where nothing is known."""
    seen, allowed = one.difference, one.tolerance
    if seen is None:
        return ["–"] * 4
    past = f" ({allowed.other_answers:.0%} past a tie)" if allowed.other_answers else ""
    return [
        _written(seen.probabilities, allowed.probabilities),
        _written(seen.logits, allowed.logits),
        f"{seen.num_other_answers:,}{past}",
        f"{seen.num_within_margin:,}",
    ]


def _written(value: float | None, allowed: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1e}" + ("" if allowed is None else f" ({allowed:g})")
