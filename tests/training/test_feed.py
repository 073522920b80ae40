"""Training on images that stay encoded: the same pixels as from memory, the same bits after a stop, bad ones named."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import podium
from podium.augment import Mixer
from podium.data import Dataset, Images
from podium.data.encoded import EncodedPixels, Files
from podium.errors import DataError, ImageError
from podium.evaluation import predict_images
from podium.models import Classifier
from podium.recipe import Recipe, load_recipe
from podium.runtime import prepare
from podium.training import feed as feed_module
from podium.training import setup
from podium.training.batches import Batches
from podium.training.feed import Streamed, new_feed
from podium.training.order import Order
from podium.training.plan import Plan
from podium.training.timetable import Timetable
from podium.world import World

SIZE = (12, 12)
CLASSES = ("blue", "green", "red")
CROPPED = {"crop_area_min": 0.4, "crop_ratio": 1.3}


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """To be quick: tests/data/test_loader.py has several."""
    monkeypatch.setattr(feed_module, "num_usable_cores", lambda: 1)


def jpeg(number):
    """A picture whose colour is its class."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 120, (20 + number % 5, 24, 3), np.uint8)
    pixels[..., 2 - number % 3] += 100
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def encoded(folder, num_images=60, bad=()):
    """Images in one file, of which some are cut short."""
    contents = [jpeg(number)[: 100 if number in bad else None] for number in range(num_images)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "all.bin"
    path.write_bytes(b"".join(contents))
    lengths = np.array([len(data) for data in contents])
    files = Files(
        np.array([str(path).encode()]),
        np.zeros(num_images, np.int32),
        np.cumsum(lengths) - lengths,
        lengths,
        np.array([f"{number}.jpg".encode() for number in range(num_images)]),
    )
    labels = np.arange(num_images) % 3
    return Images(EncodedPixels(files, SIZE), labels, np.arange(num_images).astype(np.str_), CLASSES)


class Some(Dataset):
    """A data set of just these images."""

    name, kind, path = "some", "test", Path("some")
    test = sample_submission = None
    fingerprint = "0123456789abcdef"

    def __init__(self, images):
        self._images = images

    @property
    def train(self):
        return self._images


def train(images, out, *, stop_at=None, **settings):
    steps = iter(range(1, 1000))
    given = {"epochs": 3, "batch_size": 16, "precision": "fp32", "hold_out": 0.2, **settings}
    return podium.train(
        Some(images), "sprint_small", settings=given, out=out, should_stop=lambda: next(steps) == stop_at
    )


def same(one, other):
    some, others = load_file(one.model_path), load_file(other.model_path)
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def test_without_a_crop_it_is_the_training_of_the_same_images_in_memory(tmp_path):
    images = encoded(tmp_path)
    resident = Images(images.pixels[:], images.labels, images.ids, images.classes)
    assert same(train(images, tmp_path / "streamed"), train(resident, tmp_path / "resident"))


@pytest.mark.parametrize(
    "more",
    [
        {"average": "ema", "mixup": 0.3, "grow_scales": [0.8], "grow_until": [0.5]},  # stopped within an epoch
        {"skip_learned": 0.2, "skip_between": [0.3, 1.0]},  # stopped just between two epochs
    ],
    ids=["mixed", "skipped"],
)
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, more):
    images = encoded(tmp_path)
    settings = {**CROPPED, **more}
    whole = train(images, tmp_path / "whole", **settings)
    run = train(images, tmp_path / "stopped", stop_at=5, **settings)
    assert not run.is_finished
    run = podium.resume(run, Some(images))
    assert run.is_finished
    assert same(run, whole)
    assert [line["loss"] for line in run.metrics() if line["kind"] == "epoch"] == [
        line["loss"] for line in whole.metrics() if line["kind"] == "epoch"
    ]
    assert "bad_images" not in run.manifest


def test_a_bad_image_stops_the_training_or_is_skipped_and_counted(tmp_path):
    images = encoded(tmp_path, bad=(7, 8))
    settings = {**CROPPED, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2], "hold_out": 0}
    with pytest.raises(DataError, match=r"(?s)[78]\.jpg.*--on-bad-image skip"):
        train(images, tmp_path / "run", **settings)
    said = []
    run = podium.train(
        Some(images),
        "sprint_small",
        settings={"epochs": 2, "batch_size": 16, "precision": "fp32", **settings},
        out=tmp_path / "other",
        on_bad_image="skip",
        on_note=said.append,
    )
    assert run.is_finished
    assert run.manifest["bad_images"] == {"num_images": 2, "names": ["all.bin: 7.jpg", "all.bin: 8.jpg"]}
    assert len(said) == 2, "each once"
    assert any("8.jpg" in message for message in said)


