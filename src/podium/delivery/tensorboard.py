"""A run's metrics as TensorBoard's event files, in RUN/tensorboard: `tensorboard --logdir runs` shows all runs.

They are made of metrics.jsonl and hold nothing else. What a resumed training takes back there is taken back here, too:
a new file has all lines that stand, and tells TensorBoard to forget what came before it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium.delivery.rates import Rates
from podium.errors import RunError
from podium.files import storage_errors
from podium.run import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["FOLDER", "EventLog", "check_installed"]

FOLDER = "tensorboard"
"""Within a run's."""
_FLUSH_SECONDS = 10


def check_installed() -> None:
    """Raises RunError that says what to install."""
    try:
        import torch.utils.tensorboard  # noqa: F401, PLC0415  # what it needs is an extra
    except ImportError as error:
        raise RunError(
            f"--tensorboard needs the package tensorboard ({error}): pip install 'podium-vision[tensorboard]'."
        ) from error


class EventLog:
    """Follows a run's metrics; set it as the run's `on_metrics`.

    Scalars, by step: train/loss, train/accuracy, train/epoch, train/learning_rate, train/images_per_second,
    hold_out/accuracy. The rate is left out where a time limit moves it. The recipe is there as text. An event's time is
    the run's beginning and the seconds of training until then, so that times are the same after a resumption.

    Raises:
        RunError: the package is missing.
        StorageError: the files can't be written.
    """

    def __init__(self, run: Run) -> None:
        check_installed()
        self._run = run
        self._folder = run.path / FOLDER
        self._writer: SummaryWriter | None = None
        self._rates = None if "budget" in run.manifest else Rates.of(run)
        created = run.manifest.get("created")
        self._began = (datetime.fromisoformat(created) if created else datetime.now()).timestamp()
        self._before: dict[str, Any] | None = None  # the last line that has seconds
        self._batch_size = min(run.recipe.batch_size, run.manifest["split"]["num_train"] or run.recipe.batch_size)

    def __call__(self, line: dict[str, Any] | None) -> None:
        """Adds a line that the metrics have got; None: they lost some, and all is written anew."""
        with storage_errors(self._folder):
            if line is None or self._writer is None:
                self._write_anew()
            else:
                self._add(self._writer, line)

    def close(self) -> None:
        """Writes what is still in memory."""
        if self._writer is not None:
            with storage_errors(self._folder):
                self._writer.close()
            self._writer = None

    def _write_anew(self) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # loads much

        self.close()
        old = self._files()
        # purge_step: what was read from files before this one is forgotten
        self._writer = SummaryWriter(str(self._folder), purge_step=0, flush_secs=_FLUSH_SECONDS)
        self._before = None
        text = "    " + self._run.recipe.to_toml().replace("\n", "\n    ")
        self._writer.add_text("recipe", text, 0, walltime=self._began)
        for line in self._run.metrics():
            self._add(self._writer, line)
        self._writer.flush()
        # A TensorBoard that runs is stuck at its file if that is gone, so the last one stays. Files are read in the
        # order of their names, which begin with the second; one that would come after this one can't stay.
        (new,) = {*self._files()} - {*old}
        earlier = [path for path in old if path.name < new.name]
        for path in {*old} - {*earlier[-1:]}:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """In the order in which they are read."""
        return sorted(self._folder.glob("events.out.tfevents.*"))

    def _add(self, writer: SummaryWriter, line: dict[str, Any]) -> None:
        step, before = line["step"], self._before
        if line["kind"] == "hold-out":
            scalars = {"hold_out/accuracy": line["accuracy"]}
        else:
            scalars = {f"train/{name}": line[name] for name in ("loss", "accuracy", "epoch")}
            if self._rates is not None:
                scalars["train/learning_rate"] = self._rates.at(step - 1)
            if before is not None and (seconds := line["train_seconds"] - before["train_seconds"]) > 0:
                scalars["train/images_per_second"] = (step - before["step"]) * self._batch_size / seconds
            self._before = before = line
        walltime = self._began + (before["train_seconds"] if before is not None else 0.0)
        for name, value in scalars.items():
            writer.add_scalar(name, value, step, walltime=walltime)
