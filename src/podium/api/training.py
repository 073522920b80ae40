"""train and resume: a recipe and data become a run."""

from __future__ import annotations

import hashlib
import operator
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from podium.api.again import check_resumable, differences, runtime_of
from podium.api.choice import Choice, choose_for, recipe_of
from podium.api.common import OnBatch, check_on_bad_image, open, open_for, opened, split
from podium.api.jobs import begun, same_everywhere, shared
from podium.api.sitting import sit, tolerated
from podium.api.teaching import check_teachers, described
from podium.builtin import is_reference
from podium.data import Dataset
from podium.delivery.tensorboard import check_installed
from podium.errors import RunError
from podium.recipe import Recipe, default_recipe, load_recipe
from podium.run import Run
from podium.runtime import Runtime, prepare
from podium.training import Progress, check, new_manifest
from podium.world import join

__all__ = ["resume", "train"]


def train(
    data: Dataset | str | Path,
    recipe: Recipe | str | Path | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    init: str | Path | None = None,
    teachers: Sequence[Run | str | Path] = (),
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    runtime: Runtime | None = None,
    command: str | None = None,
    on_choice: Callable[[Choice], None] | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_batch: OnBatch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
    on_bad_image: str = "stop",
    on_note: Callable[[str], None] | None = None,
    tensorboard: bool = False,
) -> Run:
    """Trains a network and measures it on the hold-out.

    Started several times by a launcher such as torchrun, all processes train one network together: docs/DISTRIBUTED.md.

    Args:
        data: what `open` gives, or what it takes.
        recipe: a Recipe, a shipped one's name, or a TOML file's path; None: as `podium.recipe.default_recipe` says.
        settings: keys of the recipe to set anew, such as {"epochs": 10}.
        init: weights to begin with, in place of random ones: a .safetensors file or one that torch saved, with
            torchvision's names for its architectures, or a run's model. A head for other classes is made anew.
        teachers: finished runs whose answers it learns in place of the labels, or beside them, as the recipe's
            `distill_weight` says (knowledge distillation). Several teach the mean of their probabilities.
        minutes: that all of this call may take, its measurement and the report too. The recipe, unless one is given,
            and its epochs are chosen for that, and the training's plan is stretched or shortened as it goes.
        seed: decides initial weights, order and augmentation.
        out: the run's folder; None: `runs/<time>-<recipe>`. A run that torchrun's job began before it was started anew
            is gone on with.
        runtime: device and precision; None: the best there is, as the recipe's precision says.
        command: for the manifest: what was typed.
        on_choice: called with what was chosen for `minutes`.
        on_begin: called with the run before the first step.
        on_progress: called after each step.
        on_batch: called after each batch of the evaluation at the end.
        should_stop: asked after each step, of several processes about once a second; True ends this sitting with a
            checkpoint.
        checkpoint_seconds: at most so long, and a step, between two checkpoints.
        on_bad_image: of images that are streamed from their files: "stop": one that can't be decoded is an error;
            "skip": it is named and counted (the manifest's "bad_images"), and another one of its batch is shown in its
            place; held out, it counts as a grey image.
        on_note: called with what is worth a word but no error, such as a bad image; None: a warning.
        tensorboard: whether the metrics are also written as TensorBoard's event files, into the run's `tensorboard/`.

    Returns:
        The run; its manifest's "hold_out" has the accuracy. It isn't finished if `should_stop` ended it.

    Raises:
        DataError, RecipeError, RunError, StorageError, WeightsError: as their names say; then there is no new run.
        WorldError: another process is missing or silent.
    """
    end = None if minutes is None else time.monotonic() + 60 * minutes
    world, folder = runtime.world if runtime is not None else join(), None if out is None else Path(out)
    if folder is not None and world.job is None:
        world.first(lambda: Run.check_new(folder))
    dataset = data if isinstance(data, Dataset) else world.in_turn(lambda: open(data))
    images = world.in_turn(lambda: dataset.train)
    is_given = recipe is not None
    taught_by = [opened(one, world) for one in teachers]
    with world.together():
        if tensorboard:
            check_installed()
        if not isinstance(recipe, Recipe):
            recipe = default_recipe(len(images), min(images.size)) if recipe is None else load_recipe(recipe)
        recipe = recipe.with_settings(settings or {})
        parts = split(images, recipe)
    runtime = runtime or prepare(recipe.precision)
    seed = operator.index(seed)
    chosen: dict[str, object] = {}
    if end is not None:
        earlier = world.first(lambda: recipe_of(begun(world, folder, None, seed, dataset.fingerprint)))
        if earlier is not None:
            recipe = Recipe(**earlier)
        else:
            wanted = recipe if is_given else None
            choice = choose_for(images, parts, end, runtime, wanted, settings or {}, [one.recipe for one in taught_by])
            recipe, chosen = choice.recipe, {"budget": {"minutes": minutes, **choice.to_manifest()}}
            if on_choice is not None:
                on_choice(choice)
        parts = split(images, recipe)
    with world.together():
        initial = None if init is None or not world.is_first else _weights_file(Path(init))
        check(recipe, images, parts, initial, world)
        check_on_bad_image(on_bad_image, images)
    check_teachers(taught_by, dataset, recipe, settings or {}, world)
    same_everywhere(world, "data set", dataset.fingerprint)
    same_everywhere(world, "recipe or seed", hashlib.sha256(f"{seed}\n{recipe.to_toml()}".encode()).hexdigest()[:16])

    def make() -> Run:
        if (known := begun(world, folder, recipe, seed, dataset.fingerprint)) is not None:
            _note_sitting(known, runtime)
            return known
        manifest = new_manifest(dataset, recipe, parts, runtime, seed, command, initial)
        if taught_by:
            manifest |= described(taught_by)
        return Run.create(folder, recipe, manifest | chosen)

    run = shared(world, make)
    images = tolerated(run, images, on_bad_image, on_note)
    return sit(
        run,
        images,
        parts,
        runtime,
        on_begin,
        on_progress,
        on_batch,
        should_stop,
        checkpoint_seconds,
        end,
        tensorboard=tensorboard,
    )


