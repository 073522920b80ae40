import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from podium.delivery.report import Looked, Measured, write_report
from podium.errors import RunError
from podium.evaluation import Predictions, evaluate_predictions
from podium.models import Classifier, Preprocessing
from podium.recipe import Recipe
from podium.run import Run

HOSTILE = '<script>alert("x")</script>'


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


def manifest_of(classes, **changes):
    return {
        "created": "2030-01-02T03:04:05+00:00",
        "command": "podium train toys",
        "seed": 7,
        "data": {"name": "toys", "path": "/toys", "fingerprint": "f", "classes": list(classes), "num_images": 1000},
        "split": {"num_train": 900, "num_hold_out": 100},
        "hardware": {"device": "cpu", "processor": "Abacus", "num_threads": 2},
        "versions": {"podium": "9.9"},
        "train_seconds": 75.0,
    } | changes


class Toys:
    """A run on noise images with `num_wrong` wrong guesses, and what a report takes of it."""

    def __init__(self, folder, num_classes=3, num_images=60, side=8, num_wrong=12, names=None, ids=None):
        rng = np.random.default_rng(0)
        self.classes = names or tuple(f"class {number}" for number in range(num_classes))
        labels = np.arange(num_images) % num_classes
        guesses = labels.copy()
        guesses[:num_wrong] = (guesses[:num_wrong] + 1) % num_classes
        logits = rng.normal(0, 0.5, (num_images, num_classes)).astype(np.float32)
        logits[np.arange(num_images), guesses] += 4
        self.pixels = rng.integers(0, 256, (num_images, side, side, 3), np.uint8)
        self.predictions = Predictions(
            np.array(ids or [f"id-{n}" for n in range(num_images)]), self.classes, logits, labels
        )
        self.evaluation = evaluate_predictions(self.predictions, "hold-out of toys", "none")
        preprocessing = Preprocessing(self.classes, (side, side), (0.5,) * 3, (0.25,) * 3)
        torch.manual_seed(0)
        self.classifier = Classifier("toy", Net(num_classes), preprocessing).eval()
        self.run = Run(folder, Recipe(name="toy", epochs=4, label_smoothing=0.1), manifest_of(self.classes))
        self.path = folder / "page.html"

    def fetch(self, rows):
        return self.pixels[rows]

    def write(self, *, pictures=True, measure=True, look=True, notes=()):
        fetch = self.fetch if pictures else None
        measured = Measured(self.predictions, self.evaluation, fetch, is_unseen=True) if measure else None
        looked = Looked(self.predictions, "hold-out of toys", fetch, is_unseen=True, is_part=True) if look else None
        write_report(self.run, self.path, self.classifier, measured, looked, notes)
        return self.path


def add_metrics(run, num_epochs=4):
    for epoch in range(1, num_epochs + 1):
        accuracy = 0.2 + 0.1 * epoch
        line = {"step": 10 * epoch, "epoch": float(epoch), "loss": 2 / epoch, "accuracy": accuracy}
        run.append_metrics(kind="epoch", **line, train_seconds=5.0 * epoch)
        run.append_metrics(kind="hold-out", step=10 * epoch, accuracy=accuracy - 0.05)


def test_the_figures_are_those_of_the_evaluation(tmp_path, read_page):
    toys = Toys(tmp_path)
    text = read_page(toys.write()).text
    low, high = toys.evaluation.interval
    assert toys.evaluation.accuracy == 0.8
    assert (
        f"80.00 % right, of 60 images that it wasn't trained on; 95 % interval {100 * low:.2f} % to {100 * high:.2f} %"
        in text
    )
    assert f"{toys.evaluation.calibration_error:.4f} expected calibration error" in text
    assert f"{toys.evaluation.cross_entropy:.4f} cross-entropy" in text
    for result in toys.evaluation.per_class:
        low, high = result.recall_interval
        shares = [result.recall, low, high, result.precision]
        row = f"{result.name} 20 {{:.1f}} % {{:.1f}} % to {{:.1f}} % {{:.1f}} %".format(*(100 * one for one in shares))
        assert row in text
    assert "class 0 · 16 4 ·" not in text
    assert "class 0 16 4 · class 1 · 16 4 class 2 4 · 16" in text  # the confusion matrix, row by row
    assert "class 0 class 1 4 20.0 %" in text
    assert "1.2 min" not in text
    assert "75 s to train, on Abacus" in text


def test_pictures_are_the_images(tmp_path, read_page):
    toys = Toys(tmp_path)
    page = read_page(toys.write(look=False))
    pictures = [tag for tag in page.named("img") if tag["alt"].startswith("Image ")]
    assert len(pictures) == 12 + 12 + 12  # mistakes, hits, heat maps
    for tag in pictures:
        row = int(tag["alt"].split(",")[0].removeprefix("Image id-"))
        content = base64.b64decode(tag["src"].partition(",")[2])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), toys.pixels[row])
        assert tag["alt"].endswith(f"labelled {toys.classes[row % 3]}")
        assert tag["class"] == "small"
    confidence = toys.predictions.probabilities.max(1)
    shown = [int(tag["alt"].split(",")[0].removeprefix("Image id-")) for tag in pictures]
    assert shown[:12] == sorted(range(12), key=lambda row: -confidence[row])
    assert shown[12:24] == sorted(range(12, 60), key=lambda row: confidence[row])[:12]
    assert len([tag for tag in page.named("img") if tag.get("class") == "heat"]) == 12


