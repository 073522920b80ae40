"""podium evaluate."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import ImageSize, Json, Labels, OnBadImage, OptionalData, RunFolder, Threads

if TYPE_CHECKING:
    from podium.evaluation import Evaluation


class On(StrEnum):
    """Which images to measure on."""

    EVALUATION = "evaluation"
    HOLD_OUT = "hold-out"
    ALL = "all"


def evaluate(
    run: RunFolder,
    data: OptionalData = None,
    on: Annotated[
        On | None,
        typer.Option(
            help="evaluation: the data's evaluation set; hold-out: the run's own; all: all labelled images of other "
            "data. [default: the first of these that there is]"
        ),
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    on_bad_image: OnBadImage = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Accuracy with its interval, per class, and the confusion matrix, on images that weren't trained on."""
    from podium import api, runtime
    from podium.cli.display import bars, note, print_json
    from podium.world import join

    world = join()
    known = api.open_run(world, run)
    api.classifier_of(known, world)  # a missing or damaged one is said before the data are read
    with bars() as bar:
        dataset = world.in_turn(lambda: api.open_for(known, data, image_size=image_size, labels=labels, progress=bar))
        ready = runtime.prepare(known.recipe.precision, num_threads=threads)
        evaluation = api.evaluate(
            known,
            dataset,
            on=None if on is None else on.value,
            runtime=ready,
            on_batch=lambda done, total: bar("Evaluating", done, total),
            on_bad_image=on_bad_image or "stop",
            on_note=note,
        )
    if json:
        print_json({"run": str(run), **evaluation.to_dict()})
    else:
        show(evaluation)


def show(evaluation: "Evaluation") -> None:
    """Prints the figures as tables."""
    from rich.table import Table

    from podium.cli.display import out

    low, high = evaluation.interval
    out.print(
        f"Accuracy {evaluation.accuracy:.2%}, 95 % interval {low:.2%} to {high:.2%}: {evaluation.what}, "
        f"n = {evaluation.num_images:,}, test-time augmentation: {evaluation.tta}",
        soft_wrap=True,
    )
    out.print(
        f"Cross-entropy {evaluation.cross_entropy:.4f}, expected calibration error {evaluation.calibration_error:.4f}\n"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("class", "images", "found", "95 % interval", "guesses right"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for result in evaluation.per_class:
        low, high = result.recall_interval
        table.add_row(
            result.name,
            f"{result.num_images:,}",
            _share(result.recall),
            f"{low:.1%} – {high:.1%}",
            _share(result.precision),
        )
    out.print(table)
    if len(evaluation.confusion) <= 20:
        names = [result.name for result in evaluation.per_class]
        confusion = Table(
            box=None, pad_edge=False, title="\nrows: the right class; columns: the guess", title_justify="left"
        )
        confusion.add_column("")
        for name in names:
            confusion.add_column(name[:5], justify="right")
        for name, row in zip(names, evaluation.confusion, strict=True):
            confusion.add_row(name, *(str(count) if count else "·" for count in row))
        out.print(confusion)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
