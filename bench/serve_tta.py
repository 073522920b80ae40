"""What `podium serve --tta` buys and costs: a run's hold-out with each kind of test-time augmentation.

python bench/serve_tta.py RUN [--data DATA]

Accuracy as the server would have it, and the time of one image alone through the network on this machine.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import write_result

from podium import api, runtime
from podium.evaluation.tta import NUM_VIEWS, logits_with_tta
from podium.models import Classifier
from podium.run import Run


def alone_ms(classifier: Classifier, ready: runtime.Runtime, tta: str, repetitions: int = 30) -> float:
    """Median milliseconds of one image."""
    height, width = classifier.preprocessing.image_size
    pixels = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    seconds = []
    with torch.inference_mode(), ready.autocast():
        for number in range(repetitions + 3):
            began = time.perf_counter()
            logits_with_tta(classifier, pixels, tta)
            if number >= 3:
                seconds.append(time.perf_counter() - began)
    return round(1000 * statistics.median(seconds), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data")
    args = parser.parse_args()
    run = Run.open(args.run)
    dataset = api.open_for(run, args.data)
    ready = runtime.prepare(run.recipe.precision)
    classifier = Classifier.load(run.model_path)
    kinds = {tta: replace(run.recipe, tta=tta, tta_fraction=1.0) for tta in NUM_VIEWS}
    figures: dict[str, Any] = {"recipe": run.recipe.name}
    for name, recipe in kinds.items():
        found = api.evaluate(Run(run.path, recipe, run.manifest), dataset, on="hold-out", runtime=ready)
        figures[name] = {
            "accuracy": round(found.accuracy, 4),
            "interval": [round(end, 4) for end in found.interval],
            "num_images": found.num_images,
            "alone_ms": alone_ms(classifier, ready, name),
        }
        print(name, figures[name], flush=True)
    print(write_result("serve-tta", "python bench/serve_tta.py RUN", figures).read_text())


if __name__ == "__main__":
    main()
