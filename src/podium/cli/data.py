"""podium data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import Data, ImageSize, Json

if TYPE_CHECKING:
    from podium.data import DataSummary


def data(
    data: Data,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write a picture with ten images of each class.")
    ] = None,
    image_size: ImageSize = None,
    json: Json = False,
) -> None:
    """Say what is in a data set: counts, classes, sizes, fingerprint, faults."""
    from podium import data as room
    from podium.cli.display import bars, print_json

    with bars() as bar:
        dataset = room.open(data, image_size=image_size, progress=bar)
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
    out.print(f"{summary.name}: {summary.num_train:,} labelled images, {test}, {len(summary.class_counts)} classes")
    out.print(f"{summary.width}×{summary.height} pixels, {summary.bytes / 1e6:,.0f} MB as pixels")
    out.print(f"fingerprint {summary.fingerprint}\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("images", justify="right")
    for name, count in summary.class_counts.items():
        table.add_row(name, f"{count:,}")
    out.print(table)
    out.print()
    for fault in summary.faults or ["No faults found."]:
        out.print(fault, soft_wrap=True)
    if contact_sheet is not None:
        out.print(f"Contact sheet: {contact_sheet}", soft_wrap=True)
