"""export_onnx: a run becomes files that ONNX Runtime takes, checked and measured, with a model card."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.api.common import open_for, opened, split
from podium.api.pictures import judge_of
from podium.api.results import labelled_as, sets_to_measure
from podium.api.sampling import pixels_of, some_of
from podium.data import Dataset, Progress
from podium.delivery import export
from podium.delivery.export import Accuracy, Agreement, CardFacts, OnnxSession
from podium.errors import PodiumError, RunError, StorageError
from podium.evaluation import Evaluation, concatenated, evaluate_predictions
from podium.files import storage_errors, write_atomically
from podium.models import Classifier
from podium.run import Run
from podium.runtime import describe_versions
from podium.world import ALONE

__all__ = ["OnnxExport", "export_onnx"]

NUM_CHECKED = 256
NUM_GENERATED = 64
NUM_CALIBRATION = 512


@dataclass(frozen=True)
class OnnxExport:
    """What was written, and what is known of it.

    Attributes:
        files: the SHA-256 of each; the float32 model first.
        agreement: with PyTorch.
        evaluations: of "onnx" and "int8", on the same images with the same views; empty if the data aren't there.
        notes: what the user should know besides.
    """

    files: dict[Path, str]
    agreement: Agreement
    evaluations: dict[str, Evaluation]
    notes: tuple[str, ...]


def export_onnx(
    run: Run | str | Path,
    path: str | Path,
    *,
    data: Dataset | str | Path | None = None,
    tta: bool = False,
    int8: bool = False,
    num_threads: int | None = None,
    progress: Progress | None = None,
) -> OnnxExport:
    """Writes a run as ONNX, with its weights as safetensors and a model card beside it.

    The model takes uint8 (N, H, W, 3), any N, and gives logits, and probabilities as `predict` does. It is compared
    with PyTorch before anything is written, on images of the run's data if they are there, and its accuracy is
    measured on those held out.

    Args:
        run: a finished run.
        path: NAME.onnx, beside which NAME.safetensors, NAME.md and perhaps NAME.int8.onnx are written; or a new folder,
            in which they are called model.onnx, model.safetensors, README.md and model.int8.onnx.
        data: what the run was trained on; None: where it was then.
        tta: put the recipe's test-time augmentation inside. All images get all its views.
        int8: write an int8 form too, calibrated on training images.
        num_threads: to compute with; None: as ONNX Runtime likes.
        progress: told how far it is.

    Raises:
        DataError: the data that were named, or that an int8 form needs, can't be read.
        ExportError: a package is missing, or the exported model answers otherwise than PyTorch.
        RunError: the run isn't finished, or the data that were named aren't its own.
        StorageError: `path` can't be written.
    """
    export.check_installed()
    run = opened(run, ALONE)
    names = _names(Path(path))
    classifier = Classifier.load(run.model_path)
    if tta and run.recipe.tta == "none":
        raise RunError(f"{run.path} has no test-time augmentation to put inside. Leave --tta out.")
    inside = run.recipe.tta if tta else "none"
    dataset, reason = _own_data(run, data, int8, progress)
    notes: tuple[str, ...] = (
        () if reason is None else ("The data that it was trained on weren't at hand when it was exported.",)
    )

    say = progress or (lambda what, done, total: None)
    say("Exporting", 0, 0)
    temperature = judge_of(run).temperature
    facts = _facts(run, classifier, inside, temperature)
    model = export.to_onnx(classifier, tta=inside, temperature=temperature, facts=facts).SerializeToString()
    session = OnnxSession(model, num_threads)
    pixels, what = _to_check(run, classifier, dataset)
    agreement = export.check_answers(session, classifier, pixels, what, inside, temperature)

    contents = {"onnx": model, "safetensors": run.model_path.read_bytes()}
    sessions = {"onnx": session}
    if int8:
        assert dataset is not None
        say("Quantizing", 0, 0)
        chosen = some_of(split(dataset.train, run.recipe)[0], NUM_CALIBRATION)
        contents["int8"] = export.quantize(model, pixels_of(dataset.train, chosen), facts | {"precision": "int8"})
        sessions["int8"] = OnnxSession(contents["int8"], num_threads)
        notes += (_INT8_NOTE.format(count=len(chosen)),)
    evaluations, more = _measure(run, classifier, dataset, sessions, inside, say)
    notes += more + export.tta_notes(run.recipe, inside)
    card = export.model_card(
        run,
        CardFacts(
            preprocessing=classifier.preprocessing,
            model=classifier.model_name,
            onnx=names["onnx"].name,
            safetensors=names["safetensors"].name,
            tta=inside,
            temperature=temperature,
            accuracies=_accuracies(run, evaluations, names),
            agreement=agreement,
            per_class=evaluations.get("onnx"),
            notes=notes,
            version=facts["podium_version"],
        ),
    )
    contents["card"] = card.encode()
    _write(Path(path), {names[kind]: content for kind, content in contents.items()}, names["onnx"])
    order = [kind for kind in ("onnx", "int8", "safetensors", "card") if kind in contents]
    digests = {names[kind]: hashlib.sha256(contents[kind]).hexdigest() for kind in order}
    said = notes if reason is None else (f"{notes[0]} {reason}", *notes[1:])
    return OnnxExport(digests, agreement, evaluations, said)


_INT8_NOTE = (
    "The int8 file's ranges come from {count} training images. It is faster where the processor has int8 dot products "
    "(AVX-512 VNNI, AVX-VNNI, Arm's), and else may be slower and less accurate than measured here."
)


def _names(path: Path) -> dict[str, Path]:
    """Where each file goes. Raises StorageError, before anything is computed."""
    if path.suffix.lower() == ".onnx":
        if path.is_dir():
            raise StorageError(f"{path} is a folder; name a file in it, or a new folder.")
        folder = path.absolute().parent
        stem = path.name[: -len(".onnx")]
        names = {"onnx": path.name, "int8": f"{stem}.int8.onnx", "safetensors": f"{stem}.safetensors"}
        names["card"] = f"{stem}.md"
        base = path.parent
    else:
        with storage_errors(path):
            taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if taken:
            raise StorageError(f"{path} exists already. Name a new folder, or a file that ends in .onnx.")
        folder = path.absolute().parent
        names = {"onnx": "model.onnx", "int8": "model.int8.onnx", "safetensors": "model.safetensors"}
        names["card"] = "README.md"
        base = path
    if not folder.is_dir():
        raise StorageError(f"The folder {folder} doesn't exist; make it, or write elsewhere.")
    return {kind: base / name for kind, name in names.items()}


def _own_data(
    run: Run, data: Dataset | str | Path | None, is_needed: bool, progress: Progress | None
) -> tuple[Dataset | None, str | None]:
    """What the run was trained on; None, and why, if it isn't there and nobody asked for it."""
    try:
        dataset = open_for(run, data, progress=progress)
        if dataset.fingerprint != run.manifest["data"]["fingerprint"]:
            raise RunError(
                f"{dataset.place} isn't what {run.path} was trained on. Name that (--data), to measure and calibrate."
            )
        _ = dataset.train
    except PodiumError as error:
        if data is not None or is_needed:
            raise
        return None, str(error).splitlines()[0]
    return dataset, None


