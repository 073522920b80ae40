"""podium tune."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.clock import since_start
from podium.cli.options import Data, ImageSize, Json, Labels, Threads
from podium.errors import StudyError

if TYPE_CHECKING:
    from podium.api import Tuned
    from podium.training import Progress
    from podium.tuning import Row, Study


class Pruner(StrEnum):
    """When a trial isn't worth going on with."""

    MEDIAN = "median"
    HYPERBAND = "hyperband"
    NONE = "none"


def tune(
    data: Data,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="What to better: a shipped recipe or a TOML file. (default: as of train)"
        ),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; repeatable.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trials in all, those of other workers and before included.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", min=0.05, help="Be done in so many minutes.")] = None,
    epochs: Annotated[
        float | None, typer.Option(metavar="E", help="Of a trial. (default: a quarter of the recipe's, 2 at least)")
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What is varied. (default: R.search.toml beside R.toml, or derived)"),
    ] = None,
    pruner: Annotated[
        Pruner, typer.Option(help="Stop a trial that lies below the others' median, or by Hyperband, or never.")
    ] = Pruner.MEDIAN,
    validation: Annotated[
        float, typer.Option(metavar="PART", help="Of the images that aren't held out: to judge trials on.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Of every trial, and of the draws.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The study's folder; one that is there is gone on with. (default: studies/<recipe>)"
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Keep the trials in a database, postgresql://…, or behind grpc://host:port."),
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Search for a better recipe: many short trials, the best of which is written as a recipe file.

    The same command again goes on with the study; started several times, also on machines that share the folder, the
    workers share the trials. Ctrl-C puts the trial under way back. The recipe's hold-out is left alone.
    """
    from podium import api, runtime
    from podium.cli.display import StopSignal, bars, duration, note, print_json
    from podium.cli.display import out as console
    from podium.recipe import default_recipe, load_recipe, parse_setting

    # what is wrong with the arguments is said before data are read
    api.check_tunable(trials, minutes, pruner.value, validation)
    settings = setting or []
    chosen = load_recipe(recipe or "sprint", settings)
    with bars() as bar:
        dataset = api.open(data, image_size=image_size, labels=labels, progress=bar)
        images = dataset.train  # read now, under the bar
    if recipe is None:
        chosen = default_recipe(len(images), min(images.size), settings)
    ready = runtime.prepare(chosen.precision, num_threads=threads)

    with StopSignal() as stop, bars() as bar:
        best = 0.0

        def begin(study: "Study", num_done: int) -> None:
            task, keys = study.task, ", ".join(study.space)
            before = f", {num_done:,} of them done" if num_done else ""
            if not json:
                console.print(
                    f"{chosen.name} on {dataset.name}: trials of {task.epochs:g} epochs{before}; varied: {keys}\n"
                    f"→ {study.folder}",
                    soft_wrap=True,
                )

        def on_progress(number: int, now: "Progress") -> None:
            bar(f"Trial {number}, epoch {now.epoch}", now.step, now.num_steps)

        def on_trial(row: "Row", num_done: int) -> None:
            nonlocal best
            bar.stop()
            best = max(best, row.accuracy or 0.0)
            reached = f" {row.curve[-1][1]:.2%} after epoch {row.curve[-1][0]}" if row.curve else ""
            seconds = f", {duration(row.seconds)}" if row.seconds is not None else ""
            note(f"trial {row.number}: {row.state}{reached}{seconds}; {num_done:,} done, the best here {best:.2%}")

        found = api.tune(
            dataset,
            chosen if recipe is None else recipe,
            trials=trials,
            minutes=None if minutes is None else minutes - since_start() / 60,
            settings=dict(map(parse_setting, settings)) if recipe is not None else None,
            search=search,
            epochs=epochs,
            pruner=pruner.value,
            validation=validation,
            seed=seed,
            out=out,
            storage=storage,
            runtime=ready,
            on_begin=begin,
            on_trial=on_trial,
            on_progress=on_progress,
            should_stop=stop,
        )
        is_stopped = stop()
    if json:
        print_json(found.to_dict())
    else:
        _say(found)
    if is_stopped:
        if not json:
            console.print("Stopped. The same command goes on.")
        raise typer.Exit(130)
    if found.best is None:
        raise StudyError("No trial came to its end. Give more --minutes or fewer --epochs; the same command goes on.")


def _say(found: "Tuned") -> None:
    from podium.cli.display import out

    if found.best is None:
        return
    own = found.own_accuracy
    out.print(
        f"Best of {found.num_done:,} trials: {found.best.accuracy:.2%} of {found.num_judged:,} images after "
        f"{found.epochs:g} epochs (trial {found.best.number}"
        f"{'' if own is None else f'; the recipe as it was: {own:.2%}'}).",
        soft_wrap=True,
    )
    for line in found.changes:
        out.print(f"  {line}", soft_wrap=True)
    out.print(f"To read: {found.page}", soft_wrap=True)
    out.print(f"Next: podium train DATA --recipe {shlex.quote(str(found.winner))}", soft_wrap=True)