def test_a_hostile_name_stays_a_name(tmp_path, read_page):
    names, ids = (HOSTILE, "b & c", "' onload='x"), [f"{HOSTILE}{n}" for n in range(60)]
    toys = Toys(tmp_path, names=names, ids=ids)
    toys.run.manifest["data"]["name"] = toys.run.manifest["command"] = HOSTILE
    page = read_page(toys.write(notes=[HOSTILE]))
    assert HOSTILE in page.text
    assert "<script" not in toys.path.read_text()
    assert "b & c" in page.text


def test_curves_say_where_they_end(tmp_path, read_page):
    toys = Toys(tmp_path)
    add_metrics(toys.run)
    page = read_page(toys.write(measure=False, look=False))
    assert "Accuracy over epochs: training ends at 60 %; hold-out ends at 55 %." in page.text
    assert "Loss over epochs: training ends at 0.5." in page.text
    assert "Learning rate over epochs: learning rate ends at 0.1." in page.text
    assert "images a second ends at 256." in page.text  # 10 steps of 128 images in 5 s
    assert len(page.named("svg")) == 4


def test_without_anything_to_measure_it_still_says_how_it_was_made(tmp_path, read_page):
    toys = Toys(tmp_path)
    text = read_page(toys.write(measure=False, look=False, notes=["The data are gone."])).text
    assert "No figures of accuracy" in text
    assert "The data are gone." in text
    assert "podium train toys" in text
    assert "label_smoothing 0.1" in text
    assert "hardware.processor Abacus" in text


def test_without_pictures_the_ids_are_there(tmp_path, read_page):
    toys = Toys(tmp_path)
    page = read_page(toys.write(pictures=False))
    assert not page.named("img")
    assert "id-3" in page.text
    assert "Where it looks" not in page.text


def test_an_imported_runs_unknowns(tmp_path, read_page):
    toys = Toys(tmp_path)
    unknown = dict.fromkeys(("name", "path", "fingerprint", "num_images"))
    changes = {
        "imported": {"format": "gluon", "file": "x.params"},
        "seed": None,
        "data": unknown | {"classes": list(toys.classes)},
        "split": {"num_train": None, "num_hold_out": None},
        "hardware": dict.fromkeys(("device", "precision", "num_threads")),
    }
    toys.run.manifest = {
        key: value for key, value in manifest_of(toys.classes, **changes).items() if key != "train_seconds"
    }
    measured = Measured(toys.predictions, toys.evaluation, toys.fetch, is_unseen=False)
    write_report(toys.run, toys.path, toys.classifier, measured)
    text = read_page(toys.path).text
    assert "toy on unknown data" in text
    assert "imported 2030-01-02" in text
    assert "wasn't trained on" not in text


@pytest.mark.parametrize(("num_classes", "num_wrong"), [(2, 0), (2, 60), (25, 30), (26, 30)])
def test_few_and_many_classes_hits_and_mistakes(tmp_path, read_page, num_classes, num_wrong):
    toys = Toys(tmp_path, num_classes=num_classes, num_wrong=num_wrong)
    page = read_page(toys.write())
    has_matrix = any("matrix" in tag.get("class", "") for tag in page.named("table"))
    assert has_matrix == (num_classes <= 25 and num_wrong > 0)
    if num_wrong == 0:
        assert "every guess is right" in page.text
        assert "There are none." in page.text
    if num_wrong == 60:
        assert "The least confident hits" not in page.text
        assert "0.00 % right" in page.text
    if num_classes > 25:
        assert "26 classes are too many for a matrix" in page.text


def test_a_thousand_classes_with_long_names_of_large_noise_images_make_a_page_below_6_mb(tmp_path, read_page):
    names = tuple(f"{number:04}" + "&" * 500 for number in range(1000))
    toys = Toys(tmp_path, num_classes=1000, num_images=2000, side=224, num_wrong=500, names=names)
    page = read_page(toys.write())
    assert toys.path.stat().st_size < 6e6
    assert "The other 970 classes" in page.text
    for tag in page.named("img"):
        assert max(Image.open(io.BytesIO(base64.b64decode(tag["src"].partition(",")[2]))).size) <= 96


def test_nothing_is_left_if_it_fails(tmp_path):
    toys = Toys(tmp_path)
    toys.run.metrics_path.write_text(json.dumps({"kind": "epoch", "step": 1}) + "\n")  # lacks all that is drawn
    with pytest.raises(RunError, match=r"metrics\.jsonl is damaged"):
        toys.write()
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl"}
