"""The model card that goes with an export, in the form that the Hugging Face Hub reads: YAML, then Markdown.

It says what was measured, on what, and what isn't known. It names no path, no command and no user of the machine that
the model was trained on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podium.delivery.export.check import Agreement
from podium.evaluation import Evaluation
from podium.models import Preprocessing
from podium.recipe import Recipe
from podium.run import Run

__all__ = ["Accuracy", "CardFacts", "model_card", "tta_notes"]

_MAX_CLASSES = 100


@dataclass(frozen=True)
class Accuracy:
    """What was measured of one file.

    Attributes:
        file: its name.
        what: which images, in words.
        num_images: N.
        accuracy: top-1, in [0, 1].
        interval: at 95 %, Wilson's.
        tta: the test-time augmentation used.
        by: what computed the answers: PyTorch or ONNX Runtime.
    """

    file: str
    what: str
    num_images: int
    accuracy: float
    interval: tuple[float, float]
    tta: str
    by: str


@dataclass(frozen=True)
class CardFacts:
    """What a card says besides what the run knows.

    Attributes:
        preprocessing: of the classifier.
        model: its name, as registered.
        onnx: the float32 file's name.
        safetensors: the name of the file of weights.
        tta: what the ONNX files have inside.
        temperature: likewise.
        accuracies: in the order to be shown; the first is the model's.
        agreement: of the ONNX file with PyTorch.
        per_class: of the best measurement, if there is one.
        notes: more sentences for the limits.
        version: podium's.
    """

    preprocessing: Preprocessing
    model: str
    onnx: str
    safetensors: str
    tta: str
    temperature: float
    accuracies: Sequence[Accuracy]
    agreement: Agreement
    per_class: Evaluation | None
    notes: Sequence[str]
    version: str


def model_card(run: Run, facts: CardFacts) -> str:
    """The text of README.md."""
    about = run.manifest["data"]
    data = str(about["name"] or "unknown data")
    title = f"{run.recipe.name} on {data}"
    parts = [
        _front_matter(title, data, facts.accuracies),
        f"# {_text(title)}",
        f"An image classifier of {len(facts.preprocessing.classes)} classes: {_classes(facts.preprocessing.classes)}.\n"
        f"Network: `{facts.model}`. Trained and exported with podium {facts.version}.",
        "## Accuracy",
        _accuracy(facts),
        "## Use",
        _use(facts),
        "## Data",
        _data(run),
        "## Recipe",
        _recipe(run),
        "## Limits",
        _limits(run, facts),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(title: str, data: str, accuracies: Sequence[Accuracy]) -> str:
    """YAML; each text is written as JSON, which YAML takes."""
    lines = ["---", "library_name: onnx", "pipeline_tag: image-classification"]
    lines += ["tags:", "- image-classification", "- onnx", "- podium"]
    if accuracies:
        first = accuracies[0]
        lines += [
            "metrics:",
            "- accuracy",
            "model-index:",
            f"- name: {json.dumps(title)}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      type: {json.dumps(re.sub(r'[^A-Za-z0-9._-]+', '-', data))}",
            f"      name: {json.dumps(data)}",
            f"      split: {json.dumps(first.what)}",
            "    metrics:",
            "    - type: accuracy",
            f"      value: {first.accuracy:.6g}",
        ]
    return "\n".join([*lines, "---"])


def _accuracy(facts: CardFacts) -> str:
    if not facts.accuracies:
        return "Not known: no image was held out, so none was left to measure it on."
    rows = [
        "| file | accuracy | 95 % interval | images | which | test-time augmentation | computed by |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in facts.accuracies:
        low, high = one.interval
        rows.append(
            f"| {_text(one.file)} | {one.accuracy:.2%} | {low:.2%} to {high:.2%} | {one.num_images:,} "
            f"| {_text(one.what)} | {one.tta} | {one.by} |"
        )
    found = facts.agreement
    return "\n".join(rows) + (
        f"\n\nBefore {_text(facts.onnx)} was written, it was compared with PyTorch on {found.num_images:,} "
        f"{found.what}: probabilities differ by {found.probabilities:.0e} at most, "
        f"{found.num_other_guesses} images got another class."
    )


def _use(facts: CardFacts) -> str:
    height, width = facts.preprocessing.image_size
    num_classes = len(facts.preprocessing.classes)
    if facts.preprocessing.crops:
        fitted = "of an image of another size take the middle, seven eighths of what has the right form, and resize it"
        load = f"ImageOps.fit(image, ({width}, {height}), Image.Resampling.BILINEAR, bleed=1 / 16)"
    else:
        fitted = "resize an image of another size, whatever its proportions"
        load = f"image.resize(({width}, {height}), Image.Resampling.BILINEAR)"
    return f"""\
