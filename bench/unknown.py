"""How often is a known picture called unknown, and how often isn't an unknown one?

    python bench/unknown.py RUN CIFAR10 CIFAR100

RUN was trained on CIFAR-10 with a hold-out. The threshold comes from one half of that, false alarms are counted on the
other half. Unknown are: the test images of those of CIFAR-100's classes that the score wasn't chosen on (every second
one; all of them are classes that CIFAR-10 lacks, though some come near: a bus, a wolf), digits, noise, plain colours
and gratings. All views of each picture, as `podium predict` takes them.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import write_result
from sklearn.metrics import roc_auc_score

import podium
from podium.api.common import split
from podium.data import Images
from podium.evaluation import predict_images, wilson_interval
from podium.evaluation.judge import Judge
from podium.evaluation.unknown import score
from podium.models import Classifier
from podium.run import Run
from podium.runtime import prepare

NUM = 2000

Pixels = npt.NDArray[np.uint8]


def made(draw: np.random.Generator) -> dict[str, Pixels]:
    """Pictures of nothing, uint8 (NUM, 32, 32, 3) each."""
    rows, columns = np.mgrid[:32, :32]
    angle, width, shift = draw.uniform(0, np.pi, NUM), draw.uniform(3, 16, NUM), draw.uniform(0, 6.3, NUM)
    along = rows * np.sin(angle)[:, None, None] + columns * np.cos(angle)[:, None, None]
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * along / width[:, None, None] + shift[:, None, None])
    colours = draw.integers(0, 256, (2, NUM, 1, 1, 3))
    gratings = colours[0] + waves[..., None] * (colours[1] - colours[0])
    return {
        "uniform noise": draw.integers(0, 256, (NUM, 32, 32, 3), dtype=np.uint8),
        "gaussian noise": np.clip(draw.normal(120, 63, (NUM, 32, 32, 3)), 0, 255).astype(np.uint8),
        "plain colours": np.broadcast_to(colours[0], (NUM, 32, 32, 3)).astype(np.uint8),
        "gratings of two colours": gratings.astype(np.uint8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("cifar10")
    parser.add_argument("cifar100")
    args = parser.parse_args()

    run, runtime = Run.open(args.run), prepare("auto")
    classifier = Classifier.load(run.model_path).to(runtime.device)

    def logits(pixels: Pixels) -> npt.NDArray[np.float32]:
        names = np.arange(len(pixels)).astype(str)
        images = Images(pixels, None, names, classifier.preprocessing.classes)
        return predict_images(classifier, images, runtime, tta=run.recipe.tta).logits

    data = podium.open(args.cifar10).train
    held = data.subset(split(data, run.recipe)[1])
    known = logits(held.resident)
    half = np.random.default_rng(0).permutation(len(known)) < len(known) // 2
    judge = Judge.from_hold_out(
        podium.evaluation.Predictions(held.ids[half], data.classes, known[half], held.labels[half])
    )

    others = podium.open(args.cifar100).evaluation
    assert others is not None
    assert others.labels is not None
    unseen = others.subset(np.flatnonzero(others.labels % 2 == 1))
    digits = podium.open("digits", image_size=32).train
    unknown = {"CIFAR-100, 50 classes": unseen.resident, "handwritten digits": digits.resident}
    unknown |= made(np.random.default_rng(0))

    rest = known[~half]
    alarms = int((~judge.known(rest)).sum())
    figures: dict[str, object] = {
        "recipe": run.recipe.name,
        "threshold": round(judge.threshold or 0.0, 4),
        "false_alarms": {
            "n": len(rest),
            "rate": alarms / len(rest),
            "interval": list(wilson_interval(alarms, len(rest))),
        },
    }
    missed = {}
    for name, pixels in unknown.items():
        found = logits(pixels)
        count = int(judge.known(found).sum())
        truth = np.r_[np.ones(len(rest)), np.zeros(len(found))]
        missed[name] = {
            "n": len(found),
            "rate": count / len(found),
            "interval": list(wilson_interval(count, len(found))),
            "auroc": round(float(roc_auc_score(truth, np.r_[score(rest), score(found)])), 4),
        }
    figures["called_known"] = missed
    print(write_result("unknown", "python bench/unknown.py RUN CIFAR10 CIFAR100", figures).read_text())


if __name__ == "__main__":
    main()