def test_skip_is_refused_where_it_would_do_nothing(tmp_path, tiny_competition):
    with pytest.raises(DataError, match="would be ignored"):
        podium.train(
            tiny_competition, "sprint_small", settings={"batch_size": 16}, out=tmp_path / "run", on_bad_image="skip"
        )
    assert not (tmp_path / "run").exists()


def feed_of(images, recipe, runtime, world):
    """A feed that has begun, and the batches made of it."""
    feed = new_feed(images, recipe, 5, runtime)
    plan = Timetable(Plan.from_recipe(recipe, len(images)))
    augment = setup.new_pipeline(recipe, 5, SIZE, len(images), (0.5, 0.5, 0.5), is_cropped=True)
    labels = torch.from_numpy(images.labels)
    mixer = Mixer(recipe.mixup, recipe.cutmix)
    batches = Batches(feed, SIZE, labels, augment, mixer, plan, recipe.accumulate, 5, world)
    orders = Order(len(images), 5, runtime.device, remembers=False)
    feed.begin(plan, orders, batches.places)
    return feed, batches, orders.epoch(0, len(images))[0]


def test_two_processes_show_what_one_would(tmp_path):
    images, runtime = encoded(tmp_path), prepare("fp32")
    recipe = Recipe(batch_size=15, epochs=1, mixup=0.4, flip="random", accumulate=2, **CROPPED)
    shown = {}
    for size, rank in ((1, 0), (2, 0), (2, 1)):
        world = World(rank=rank, size=size, hosts=("here",) * size)
        feed, batches, order = feed_of(images, recipe, runtime, world)
        with feed:
            for step in range(2):
                batch = batches(order[step * 15 : (step + 1) * 15], None, 0, step)
                for place, image in enumerate(batch.indices.tolist()):
                    each = (batch.pixels, batch.targets, batch.partner_targets, batch.part)
                    shown.setdefault((step, image), []).append([one[place].numpy().tobytes() for one in each])
    assert len(shown) == 30
    assert all(len(two) == 2 and two[0] == two[1] for two in shown.values())


def test_another_image_of_the_batch_takes_a_bad_ones_place_with_its_label(tmp_path):
    from podium.data.bad_images import BadImages

    images, runtime = encoded(tmp_path, 16, bad=(3, 15)), prepare("fp32")
    said = []
    images = Images(
        EncodedPixels(images.pixels.files, SIZE, BadImages(said.append)), images.labels, images.ids, images.classes
    )
    recipe = Recipe(batch_size=16, epochs=1, **CROPPED)
    feed, batches, order = feed_of(images, recipe, runtime, World())
    assert isinstance(feed, Streamed)
    with feed:
        batch = batches(order, None, 0, 0)
    rows = order.tolist()
    wanted = [next(row for row in rows[place:] + rows if row not in (3, 15)) for place in range(16)]
    assert batch.indices.tolist() == wanted
    assert batch.targets.tolist() == images.labels[wanted].tolist()
    for place in (rows.index(3), rows.index(15)):
        other = wanted.index(wanted[place]) if wanted.index(wanted[place]) != place else place + 1
        assert torch.equal(batch.pixels[place], batch.pixels[other])
    assert len(said) == 2


def test_mean_and_std_are_measured_on_some_of_many(tmp_path, monkeypatch):
    images = encoded(tmp_path)
    monkeypatch.setattr(setup, "_MOST_MEASURED", 3)
    assert setup.mean_and_std(images) == setup.mean_and_std(images.subset(np.array([0, 29, 59])))


def test_predictions_of_encoded_images_are_those_of_their_pixels(tmp_path):
    images, runtime = encoded(tmp_path, 30), prepare("fp32")
    resident = Images(images.pixels[:], images.labels, images.ids, images.classes)
    classifier: Classifier = setup.new_classifier(load_recipe("sprint_small"), 0, images).eval()
    assert setup.mean_and_std(images) == setup.mean_and_std(resident)
    some, others = (predict_images(classifier, each, runtime) for each in (images, resident))
    assert np.array_equal(some.logits, others.logits)
    with pytest.raises(ImageError, match=r"4\.jpg"):
        predict_images(classifier, encoded(tmp_path / "bad", 30, bad=(4,)), runtime)
