"""A small ILSVRC in the real one's form, from its tars to a submission: does every step do what it says?

    python bench/imagenet_end_to_end.py WORK [--classes 1000] [--train 4] [--epochs 20] [--image-size 64] [--threads N]

WORK is a folder for the data (some 700 MB with 1,000 classes) and the runs; what is there is used again. The verbs are
called as a user would: data, train, Ctrl-C in the middle of an epoch, --resume, evaluate, submit, predict. The training
is done once more without a stop, and its weights must be the same to the bit. The test images' labels are known, so the
submission is scored.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import write_result
from tiny_ilsvrc import jpeg, wnids, write_tiny

SETTINGS = {"batch_size": 64, "learning_rate": 0.05, "warmup_epochs": 1, "crop_area_min": 0.35, "evaluate_every": 0}


def podium(*words: object) -> tuple[Any, float]:
    """What a verb says as JSON, and its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "podium", *map(str, words), "--json"]
    print("podium", *words, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout), time.monotonic() - began


def interrupted(run: Path, step: int, *words: object) -> int:
    """Begins a training and stops it, as Ctrl-C does, once `step` steps are logged; gives the step it came to."""
    print("podium", *words, "  (to be interrupted)", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "podium", *map(str, words)], stdout=subprocess.DEVNULL)
    while process.poll() is None and last_step(run) < step:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    if (status := process.wait()) != 130:
        sys.exit(f"The training that was to be interrupted ended with status {status}.")
    return last_step(run)


def last_step(run: Path) -> int:
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("\n")), default=0)


def digest(run: Path) -> str:
    """Of the weights; the header before them names the same things in any order."""
    data = (run / "model.safetensors").read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    for name, default in (("classes", 1000), ("train", 4), ("epochs", 20), ("image-size", 64), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--result", default="imagenet-end-to-end", help="name of the file in bench/results")
    args = parser.parse_args()
    data, runs = args.work / f"ilsvrc-{args.classes}-{args.train}", args.work / "runs"
    truth = data / "truth.json"
    if not truth.exists():
        truth.write_text(json.dumps(write_tiny(data, num_classes=args.classes, num_train=args.train)))
    os.environ["PODIUM_CACHE"] = str((args.work / "cache").resolve())
    threads = ["--threads", args.threads] if args.threads else []

    settings = SETTINGS | {"epochs": args.epochs}
    words = ["--recipe", "imagenet_resnet18", "--image-size", args.image_size, *threads]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    summary, first_seconds = podium("data", data, "--image-size", args.image_size)
    _, second_seconds = podium("data", data, "--image-size", args.image_size)
    for name in ("whole", "stopped"):
        if (runs / name).exists():
            sys.exit(f"{runs / name} is there from before: remove it first.")
    num_steps = int(args.epochs * (args.classes * args.train * 0.99 // settings["batch_size"]))
    stopped_at = interrupted(runs / "stopped", num_steps // 2 + 3, "train", data, *words, "--out", runs / "stopped")
    resumed, _ = podium("train", "--resume", runs / "stopped", *threads)
    whole, _ = podium("train", data, *words, "--out", runs / "whole")
    evaluation, evaluate_seconds = podium("evaluate", runs / "stopped", *threads)
    submission, submit_seconds = podium("submit", runs / "stopped", "-o", args.work / "submission.csv", *threads)
    names, labels = wnids(args.classes), json.loads(truth.read_text())
    with (args.work / "submission.csv").open() as file:
        guesses = [row["label"] for row in csv.DictReader(file)]
    picture = args.work / "picture.jpg"
    picture.write_bytes(jpeg(0, 2, 0, labels[0], (500, 375)))
    (answer,), _ = podium("predict", picture, "--run", runs / "stopped", *threads)

    figures = {
        "num_classes": args.classes,
        "num_train_images": summary["num_train"],
        "image_size": args.image_size,
        "epochs": args.epochs,
        "num_steps": resumed["num_steps"],
        "data_seconds": {"first": round(first_seconds, 1), "second": round(second_seconds, 1)},
        "stopped_at_step": stopped_at,
        "train_seconds": whole["train_seconds"],
        "resumed_weights_are_the_same": digest(runs / "whole") == digest(runs / "stopped"),
        "hold_out_accuracy": whole["hold_out"]["accuracy"],
        "validation_accuracy": evaluation["accuracy"],
        "evaluate_seconds": round(evaluate_seconds, 1),
        "submission_rows": submission["num_rows"],
        "submission_accuracy": float(np.mean([guess == names[k] for guess, k in zip(guesses, labels, strict=True)])),
        "submit_seconds": round(submit_seconds, 1),
        "picture_is_named_as_in_the_submission": next(iter(answer["classes"])) == guesses[0],
    }
    print(json.dumps(figures, indent=2))
    print(write_result(args.result, "python bench/imagenet_end_to_end.py WORK", figures))


if __name__ == "__main__":
    main()