Input `images`: uint8, N×{height}×{width}×3, RGB, any N; {fitted}. Mean and standard deviation are inside.
Outputs: `probabilities` and `logits`, float32, N×{num_classes}. {_softmax(facts)}{_views(facts.tta)}

```python
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession({json.dumps(facts.onnx)})
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
image = ImageOps.exif_transpose(Image.open("picture.png")).convert("RGB")
pixels = np.asarray({load})
probabilities, logits = session.run(["probabilities", "logits"], {{"images": pixels[None]}})
print(classes[probabilities[0].argmax()], probabilities[0].max())
```

`{facts.safetensors}` holds the weights for PyTorch, with the same preprocessing in its metadata."""


def _views(tta: str) -> str:
    if tta == "none":
        return "One look at each image: no test-time augmentation is inside."
    return f"Test-time augmentation is inside ({tta}); each image is given once."


def _softmax(facts: CardFacts) -> str:
    if facts.temperature == 1:
        return ""
    return f"Probabilities are the softmax of the logits divided by {facts.temperature:.4g}, found on held-out images. "


def _data(run: Run) -> str:
    about, split = run.manifest["data"], run.manifest["split"]
    if run.is_imported:
        return "Not known: the weights were imported."
    height, width = about["image_size"]
    num_images = about.get("num_images") or split["num_train"] + split["num_hold_out"]
    return (
        f"{_text(about['name'])}: {num_images:,} labelled images of {height}×{width} pixels, "
        f"{split['num_train']:,} to train on and {split['num_hold_out']:,} held out. Fingerprint of the files: "
        f"`{about['fingerprint']}`."
    )


def _recipe(run: Run) -> str:
    recipe, hardware = run.recipe, run.manifest["hardware"]
    said = [
        f"`{recipe.name}`: {recipe.epochs:g} epochs, batches of {recipe.batch_size:,}, {recipe.optimizer}, "
        f"learning rate {recipe.learning_rate:g}, schedule {recipe.schedule}; seed {run.manifest['seed']}."
    ]
    if run.manifest.get("train_seconds"):
        said.append(
            f"Trained in {run.manifest['train_seconds'] / 60:.1f} minutes on {hardware.get('device')} "
            f"({hardware.get('processor') or 'unknown processor'}), {hardware.get('precision')}."
        )
    if run.is_imported:
        said = [f"Not known: the weights were imported. The network is that of the recipe `{recipe.name}`."]
    return "\n".join(said)


def _limits(run: Run, facts: CardFacts) -> str:
    lines = [
        f"It answers with one of its {len(facts.preprocessing.classes)} classes whatever the image shows, and wasn't "
        "trained to say that it shows none of them.",
        "What it was measured on is of the same kind as what it was trained on: on other images expect less.",
    ]
    if run.manifest["split"].get("num_hold_out"):
        lines.append("If recipes or seeds were chosen by this hold-out, its accuracy is a little too good.")
    if facts.per_class is not None:
        found = [one for one in facts.per_class.per_class if one.recall is not None]
        worst = sorted(found, key=lambda one: one.recall or 0.0)[:3]
        named = ", ".join(f"{_text(one.name)} ({one.recall:.1%} of {one.num_images:,})" for one in worst)
        lines.append(f"Found least often: {named}.")
        before = "" if facts.temperature == 1 else ", before the temperature,"
        lines.append(
            f"Its confidence{before} is off by {facts.per_class.calibration_error:.1%} on average (expected "
            "calibration error)."
        )
    lines += facts.notes
    lines.append("No licence is named here: it depends on the data. Name one (`license:` above) before you publish it.")
    return "\n".join(f"- {line}" for line in lines)


def tta_notes(recipe: Recipe, inside: str) -> tuple[str, ...]:
    """How a file with the test-time augmentation `inside` differs from the run that the recipe made."""
    if recipe.tta == "none":
        return ()
    if inside == "none":
        return (
            f"The run's own accuracy includes test-time augmentation ({recipe.tta}); the ONNX file has none inside: it "
            "is faster, and may be a little less accurate.",
        )
    if recipe.tta_fraction < 1:
        return (
            f"The recipe gives all views to the least sure {recipe.tta_fraction:.0%} of a set of images only; this "
            "file gives them to every image.",
        )
    return ()


def _classes(classes: Sequence[str]) -> str:
    shown = ", ".join(map(_text, classes[:_MAX_CLASSES]))
    return shown + (f", … ({len(classes):,} in all, in the file's metadata)" if len(classes) > _MAX_CLASSES else "")


def _text(value: Any) -> str:
    """A name as Markdown shows it, in a table too: on one line, nothing in it being a mark."""
    return re.sub(r"([\\`*_|<>\[\]#&])", r"\\\1", " ".join(str(value).split()))
