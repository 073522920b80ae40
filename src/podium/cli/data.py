"""podium data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import Data, ImageSize, Json, Labels

if TYPE_CHECKING:
    from podium.data import DataSummary


def data(
    data: Data,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write a picture with ten images of each class.")
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    json: Json = False,
) -> None:
    """Say what is in a data set: counts, classes, sizes, fingerprint, faults."""
    from podium import data as room
    from podium.cli.display import bars, print_json

    with bars() as bar:
        dataset = room.open(data, image_size=image_size, labels=labels, progress=bar)
        summary = room.summarize(dataset, progress=bar)
        if contact_sheet is not None:
            room.contact_sheet(dataset.train, contact_sheet)
    if json:
        print_json(summary.to_dict())
    else:
        _show(summary, contact_sheet)


def _show(summary: "DataSummary", contact_sheet: Path | None) -> None:
    from rich.table import Table

    from podium.cli.display import out

    test = "no test images" if summary.num_test is None else f"{summary.num_test:,} test images"
    evaluation = ""
    if summary.num_evaluation is not None:
        evaluation = f"{summary.num_evaluation:,} to measure on ({summary.evaluation}), "
    out.print(
        f"{summary.name}: {summary.num_train:,} labelled images, {evaluation}{test}, "
        f"{len(summary.class_counts)} classes{'' if summary.labels in (None, 'label') else f' ({summary.labels})'}",
        soft_wrap=True,
    )
    out.print(f"{summary.width}×{summary.height} pixels, {summary.bytes / 1e6:,.0f} MB as pixels")
    out.print(f"fingerprint {summary.fingerprint}\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("images", justify="right")
    if summary.evaluation_counts is not None:
        table.add_column("to measure on", justify="right")
    for name, count in summary.class_counts.items():
        others = [] if summary.evaluation_counts is None else [f"{summary.evaluation_counts[name]:,}"]
        table.add_row(name, f"{count:,}", *others)
    out.print(table)
    out.print()
    for fault in summary.faults or ["No faults found."]:
        out.print(fault, soft_wrap=True)
    if contact_sheet is not None:
        out.print(f"Contact sheet: {contact_sheet}", soft_wrap=True)
