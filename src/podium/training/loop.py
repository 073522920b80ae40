"""The one training loop.

    order → batch → augment → forward, backward → schedule, step → average → log → evaluate → checkpoint

Every random draw comes from a stream named by (seed, purpose, epoch or step), so a training that was killed and resumed
on a processor ends with the same bits as one that ran through, on the same machine with the same number of threads.

Several processes run this loop side by side (`runtime.world`): each takes its part of every batch, gradients are those
of the whole, and rank 0 writes.

Shapes: N images a batch, K classes.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch

from podium.augment import Mixer
from podium.data import Images
from podium.errors import RunError
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime, isolated_seed
from podium.training import checkpoint, setup
from podium.training.average import Average
from podium.training.batches import Batches
from podium.training.budget import Budget
from podium.training.checkpoint import Part, State
from podium.training.engine import Engine
from podium.training.feed import Resident, Streamed, advice, new_feed, note_bad_images
from podium.training.gradient import Gradient
from podium.training.measure import accuracy_of
from podium.training.optimizers import Optimizers
from podium.training.order import Order
from podium.training.pace import Pace
from podium.training.plan import Plan
from podium.training.progress import Progress
from podium.training.teacher import Teacher
from podium.training.timetable import Timetable

__all__ = ["fit"]

_NUM_AVERAGE_PIXELS = 10_000 * 32 * 32  # that an average's BN is measured on


def fit(
    run: Run,
    images: Images,
    hold_out: Images | None,
    runtime: Runtime,
    *,
    engine: Engine | None = None,
    budget: Budget | None = None,
    teacher: Teacher | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = 60.0,
) -> bool:
    """Trains as `run.recipe` says, from the run's checkpoint if there is one, and writes the run's model.

    Args:
        run: its recipe and its manifest's seed decide everything.
        images: to train on.
        hold_out: to look at now and then, for the curve only.
        runtime: device and precision.
        engine: of a former training of this recipe and runtime, whose compiled code is to be used again.
        budget: when it must be over; the plan is then stretched or shortened as it goes.
        teacher: whose answers it learns beside the labels, as the recipe says.
        on_progress: called after each step.
        should_stop: asked after each step, of several processes about once a second; True writes a checkpoint and ends
            this sitting.
        checkpoint_seconds: at most so long, and a step, between two checkpoints.

    Returns:
        Whether the training came to its end.

    Raises:
        RecipeError: the recipe doesn't fit the data or the model.
        RunError: the checkpoint is damaged, or the training diverged.
        StorageError: the disk is full or not writable; the last checkpoint stays.
    """
    with advice(run, images), new_feed(images, run.recipe, int(run.manifest["seed"]), runtime) as feed:
        return _fit(
            run,
            images,
            feed,
            hold_out,
            runtime,
            engine,
            budget,
            teacher,
            on_progress or _nobody,
            should_stop,
            checkpoint_seconds,
        )


def _fit(
    run: Run,
    images: Images,
    feed: Resident | Streamed,
    hold_out: Images | None,
    runtime: Runtime,
    engine: Engine | None,
    budget: Budget | None,
    teacher: Teacher | None,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    checkpoint_seconds: float,
) -> bool:
    recipe, seed, device, world = run.recipe, int(run.manifest["seed"]), runtime.device, runtime.world

    # ---- data
    assert images.labels is not None
    labels = torch.from_numpy(images.labels).to(device)
    is_streamed = isinstance(feed, Streamed)

    # ---- network
    timetable = Timetable.from_manifest(Plan.from_recipe(recipe, len(images)), run.manifest)
    orders = Order(len(images), seed, device, remembers=recipe.skip_learned > 0, shards=images.shards)
    engine = engine or Engine(recipe, runtime)
    classifier = engine.begin(setup.new_classifier(recipe, seed, images, runtime))
    network = classifier.network
    mean = classifier.preprocessing.mean
    augment = setup.new_pipeline(recipe, seed, images.size, len(images), mean, is_cropped=is_streamed)
    optimizers = Optimizers(network, recipe, timetable, runtime.compute_dtype)
    mixer = Mixer(recipe.mixup, recipe.cutmix)
    batches = Batches(feed, images.size, labels, augment, mixer, timetable, recipe.accumulate, seed, world, teacher)
    feed.begin(timetable, orders, batches.places)
    gradient = Gradient(engine, recipe, seed)
    average = Average(classifier, recipe, timetable) if recipe.average != "none" else None
    parts: dict[str, Part] = {"optimizer": optimizers, "order": orders, "timetable": timetable}
    if average is not None:
        parts["average"] = average

    # ---- go on from where a former sitting came to
    with world.borrowed(run.checkpoint_path) as kept:
        if kept is not None:
            state = checkpoint.load(kept, network, classifier.preprocessing, parts)
        else:
            began = time.monotonic()
            setup.prepare_network(classifier, feed, len(images), seed)
            with world.together():
                setup.take_initial_weights(classifier, run.manifest.get("init") if world.is_first else None)
            state = State(train_seconds=time.monotonic() - began)
    engine.replicate()
    run.rewind_metrics(state.step)
    optimizers.freeze(state.step)
    totals = torch.tensor(state.sums_of(world), dtype=torch.float64, device=device)
    first_step = state.step
    durations: deque[float] = deque(maxlen=50)  # seconds of a step, at each of the last looks
    unread: list[float] = []  # seconds of the steps since the last look
    log_every = max(1, timetable.steps_per_epoch // 20)
    pace = Pace(world, device, checkpoint_seconds, should_stop)

    def final() -> Classifier:
        """What the training gives if it ends here."""
        if not recipe.sync_norm:
            world.spread(dict(network.named_buffers()))
        if average is None:
            return classifier
        num_some = min(len(images), max(1, _NUM_AVERAGE_PIXELS // (images.size[0] * images.size[1])))
        with isolated_seed(seed, "average", state.step, device=device):
            some = batches.plain(num_some, recipe.batch_size, state.step, shares=recipe.sync_norm)
            return average.classifier(some, runtime)

    while state.step < timetable.num_steps:
        step_began = time.monotonic()
        if budget is not None:
            budget.keep(timetable, state.step)
        epoch, place = timetable.locate(state.step)

        # ---- order: a permutation an epoch
        if place == 0:
            orders.begin()
            totals.zero_()
            state = replace(state, num_seen=0)
        if place == 0 or state.step == first_step:
            order, weights = orders.epoch(epoch, timetable.num_images[epoch])

        # ---- batch
        indices = order[place * recipe.batch_size : (place + 1) * recipe.batch_size]
        batch = batches(indices, weights, epoch, state.step)  # (N, 3, H, W), channels_last

        # ---- forward, backward
        classifier.train()
        losses, hits = gradient(batch, state.step)  # (N,) each
        if orders.remembers and batch.indices is not None:
            orders.note(world.gather(batch.indices), world.gather(losses))

        # ---- schedule, step
        optimizers.step(state.step)

        # ---- average
        if average is not None:
            average.update(state.step + 1)

        # ---- look: it makes the CPU wait for a GPU or other processes, which are left alone for most steps
        totals += torch.stack([losses.sum(), hits.sum()])
        state = replace(state, step=state.step + 1, num_seen=state.num_seen + len(indices))
        is_last = state.step == timetable.num_steps
        ends_epoch = timetable.ends_epoch(state.step)
        look = pace(state.step, ends_epoch=ends_epoch, is_last=is_last)
        if look.reads:
            sums = world.stack(totals).tolist()
            total_loss, total_hits = (sum(each) for each in zip(*sums, strict=True))
            if not math.isfinite(total_loss):
                raise RunError(
                    f"{run.path}: at step {state.step:,} the loss is no finite number: the training diverged.\n"
                    f"Train anew with a lower rate, such as --set learning_rate={recipe.learning_rate / 10:g}."
                )
            state = replace(state, loss_sum=total_loss, num_hits=total_hits, shares=sums if world.size > 1 else [])
            loss, accuracy = total_loss / state.num_seen, total_hits / state.num_seen
        unread.append(time.monotonic() - step_began)
        state = replace(state, train_seconds=state.train_seconds + unread[-1])
        if look.reads:
            durations.append(sum(unread) / len(unread))
            unread.clear()
            if budget is not None:
                budget.note(state.step, timetable.scale(state.step - 1))

        # ---- log
        if ends_epoch or (look.reads and (not pace.always_reads or state.step % log_every == 0)):
            run.append_metrics(
                kind="epoch" if ends_epoch else "step",
                step=state.step,
                epoch=timetable.epoch_of(state.step),
                loss=loss,
                accuracy=accuracy,
                train_seconds=round(state.train_seconds, 3),
            )

        # ---- evaluate
        hold_out_accuracy = None
        if ends_epoch and hold_out is not None and _is_due(recipe.evaluate_every, epoch + 1, is_last=is_last):
            began = time.monotonic()
            hold_out_accuracy = accuracy_of(final(), hold_out, runtime)
            if budget is not None:
                budget.looked(time.monotonic() - began)
            run.append_metrics(kind="hold-out", step=state.step, accuracy=hold_out_accuracy)

        # ---- checkpoint
        if look.saves:
            note_bad_images(run, images, world)
            if run.writes:
                checkpoint.save(run.checkpoint_path, state, network, classifier.preprocessing, parts)
            pace.saved()

        step_seconds = median(durations)
        on_progress(
            Progress(
                step=state.step,
                num_steps=timetable.num_steps,
                epoch=epoch + 1,
                ends_epoch=ends_epoch,
                num_epochs=timetable.epoch_of(timetable.num_steps) if timetable.is_stretched else recipe.epochs,
                loss=loss,
                accuracy=accuracy,
                hold_out_accuracy=hold_out_accuracy,
                images_per_second=min(recipe.batch_size, len(images)) / step_seconds,
                train_seconds=state.train_seconds,
                seconds_left=(timetable.num_steps - state.step) * step_seconds,
            )
        )
        if look.stops:
            return False

    # ---- finish
    note_bad_images(run, images, world)
    run.write_manifest(
        train_seconds=round(state.train_seconds, 1), num_steps=timetable.num_steps, **timetable.to_manifest()
    )
    trained = final()
    if run.writes:
        trained.save(run.model_path)  # from here on the run is finished
        run.checkpoint_path.unlink(missing_ok=True)
    return True


def _nobody(_: Progress) -> None:
    """Is told of the progress where nobody asked."""


def _is_due(every: int, epoch: int, *, is_last: bool) -> bool:
    return is_last or (every > 0 and epoch % every == 0)
