"""podium report."""

from pathlib import Path
from typing import Annotated

import typer

from podium.cli.evaluate import On
from podium.cli.options import DATA_HELP, ImageSize, Labels, RunFolder, Threads


def report(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="The page. (default: RUN/report.html)")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help=f"To measure on, and for the pictures. {DATA_HELP}")
    ] = None,
    on: Annotated[
        On | None, typer.Option(help="Which images, as of evaluate. (default: the run's hold-out if it has one)")
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="A run on the same data with another hold-out, to look through its labels too; repeatable.",
        ),
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    threads: Threads = None,
) -> None:
    """Write one HTML file: curves, accuracy, confusion, mistakes, wrong labels, where the network looks."""
    from podium import api, runtime
    from podium.cli.display import bars
    from podium.cli.display import out as console
    from podium.models import Classifier
    from podium.run import Run

    known = Run.open(run)
    Classifier.load(known.model_path)  # a missing or damaged one is said before the data are read
    with bars() as bar:
        dataset = None
        if data is not None:
            dataset = api.open_for(known, data, image_size=image_size, labels=labels, progress=bar)
        path = api.report(
            known,
            out,
            data=dataset,
            on=None if on is None else on.value,
            also=also or (),
            runtime=runtime.prepare(known.recipe.precision, num_threads=threads),
            on_batch=lambda done, total: bar("Predicting", done, total),
        )
    console.print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB): open it in a browser.", soft_wrap=True)