def _weights_file(path: Path) -> Path:
    """The file that --init names: itself, or a run's model."""
    return Run.open(path).model_path if path.is_dir() or is_reference(path) else path


def resume(
    run: Run | str | Path,
    data: Dataset | str | Path | None = None,
    *,
    runtime: Runtime | None = None,
    on_begin: Callable[[Run], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_batch: OnBatch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
    on_bad_image: str | None = None,
    on_note: Callable[[str], None] | None = None,
    tensorboard: bool = False,
) -> Run:
    """Goes on with a training that was stopped or killed, from its last checkpoint.

    With the same processor, number of threads and version of torch, the weights come out as if it had never stopped,
    to the bit. `differences` says what isn't the same.

    Args:
        run: the unfinished run.
        data: what it was trained on; None: the path in its manifest.
        runtime: device and precision; None: as the run began with, where this machine has that.
        on_begin: as of `train`.
        on_progress: as of `train`.
        on_batch: as of `train`.
        should_stop: as of `train`.
        checkpoint_seconds: as of `train`.
        on_bad_image: as of `train`; None: as before.
        on_note: as of `train`.
        tensorboard: as of `train`; a run that has event files goes on with them in any case, and of a finished one all
            are written.

    Raises:
        RunError: the data are not those that the run began with, the checkpoint is damaged, another process trains, or
            the run was imported.
        WorldError: another process is missing or silent.
    """
    world = runtime.world if runtime is not None else join()
    run = opened(run, world)
    check_resumable(run)
    dataset = world.in_turn(lambda: open_for(run, data))
    same_everywhere(world, "data set", world.in_turn(lambda: dataset.fingerprint))
    if dataset.fingerprint != run.manifest["data"]["fingerprint"]:
        raise RunError(
            f"{run.path} can't go on with {dataset.path}: it began with other data "
            f"(fingerprint {run.manifest['data']['fingerprint']}, not {dataset.fingerprint})."
        )
    images = dataset.train
    runtime = runtime or runtime_of(run)
    world.first(lambda: _note_sitting(run, runtime))
    parts = split(images, run.recipe)
    on_bad_image = on_bad_image or run.manifest.get("on_bad_image", "stop")
    with world.together():
        check_on_bad_image(on_bad_image, images)
        if world.size > 1:  # it may not have begun with so many
            check(run.recipe, images, parts, None, world)
    images = tolerated(run, images, on_bad_image, on_note)
    return sit(
        run,
        images,
        parts,
        runtime,
        on_begin,
        on_progress,
        on_batch,
        should_stop,
        checkpoint_seconds,
        tensorboard=tensorboard,
    )


def _note_sitting(run: Run, runtime: Runtime) -> None:
    """Writes down that an unfinished training is gone on with, and what isn't as it was."""
    sitting = {"began": datetime.now(UTC).isoformat(timespec="seconds"), "differences": differences(run, runtime)}
    if not run.is_finished:
        run.write_manifest(resumed=[*run.manifest.get("resumed", []), sitting])
