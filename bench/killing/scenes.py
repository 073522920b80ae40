"""The three things that are killed: a training, the first opening of an archive, a submission."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

import podium
from killing.made import competition, content_of, odd_ones
from killing.victim import Death, killed_after, lived
from podium import runtime
from podium.errors import PodiumError
from podium.run import Run

__all__ = ["Opening", "Scene", "Submission", "Training"]

SETTINGS = {"batch_size": 32, "precision": "fp32", "hold_out": 0.2, "evaluate_every": 1}
CHECKPOINT_SECONDS = 0.2


class Scene(ABC):
    """Something that is killed, and what must be true then.

    Attributes:
        watched: the folder whose files it changes.
        failures: what wasn't true, in words.

    Args:
        folder: empty, for all of it.
    """

    watched: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failures: list[str] = []

    def expect(self, is_so: bool, what: str) -> None:
        """Notes a failure unless it is so."""
        if not is_so:
            self.failures.append(what)

    @abstractmethod
    def task(self) -> None:
        """What is done, in a process of its own."""

    @abstractmethod
    def learn(self) -> Death:
        """Lets the task end once, and notes what comes of it."""

    @abstractmethod
    def begin_anew(self) -> None:
        """Before each kill: as if nothing had been done yet, or with what a former kill left, as the scene wants."""

    @abstractmethod
    def check(self, death: Death) -> None:
        """After each kill."""


class Training(Scene):
    """A training, gone on with after each kill until it is done; then another. All must end with the same bits."""

    def __init__(self, folder: Path, num_images: int = 300, epochs: float = 12.0) -> None:
        super().__init__(folder)
        self._data = competition(folder / "data", num_images, 6, 12)
        self.watched = folder / "runs"
        self._run = self.watched / "run"
        self._epochs = epochs
        self._expected: dict[str, str] = {}
        self.num_ended = 0

    def task(self) -> None:
        ready = runtime.prepare("fp32", num_threads=1)
        if self._run.exists():
            podium.resume(self._run, runtime=ready, checkpoint_seconds=CHECKPOINT_SECONDS)
        else:
            settings = SETTINGS | {"epochs": self._epochs}
            options = {"settings": settings, "out": self._run, "runtime": ready, "seed": 3}
            podium.train(self._data, "sprint_small", checkpoint_seconds=CHECKPOINT_SECONDS, **options)

    def learn(self) -> Death:
        death = lived(self.task, self.watched)
        assert not death.error, death.error
        self._expected = self._results()
        assert self._expected["model"], "the undisturbed training left no model"
        shutil.rmtree(self.watched)
        return death

    def begin_anew(self) -> None:
        if self._is_whole():
            self._end()

    def check(self, death: Death) -> None:
        self.expect(not death.error, f"ended otherwise than well: {death.error}")
        if not self._run.exists():
            return
        try:
            run = Run.open(self._run)
            run.metrics()
        except PodiumError as error:
            self.expect(False, f"the run can't be opened: {error}")
            return
        if run.is_finished:
            self.expect(
                content_of(run.model_path) == self._expected["model"], "a model is there, and isn't the whole right one"
            )
        if run.hold_out_path.exists():
            self.expect(
                content_of(run.hold_out_path) == self._expected["hold_out"],
                "predictions are there, and not the right ones",
            )
        if "hold_out" in run.manifest:
            self.expect(run.hold_out_path.exists(), "figures without the predictions that they are of")

    def finish(self) -> None:
        """Goes on to the end, undisturbed."""
        death = lived(self.task, self.watched)
        self.expect(not death.error, f"can't be gone on with: {death.error}")
        self.expect(self._is_whole(), "isn't done though nothing disturbed it")
        self._end()

    def _end(self) -> None:
        self.num_ended += 1
        found = self._results()
        for name, value in self._expected.items():
            self.expect(found.get(name) == value, f"after kills, {name} isn't as without")
        left = [name for name in odd_ones(self.watched) if name.startswith("run/")]
        self.expect(not left, f"left in the run: {left}")
        self.expect(len(odd_ones(self.watched)) <= 2, f"left beside the run: {odd_ones(self.watched)}")
        shutil.rmtree(self._run, ignore_errors=True)

    def _is_whole(self) -> bool:
        if not (self._run / "model.safetensors").exists():
            return False
        return "hold_out" in json.loads((self._run / "manifest.json").read_text())

    def _results(self) -> dict[str, str]:
        """Hashes of what a training leaves, but for times."""
        if not self._is_whole():
            return {}
        run = Run.open(self._run)
        kept = [{key: value for key, value in line.items() if "second" not in key} for line in run.metrics()]
        lines = [line for line in kept if line.get("kind") != "step"]
        figures = {key: value for key, value in run.manifest["hold_out"].items() if key != "seconds"}
        about = {"metrics": lines, "figures": figures, "checkpoint": run.checkpoint_path.exists()}
        return {
            "model": content_of(run.model_path),
            "hold_out": content_of(run.hold_out_path),
            "figures": json.dumps(about, sort_keys=True),
        }


class Opening(Scene):
    """The first opening of an archive, which fills the cache."""

    def __init__(self, folder: Path, num_images: int = 12_000, kind: str = "7z") -> None:
        super().__init__(folder)
        self._data = competition(folder / "data", num_images, 3, 16, kind)
        self.watched = folder / "cache"
        self._expected = ""
        self._answer = folder / "answer"
        self._num_files = self._turn = 0
        self._seconds = 0.0

    def task(self) -> None:
        os.environ["PODIUM_CACHE"] = str(self.watched)
        data = podium.open(self._data)
        images = data.train
        pixels = hashlib.sha256(np.ascontiguousarray(images.pixels)).hexdigest()
        self._answer.write_text(f"{data.fingerprint} {pixels} {hashlib.sha256(images.labels.tobytes()).hexdigest()}")

    def learn(self) -> Death:
        death = lived(self.task, self.watched)
        assert not death.error, death.error
        self._expected = self._answer.read_text()
        self._num_files, self._seconds = self._count(), death.seconds
        shutil.rmtree(self.watched)
        return death

    def begin_anew(self) -> None:
        """The cache is empty, or has all but the pack: `check` saw to it. Every third one is killed twice."""
        if self._turn % 3 == 2:
            killed_after(self.task, self.watched, self._seconds / 2)

    def check(self, death: Death) -> None:
        self.expect(not death.error, f"ended otherwise than well: {death.error}")
        packs = self.watched / "packs"
        begun = list(packs.glob(".*")) if packs.is_dir() else []
        self.expect(len(begun) <= 1, f"{len(begun)} half-built packs lie in the cache")
        self._answer.unlink(missing_ok=True)
        again = lived(self.task, self.watched)
        self.expect(not again.error, f"can't be opened after a kill: {again.error}")
        self.expect(
            self._answer.exists() and self._answer.read_text() == self._expected,
            "other images after a kill than without",
        )
        left = [name for name in odd_ones(self.watched) if not name.startswith("hashes/")]
        self.expect(not left, f"left in the cache: {left}")
        self.expect(
            self._count() == self._num_files, f"{self._count()} files in packs, {self._num_files} without kills"
        )
        self._turn += 1
        if self._turn % 2:
            shutil.rmtree(self.watched)
        else:  # the next one finds all but the pack
            shutil.rmtree(packs)

    def _count(self) -> int:
        return len(list((self.watched / "packs").rglob("*")))


class Submission(Scene):
    """`podium submit`: the file is as it was, or new and whole."""

    def __init__(self, folder: Path, num_test: int = 5000) -> None:
        super().__init__(folder)
        self._data = competition(folder / "data", 60, num_test, 12)
        self.watched = folder / "work"
        (self.watched / "out").mkdir(parents=True)
        self._path = self.watched / "out" / "submission.csv"
        self._run = folder / "run"
        self._former = "id,label\n" + "".join(f"{number},former\n" for number in range(num_test))
        self._new = ""
        self._turn = 0

    def train(self) -> None:
        os.environ["PODIUM_CACHE"] = str(self.folder / "first-cache")
        ready = runtime.prepare("fp32", num_threads=1)
        podium.train(self._data, "sprint_small", settings=SETTINGS | {"epochs": 1.0}, out=self._run, runtime=ready)

    def task(self) -> None:
        os.environ["PODIUM_CACHE"] = str(self.watched / "cache")
        from podium.cli import main

        sys.argv = [
            "podium",
            "submit",
            str(self._run),
            "--data",
            str(self._data),
            "-o",
            str(self._path),
            "--threads",
            "1",
        ]
        main()

    def learn(self) -> Death:
        made = lived(self.train, self.folder)
        assert not made.error, made.error
        death = lived(self.task, self.watched)
        assert not death.error, death.error
        self._new = self._path.read_text()
        return death

    def begin_anew(self) -> None:
        """With and without a former file, with and without a filled cache, in turn."""
        self._turn += 1
        self._path.unlink(missing_ok=True)
        if self._turn % 2:
            self._path.write_text(self._former)
        if self._turn % 4 < 2:
            shutil.rmtree(self.watched / "cache", ignore_errors=True)

    def check(self, death: Death) -> None:
        self.expect(not death.error, f"ended otherwise than well: {death.error}")
        found = self._path.read_text() if self._path.exists() else None
        allowed = {self._new, self._former if self._turn % 2 else None}
        self.expect(found in allowed, f"submission.csv is neither the former nor the new one: {str(found)[:100]!r}")
        if not death.was_killed:
            self.expect(found == self._new, "it ended well, and wrote no submission")
        left = list(self._path.parent.glob(".*"))
        self.expect(len(left) <= 1, f"{len(left)} half-written files lie beside the submission")
        for path in left:
            path.unlink()