def _facts(run: Run, classifier: Classifier, tta: str, temperature: float) -> dict[str, str]:
    """For the file's metadata; lists as JSON."""
    one = classifier.preprocessing
    return {
        "podium_version": describe_versions()["podium"],
        "model": classifier.model_name,
        "recipe": run.recipe.name,
        "classes": json.dumps(one.classes, ensure_ascii=False),
        "image_size": json.dumps(one.image_size),
        "input": "images: uint8 (N, H, W, 3), RGB; mean and standard deviation are inside",
        "outputs": "probabilities and logits: float32 (N, K)",
        "fitting": "middle" if one.crops else "resize",
        "mean": json.dumps(one.mean),
        "std": json.dumps(one.std),
        "tta": tta,
        "temperature": repr(temperature),
        "precision": "float32",
        "trained_on": str(run.manifest["data"]["name"] or ""),
        "fingerprint": str(run.manifest["data"]["fingerprint"] or ""),
    }


def _to_check(run: Run, classifier: Classifier, dataset: Dataset | None) -> tuple[npt.NDArray[np.uint8], str]:
    """Images to compare on, and what they are."""
    size = classifier.preprocessing.image_size
    if dataset is not None and dataset.train.size == size:
        train, held_out = split(dataset.train, run.recipe)
        rows, what = (held_out, "held-out images") if len(held_out) else (train, "training images")
        return pixels_of(dataset.train, some_of(rows, NUM_CHECKED)), what
    return export.generated_images(NUM_GENERATED, size), "generated images"


def _measure(
    run: Run,
    classifier: Classifier,
    dataset: Dataset | None,
    sessions: dict[str, OnnxSession],
    tta: str,
    say: Callable[[str, int, int], None],
) -> tuple[dict[str, Evaluation], tuple[str, ...]]:
    """What each file is worth on images that weren't trained on; none if there are none, and a note then."""
    if dataset is None:
        return {}, ()
    try:
        sets, what = sets_to_measure(run, dataset, None)
    except RunError:  # trained on all there is
        if "int8" not in sessions:
            return {}, ()
        pixels = pixels_of(dataset.train, some_of(np.arange(len(dataset.train)), NUM_CALIBRATION))
        same = float((sessions["int8"](pixels)[1].argmax(1) == sessions["onnx"](pixels)[1].argmax(1)).mean())
        return {}, (
            f"No image was held out, so the int8 file's accuracy isn't known; on {len(pixels)} training images it "
            f"gives the float32 file's class for {same:.1%}.",
        )
    evaluations = {}
    classes = classifier.preprocessing.classes
    for kind, session in sessions.items():
        told = partial(say, "Measuring int8" if kind == "int8" else "Measuring float32")
        predictions = [session.predict(images, classes, told) for images in sets]
        evaluations[kind] = evaluate_predictions(labelled_as(concatenated(predictions), dataset.classes), what, tta)
    return evaluations, ()


def _accuracies(run: Run, evaluations: dict[str, Evaluation], names: dict[str, Path]) -> list[Accuracy]:
    found = [
        Accuracy(names[kind].name, one.what, one.num_images, one.accuracy, one.interval, one.tta, "ONNX Runtime")
        for kind, one in evaluations.items()
    ]
    known = run.manifest.get("hold_out")
    if isinstance(known, dict) and run.manifest["data"]["name"]:
        low, high = known["interval"]
        what = f"hold-out of {run.manifest['data']['name']}"
        file = names["safetensors"].name
        found.append(Accuracy(file, what, known["num_images"], known["accuracy"], (low, high), known["tta"], "PyTorch"))
    return found


def _write(path: Path, contents: dict[Path, bytes], last: Path) -> None:
    """All files or none; where they go beside others, `last` is the last."""
    if last.parent != path:
        for name in sorted(contents, key=lambda name: name == last):
            write_atomically(name, contents[name])
        return
    with storage_errors(path):
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
        try:
            building.chmod(0o755)
            for name, content in contents.items():
                write_atomically(building / name.name, content)
            if path.is_dir():
                path.rmdir()  # an empty one; not every system renames onto it
            building.rename(path)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
