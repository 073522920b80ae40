"""Makes the weights that ship out of a finished run: fp16, at most 5 MB, with what is worth knowing of them.

    python bench/build_weights.py cifar10 RUN --held HELD        # RUN was trained on all images, HELD on nine tenths
    python bench/build_weights.py cifar100 RUN --evaluate DATA   # data with an official test split

Accuracy, temperature and threshold come from HELD, the same recipe with a hold-out, or from DATA's test split,
measured here with the weights as they are written. Paths of this machine stay behind.
"""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

import podium
from podium import builtin
from podium.api.common import split
from podium.data import Dataset, Images
from podium.errors import PodiumError
from podium.evaluation import Predictions, evaluate_predictions, predict_images
from podium.evaluation.judge import Judge
from podium.files import sha256_of
from podium.models import Classifier
from podium.run import Run
from podium.runtime import prepare

MOST_BYTES = 5_000_000
KEPT = ("created", "seed", "split", "hardware", "versions", "commit", "train_seconds", "num_steps")


def halved(source: Path, target: Path) -> None:
    """The same classifier with its floating-point tensors as fp16."""
    with safetensors.safe_open(source, framework="pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    halves = {name: one.half() if one.is_floating_point() else one for name, one in tensors.items()}
    assert all(torch.isfinite(one).all() for one in halves.values() if one.is_floating_point())
    safetensors.torch.save_file(halves, target, header)


def predictions(model: Path, run: Run, images: Images, *, all_views: bool) -> Predictions:
    """As `podium evaluate` measures; with all views of each image, as `podium predict` answers."""
    runtime = prepare(run.recipe.precision)
    fraction = 1.0 if all_views else run.recipe.tta_fraction
    classifier = Classifier.load(model).to(runtime.device)
    return predict_images(classifier, images, runtime, tta=run.recipe.tta, tta_fraction=fraction)


def held_out(run: Run, data: Dataset) -> Images:
    return data.train.subset(split(data.train, run.recipe)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--held", type=Path)
    parser.add_argument("--evaluate")
    parser.add_argument("--data", help="of HELD, if it lies elsewhere now")
    args = parser.parse_args()

    run = Run.open(args.run)
    target = builtin.FOLDER / args.name
    building = target.with_name(f".{args.name}.{os.getpid()}")
    building.mkdir(parents=True)
    try:
        model = building / "model.safetensors"
        halved(run.model_path, model)
        size = model.stat().st_size
        if size > MOST_BYTES:
            raise SystemExit(f"{size:,} bytes are more than {MOST_BYTES:,}.")
        if args.held is not None:
            measured_run = Run.open(args.held)
            data = podium.open(args.data or measured_run.manifest["data"]["path"])
            images, what = held_out(measured_run, data), "5,000 images held out of the same recipe's training"
            measured_model = building / "held.safetensors"
            halved(measured_run.model_path, measured_model)
        else:
            measured_run, measured_model, data = run, model, podium.open(args.evaluate)
            evaluation = data.evaluation
            assert evaluation is not None
            assert data.fingerprint == run.manifest["data"]["fingerprint"], "other data"
            images, what = evaluation, str(data.evaluation_name)
        plain = predictions(measured_model, measured_run, images, all_views=False)
        found = evaluate_predictions(plain, what, run.recipe.tta)
        full = evaluate_predictions(
            predictions(measured_run.model_path, measured_run, images, all_views=False), what, ""
        )
        judge = Judge.from_hold_out(predictions(measured_model, measured_run, images, all_views=True))
        about: dict[str, Any] = {key: run.manifest[key] for key in KEPT}
        about["command"] = (
            f"podium train DATA --recipe {run.recipe.name} --set hold_out=0 --seed {run.manifest['seed']}"
        )
        about["data"] = {**run.manifest["data"], "path": None}
        about["measured"] = {
            "what": what,
            "num_images": found.num_images,
            "accuracy": found.accuracy,
            "interval": list(found.interval),
            "tta": found.tta,
            "accuracy_in_fp32": full.accuracy,
        }
        assert judge.threshold is not None
        about["judge"] = {"temperature": round(judge.temperature, 4), "threshold": round(judge.threshold, 4)}
        about["sha256"] = sha256_of(model)
        (building / "manifest.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        (building / "recipe.toml").write_text(run.recipe.to_toml())
        (building / "held.safetensors").unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        model.chmod(0o644)
        building.rename(target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    print(f"{target}: {size:,} bytes; {about['measured']}; {about['judge']}")


if __name__ == "__main__":
    try:
        main()
    except PodiumError as error:
        raise SystemExit(f"build_weights: {error}") from None
