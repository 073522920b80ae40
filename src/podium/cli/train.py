"""podium train."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.clock import since_start
from podium.cli.options import DATA_HELP, ImageSize, Json, Labels, OnBadImage, Threads
from podium.errors import RunError

if TYPE_CHECKING:
    from podium.api import Choice
    from podium.data import Dataset
    from podium.run import Run


def train(
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help=DATA_HELP),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A shipped recipe or a TOML file. (default: sprint; of few images sprint_small, of many large ones "
            "imagenet_resnet18)",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; repeatable.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN",
            help="Weights to begin with: .safetensors, .pth, or a run's. A head for other classes is made anew.",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="A finished run whose answers are learned in place of the labels; repeatable: the mean of all.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            min=0.05,
            help="Be done, measured and all, in so many minutes: recipe (unless given) and epochs are chosen for that.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides weights, order and augmentation. (default: 0)")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder. (default: runs/<time>-<recipe>)")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped or killed.")
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    on_bad_image: OnBadImage = None,
    threads: Threads = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", help="Write TensorBoard's event files into the run, too: tensorboard --logdir runs."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Train a network and measure it on a hold-out.

    Ctrl-C stops after the step under way, with a checkpoint from which --resume goes on. Started by torchrun, many
    processes on many machines train it together.
    """
    given: dict[str, object] = {"--recipe": recipe, "--set": setting, "--init": init, "--seed": seed, "--out": out}
    given |= {"--image-size": image_size, "--labels": labels, "--minutes": minutes, "--teacher": teacher}
    if resume is not None and (clash := [name for name, value in given.items() if value is not None]):
        raise RunError(f"{' and '.join(clash)} can't go with --resume: the run keeps what it began with.")
    if resume is None and data is None:
        raise RunError("Train on what? Give DATA: a data set's folder, or the word digits.")

    from podium import api, runtime
    from podium.cli.display import StopSignal, TrainingDisplay, bars, note, print_json
    from podium.cli.display import out as console
    from podium.delivery.tensorboard import check_installed
    from podium.recipe import default_recipe, load_recipe, parse_setting
    from podium.run import Run
    from podium.world import join

    # what is wrong with the arguments is said before data are read
    settings, world = setting or [], join()
    with world.together():
        if tensorboard:
            check_installed()
        chosen = load_recipe(recipe or "sprint", settings)
        if out is not None and world.is_first and world.job is None:  # a job may have been started anew
            Run.check_new(out)
    with bars() as bar:
        if resume is not None:
            known = api.open_run(world, resume)
            api.check_resumable(known)
            dataset = world.in_turn(lambda: api.open_for(known, data, progress=bar))
        else:
            dataset = world.in_turn(lambda: api.open(str(data), image_size=image_size, labels=labels, progress=bar))
        images = world.in_turn(lambda: dataset.train)  # read now, under the bar
        if recipe is None:
            chosen = default_recipe(len(images), min(images.size), settings)

    if resume is not None:
        ready = api.runtime_of(known, threads)
    else:
        ready = runtime.prepare(chosen.precision, num_threads=threads)

    def begin(run: Run) -> None:
        split, name = run.manifest["split"], run.manifest["data"]["name"]
        precision = str(ready.compute_dtype).removeprefix("torch.")
        machine = f"{ready.device}, {precision}, {ready.num_threads} thread{'s'[: ready.num_threads > 1]}"
        if world.size > 1:
            machine = f"{world.size} processes on {len(set(world.hosts))} machines, each {machine}"
        lines = [
            f"{run.recipe.name} on {name}: {split['num_train']:,} images to train on, "
            f"{split['num_hold_out']:,} held out; {machine}",
            f"→ {run.path}",
        ]
        if resume is not None and not run.is_finished and (changes := api.differences(run, ready)):
            lines.append(f"Not as the run began, so its weights won't be the same to the bit: {', '.join(changes)}.")
        if not json:
            console.print("\n".join(lines), soft_wrap=True)

    with StopSignal() as stop, TrainingDisplay() as display, bars() as bar:

        def on_batch(done: int, total: int) -> None:
            if stop():
                raise KeyboardInterrupt
            bar("Measuring on the hold-out", done, total)

        if resume is not None:
            run = api.resume(
                known,
                dataset,
                runtime=ready,
                on_begin=begin,
                on_progress=display,
                on_batch=on_batch,
                should_stop=stop,
                on_bad_image=on_bad_image,
                on_note=note,
                tensorboard=tensorboard,
            )
        else:
            run = api.train(
                dataset,
                None if minutes is not None and recipe is None else chosen,
                settings=dict(map(parse_setting, settings)),
                init=init,
                teachers=teacher or (),
                minutes=None if minutes is None else minutes - since_start() / 60,
                on_choice=None if json else _say_choice,
                seed=seed or 0,
                out=out,
                runtime=ready,
                command=shlex.join(["podium", *sys.argv[1:]]),
                on_begin=begin,
                on_progress=display,
                on_batch=on_batch,
                should_stop=stop,
                on_bad_image=on_bad_image or "stop",
                on_note=note,
                tensorboard=tensorboard,
            )
    if not run.is_finished:
        if json:
            print_json({"run": str(run.path), **run.manifest})
        else:
            console.print(f"Stopped. Go on with: podium train --resume {shlex.quote(str(run.path))}", soft_wrap=True)
        raise typer.Exit(130)
    page = _write_report(run, dataset) if world.is_first else None
    _say_end(run, page, json=json)


