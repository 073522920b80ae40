"""podium submit."""

from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import ImageSize, Json, Labels, OnBadImage, Threads


def submit(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run, or several that make an ensemble.")],
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Whose test images. (default: what the first run was trained on)")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The CSV to write.")] = Path(
        "submission.csv"
    ),
    image_size: ImageSize = None,
    labels: Labels = None,
    on_bad_image: OnBadImage = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write a submission for the test images; several runs average their probabilities."""
    from podium import api, runtime
    from podium.cli.display import bars, note, print_json
    from podium.cli.display import out as console
    from podium.delivery import class_counts
    from podium.files import sha256_of
    from podium.world import join

    world = join()
    opened = [api.open_run(world, run) for run in runs]
    with bars() as bar:
        dataset = world.in_turn(
            lambda: api.open_for(opened[0], data, image_size=image_size, labels=labels, progress=bar)
        )
        ready = runtime.prepare(opened[0].recipe.precision, num_threads=threads)
        predictions = api.submit(
            opened,
            dataset,
            out,
            runtime=ready,
            on_batch=lambda done, total: bar("Predicting", done, total),
            on_bad_image=on_bad_image or "stop",
            on_note=note,
        )
    digest = world.first(lambda: sha256_of(out))
    counts = class_counts(predictions)
    if json:
        print_json({"submission": str(out), "num_rows": len(predictions), "sha256": digest, "class_counts": counts})
        return
    console.print(f"{out}: {len(predictions):,} rows, sha256 {digest}", soft_wrap=True)
    if predictions.labels is not None:
        console.print(f"There are no images to be predicted, so these are those of the {dataset.evaluation_name}.")
    console.print(", ".join(f"{name} {count:,}" for name, count in counts.items()), soft_wrap=True)
