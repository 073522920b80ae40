"""A run's images/s in ONNX Runtime, float32 and int8, beside podium's own; and what int8 costs in accuracy.

    python bench/onnx_speed.py RUN... [--data DATA] [--rounds 7] [--images 2000] [--threads N]

The forms take turns, so that a slow minute of the machine meets them all: PyTorch float32 and bfloat16 as
`podium predict` computes (each thread a batch of 125 of its own), ONNX Runtime with batches of 125. Without test-time
augmentation, on the hold-out's images; the accuracies are of the whole hold-out. `one_image_ms` is the time from one
image to its answer.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from common import summary, write_result

from podium import api, runtime
from podium.api.common import open_for, split
from podium.data import Images
from podium.delivery.export import OnnxSession
from podium.evaluation import predict_images
from podium.models import Classifier
from podium.run import Run


def forms(run: Run, folder: Path, num_threads: int) -> dict[str, Any]:
    """What answers: for each form a function of images."""
    classifier = Classifier.load(run.model_path)
    ready = runtime.prepare("fp32", num_threads=num_threads)
    reduced = runtime.prepare("bf16", num_threads=num_threads)
    float32, int8 = (OnnxSession(folder / name, num_threads) for name in ("model.onnx", "model.int8.onnx"))
    classes = classifier.preprocessing.classes
    return {
        "podium_fp32": lambda images: predict_images(classifier, images, ready),
        "podium_bf16": lambda images: predict_images(classifier, images, reduced),
        "onnx_fp32": lambda images: float32.predict(images, classes),
        "onnx_int8": lambda images: int8.predict(images, classes),
    }


def measure(run: Run, data: str | None, args: argparse.Namespace) -> dict[str, Any]:
    dataset = open_for(run, data)
    rows = split(dataset.train, run.recipe)[1][: args.images]
    images = dataset.train.subset(rows)
    images = replace(images, pixels=np.ascontiguousarray(images.resident))
    one = images.subset(np.arange(1))
    with tempfile.TemporaryDirectory() as name:
        made = api.export_onnx(run, Path(name) / "model", data=dataset, int8=True, num_threads=args.threads)
        sizes = {path.name: path.stat().st_size for path in made.files}
        answers = forms(run, Path(name) / "model", args.threads)
        speeds: dict[str, list[float]] = {form: [] for form in answers}
        waits: dict[str, list[float]] = {form: [] for form in answers}
        for number in range(args.rounds + 1):
            for form, answer in answers.items():
                began = time.perf_counter()
                answer(images)
                seconds = time.perf_counter() - began
                alone = [seconds_of(answer, one) for _ in range(10)]
                if number:  # the first round takes memory and makes kernels
                    speeds[form].append(len(images) / seconds)
                    waits[form].append(1000 * sorted(alone)[len(alone) // 2])
            print(f"round {number}  " + "  ".join(f"{form} {some[-1]:.0f}" for form, some in speeds.items() if some))
    return {
        "model": Classifier.load(run.model_path).model_name,
        "recipe": run.recipe.name,
        "data": dataset.name,
        "num_images": len(images),
        "images_per_second": {form: summary(some, digits=1) for form, some in speeds.items()},
        "one_image_ms": {form: summary(some, digits=2) for form, some in waits.items()},
        "num_bytes": sizes,
        "agreement": {"num_images": made.agreement.num_images, "logits": made.agreement.logits},
        "accuracy_without_tta": {
            kind: {"accuracy": one.accuracy, "interval": list(one.interval), "num_images": one.num_images}
            for kind, one in made.evaluations.items()
        },
    }


def seconds_of(answer: Any, images: Images) -> float:
    began = time.perf_counter()
    answer(images)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", help="what the runs were trained on, if it has moved")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    rows = [measure(Run.open(path), args.data, args) for path in args.runs]
    path = write_result(
        "onnx-speed",
        f"python bench/onnx_speed.py RUN... --rounds {args.rounds} --images {args.images} --threads {args.threads}",
        {
            "unit": "images/s; milliseconds for one image",
            "threads": args.threads,
            "onnxruntime": onnxruntime.__version__,
            "runs": rows,
        },
    )
    print(path.read_text())


if __name__ == "__main__":
    main()
