"""predict: picture files, as many as there are, become answers as they come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium.api.common import classifier_of, opened
from podium.builtin import DEFAULT
from podium.data import Images
from podium.data.fit import fitted
from podium.errors import DataError, ImageError
from podium.evaluation import Predictions, predict_images
from podium.evaluation.judge import Judge
from podium.evaluation.unknown import score
from podium.limits import num_usable_cores
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime, prepare
from podium.world import World, join

__all__ = ["Answer", "Picture", "judge_of", "predict_each", "predict_files"]

_CHUNK_PIXELS = 1000 * 32 * 32  # decoded and predicted at a time; the next chunk is decoded meanwhile
_LEAST_CHUNK = 16

Picture = str | Path | tuple[str, bytes]
"""A file, or a name and the content of one."""
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """What a network says of a picture.

    Attributes:
        name: its path, as it was given.
        classes: the K names.
        probabilities: float32 (K,), of the temperature found on held-out images; None if the picture can't be read.
        score: how much it looks like any of the classes; None likewise.
        is_known: whether it looks like one of the classes; None where that can't be told: the run has no threshold.
        error: why it can't be read, in a line.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32] | None = None
    score: float | None = None
    is_known: bool | None = None
    error: str | None = None

    def best(self, count: int) -> list[tuple[str, float]]:
        """The most probable classes and their probabilities, the first first."""
        assert self.probabilities is not None
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[place], float(self.probabilities[place])) for place in order]


def judge_of(run: Run) -> Judge:
    """How a run's logits are read: as its manifest says, else from its hold-out, else as they stand.

    Raises:
        RunError: the predictions for the hold-out are damaged.
    """
    kept = run.manifest.get("judge")
    if kept is not None:
        return Judge(float(kept["temperature"]), float(kept["threshold"]))
    return Judge.from_hold_out(Predictions.load(run.hold_out_path)) if run.hold_out_path.is_file() else Judge()


def predict_each(
    run: Run | str | Path | None,
    pictures: Iterable[Picture],
    *,
    runtime: Runtime | None = None,
    on_answered: Callable[[int], None] | None = None,
) -> Generator[Answer]:
    """What a run says of pictures of any size and format that Pillow reads, in their order, as it is found.

    However many there are, a few hundred are in memory. Each gets all views of the recipe's test-time augmentation, so
    an answer doesn't depend on the other pictures. Several processes share them, and each gets all answers.

    Args:
        run: a finished one; None: the weights that ship, `builtin:cifar10`.
        pictures: files, or names with contents.
        runtime: device and precision; None: the best there is.
        on_answered: called with how many are.

    Yields:
        An answer for each; of one that can't be read, why.

    Raises:
        RunError: the run isn't finished, or damaged.
    """
    world = runtime.world if runtime is not None else join()
    run = opened(DEFAULT if run is None else run, world)
    classifier = classifier_of(run, world)
    judge = Judge(**world.first(lambda: asdict(judge_of(run))))
    runtime = runtime or prepare(run.recipe.precision)
    classifier.to(runtime.device)
    done = 0
    with runtime.world.watched(), closing(_decoded(pictures, classifier, runtime)) as chunks:
        for names, pixels, errors in chunks:
            for answer in _answers(run, classifier, runtime, names, pixels, errors, judge):
                yield answer
                done += 1
            if on_answered is not None:
                on_answered(done)


def predict_files(run: Run | str | Path, paths: Iterable[str | Path], *, runtime: Runtime | None = None) -> Predictions:
    """What a run says of image files of any size and format that Pillow reads; ids are the paths.

    Raises:
        DataError: a file is missing or no image.
        RunError: the run isn't finished.
    """
    world = runtime.world if runtime is not None else join()
    run = opened(run, world)
    classifier = classifier_of(run, world)
    runtime = runtime or prepare(run.recipe.precision)
    classifier.to(runtime.device)
    names: list[str] = []
    logits: list[npt.NDArray[np.float32]] = []
    with runtime.world.watched(), closing(_decoded(paths, classifier, runtime)) as chunks:
        for some, pixels, errors in chunks:
            if errors:
                raise ImageError(errors[min(errors)])
            names += some
            logits.append(_logits(run, classifier, runtime, some, pixels))
    if not names:
        raise DataError("No image file was given.")
    return Predictions(np.array(names), classifier.preprocessing.classes, np.concatenate(logits))


def _answers(
    run: Run,
    classifier: Classifier,
    runtime: Runtime,
    names: list[str],
    pixels: Pixels,
    errors: dict[int, str],
    judge: Judge,
) -> Iterator[Answer]:
    logits = _logits(run, classifier, runtime, names, pixels)
    classes = classifier.preprocessing.classes
    found, known = judge.probabilities(logits), judge.known(logits)
    scores = score(logits).tolist()
    for place, name in enumerate(names):
        if place in errors:
            yield Answer(name, classes, error=errors[place])
        else:
            is_known = None if known is None else bool(known[place])
            yield Answer(name, classes, found[place], scores[place], is_known)


def _logits(
    run: Run, classifier: Classifier, runtime: Runtime, names: list[str], pixels: Pixels
) -> npt.NDArray[np.float32]:
    ids = np.array(names)
    images = Images(pixels, None, ids, classifier.preprocessing.classes)
    return predict_images(classifier, images, runtime, tta=run.recipe.tta).logits


def _decoded(
    pictures: Iterable[Picture], classifier: Classifier, runtime: Runtime
) -> Generator[tuple[list[str], Pixels, dict[int, str]]]:
    """Names, pixels, and the places of those that can't be read, with the reason; the next ones are read meanwhile."""
    height, width = classifier.preprocessing.image_size
    size = max(_LEAST_CHUNK, _CHUNK_PIXELS // (height * width))
    left = iter(pictures)
    with ThreadPoolExecutor(num_usable_cores(), "podium-decode") as pool:

        def ask() -> list[tuple[str, Future[Pixels | str] | None]]:
            chunk = list(islice(left, size))
            mine = range(len(chunk))[runtime.world.part(len(chunk))]
            return [
                (_name(one), pool.submit(_read, one, classifier) if place in mine else None)
                for place, one in enumerate(chunk)
            ]

        try:
            coming = ask()
            while coming:
                chunk, coming = coming, ask()
                pixels = np.zeros((len(chunk), height, width, 3), np.uint8)  # of several processes each fills its part
                errors: dict[int, str] = {}
                for place, (_, future) in enumerate(chunk):
                    found = None if future is None else future.result()
                    if isinstance(found, str):
                        errors[place] = found
                    elif found is not None:
                        pixels[place] = found
                yield [name for name, _ in chunk], pixels, _all_errors(errors, runtime.world)
        finally:
            pool.shutdown(cancel_futures=True)


def _all_errors(errors: dict[int, str], world: World) -> dict[int, str]:
    """Those of every process."""
    if world.size == 1:
        return errors
    return {int(place): text for one in world.each(list(errors.items())) for place, text in one}


def _name(picture: Picture) -> str:
    return picture[0] if isinstance(picture, tuple) else str(picture)


def _read(picture: Picture, classifier: Classifier) -> Pixels | str:
    """The pixels, or why there are none."""
    preprocessing, name = classifier.preprocessing, _name(picture)
    try:
        content = picture[1] if isinstance(picture, tuple) else Path(picture).read_bytes()
        return fitted(content, name, preprocessing.image_size, crops=preprocessing.crops)
    except OSError as error:
        return f"{name} can't be read: {error.strerror}."
    except ImageError as error:
        return str(error)