def _say_choice(choice: "Choice") -> None:
    from podium.cli.display import out

    recipe, speed = choice.recipe, f"{choice.images_per_second:,.0f} images/s here"
    out.print(f"{recipe.name} trains on {speed}: time for about {recipe.epochs:g} epochs.", soft_wrap=True)
    if choice.is_capped:
        out.print("More of them would hardly help, so not all of the time is used.", soft_wrap=True)
    if (expected := choice.expected) is not None:
        between = f"{expected.low:.1%} to {expected.high:.1%}"
        out.print(f"Expect an accuracy of {expected.accuracy:.1%} on the hold-out ({between}).", soft_wrap=True)
    else:
        out.print("No training of such data has been measured: what to expect, the hold-out will tell.", soft_wrap=True)


def _write_report(run: "Run", dataset: "Dataset") -> "Path | None":
    """The page; None, with a word about it, if it can't be made: the run is there all the same."""
    from podium import api
    from podium.errors import PodiumError

    try:
        return api.report(run, data=dataset)
    except PodiumError as error:
        sys.stderr.write(f"No report was written: {error}\n")
        return None


def _say_end(run: "Run", page: "Path | None", *, json: bool) -> None:
    from podium.cli.display import duration, out, print_json

    manifest = run.manifest
    if json:
        print_json({"run": str(run.path), **manifest})
        return
    out.print(f"Trained in {duration(manifest['train_seconds'])}.")
    if "hold_out" in manifest:
        figures = manifest["hold_out"]
        low, high = figures["interval"]
        out.print(
            f"Hold-out accuracy {figures['accuracy']:.2%}, 95 % interval {low:.2%} to {high:.2%} "
            f"(n = {figures['num_images']:,}, test-time augmentation: {figures['tta']}).",
            soft_wrap=True,
        )
    else:
        out.print("No hold-out, so no accuracy.")
    if (bad := manifest.get("bad_images")) and bad["num_images"]:
        out.print(
            f"{bad['num_images']:,} images couldn't be decoded and were skipped; the manifest names them.",
            soft_wrap=True,
        )
    if page is not None:
        out.print(f"To read: {page}", soft_wrap=True)
    path = shlex.quote(str(run.path))
    if name := manifest["data"].get("evaluation"):
        out.print(f"To measure on the {name}, left aside so far: podium evaluate {path}", soft_wrap=True)
    out.print(f"Next: podium submit {path} --data {shlex.quote(manifest['data']['path'])}", soft_wrap=True)
