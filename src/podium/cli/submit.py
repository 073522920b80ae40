"""podium submit."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import ImageSize, Json, Labels, OnBadImage, Threads
from podium.errors import KaggleError

if TYPE_CHECKING:
    from podium import api
    from podium.evaluation import Blend
    from podium.run import Run


class Weights(StrEnum):
    """How much each run of an ensemble counts."""

    HOLD_OUT = "hold-out"
    EQUAL = "equal"


def submit(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run, or several that make an ensemble.")],
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Whose test images. (default: what the first run was trained on)")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The CSV to write.")] = Path(
        "submission.csv"
    ),
    weights: Annotated[
        Weights,
        typer.Option(help="Of several runs: found on the images that all of them held out, or the same for all."),
    ] = Weights.HOLD_OUT,
    image_size: ImageSize = None,
    labels: Labels = None,
    on_bad_image: OnBadImage = None,
    kaggle: Annotated[
        str | None,
        typer.Option("--kaggle", metavar="MESSAGE", help="Submit it to Kaggle, too, under this description."),
    ] = None,
    competition: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Kaggle's name of the competition. (default: the data's folder or zip)"),
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write a submission for the test images; several runs' probabilities are averaged, each with its weight."""
    if competition is not None and kaggle is None:
        raise KaggleError("--competition would be ignored: it goes with --kaggle MESSAGE. Leave it out.")
    from podium import api, runtime
    from podium.cli.display import bars, note, print_json
    from podium.cli.display import out as console
    from podium.delivery import class_counts
    from podium.files import sha256_of
    from podium.world import join

    world = join()
    opened = [api.open_run(world, run) for run in runs]
    blends: list[Blend | None] = []
    with bars() as bar:
        dataset = world.in_turn(
            lambda: api.open_for(opened[0], data, image_size=image_size, labels=labels, progress=bar)
        )
        with world.together():  # what must fail fails before the images are predicted
            service = api.sign_in(dataset, competition) if kaggle is not None and world.is_first else None
        ready = runtime.prepare(opened[0].recipe.precision, num_threads=threads)
        predictions = api.submit(
            opened,
            dataset,
            out,
            runtime=ready,
            weights=weights.value,
            on_blend=blends.append,
            on_batch=lambda done, total: bar("Predicting", done, total),
            on_bad_image=on_bad_image or "stop",
            on_note=note,
        )
        with world.together():
            sent = service.submit(out, kaggle, progress=bar) if service is not None and kaggle is not None else None
    digest = world.first(lambda: sha256_of(out))
    counts = class_counts(predictions)
    if json:
        told = {"submission": str(out), "num_rows": len(predictions), "sha256": digest, "class_counts": counts}
        told |= {"blend": None if blends[0] is None else asdict(blends[0])} if blends else {}
        print_json(told | ({} if sent is None else {"kaggle": asdict(sent)}))
        return
    for found in blends:
        console.print(_said(found, opened), soft_wrap=True)
    console.print(f"{out}: {len(predictions):,} rows, sha256 {digest}", soft_wrap=True)
    if predictions.labels is not None:
        console.print(f"There are no images to be predicted, so these are those of the {dataset.evaluation_name}.")
    if sent is not None:
        _show(sent)
    console.print(", ".join(f"{name} {count:,}" for name, count in counts.items()), soft_wrap=True)


def _said(found: "Blend | None", runs: "list[Run]") -> str:
    if found is None:
        return "All runs count the same: too few images were held out by all of them to find weights."
    weights = ", ".join(f"{run.path.name} {weight:.2f}" for run, weight in zip(runs, found.weights, strict=True))
    return (
        f"Weights: {weights}; from the {found.num_images:,} images that all of them held out. There, cross-fitted, "
        f"{found.accuracy:.2%} are right; with equal weights {found.accuracy_of_equal:.2%}, of the best run alone "
        f"{found.accuracy_of_best:.2%}."
    )


def _show(sent: "api.KaggleSubmission") -> None:
    from podium.cli.display import out as console

    said = f"Kaggle: submission {sent.number} to {sent.competition}, "
    if sent.state != "complete":
        said += f"not scored yet: {sent.page}"
    else:
        said += f"public score {sent.public_score or 'not told'}"
        said += f", private score {sent.private_score}" if sent.private_score else ""
    if sent.num_left is not None:
        said += f"; {sent.num_left} left today"
    console.print(said, soft_wrap=True)
