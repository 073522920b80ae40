"""Going on with a run, or doing it again: on what it began, and what isn't the same now."""

from __future__ import annotations

from podium.errors import RunError
from podium.run import Run
from podium.runtime import Runtime, describe_hardware, describe_versions, prepare
from podium.world import join

__all__ = ["check_resumable", "differences", "runtime_of"]


def check_resumable(run: Run) -> None:
    """Raises RunError if the run was imported or ships with podium: there is no training to go on with."""
    if run.is_builtin:
        raise RunError(
            f"{run.label} ships with podium: its training is finished. To train on from its weights: "
            f"podium train DATA --init {run.label}"
        )
    if run.is_imported:
        raise RunError(
            f"{run.path} was imported from {run.manifest['imported']['file']}: its training is finished, and there is "
            "nothing to go on with."
        )


def runtime_of(run: Run, num_threads: int | None = None) -> Runtime:
    """Device and precision as `run` began with, where this machine has them; another number of threads if given."""
    hardware = run.manifest["hardware"]
    precision = {"bfloat16": "bf16", "float32": "fp32"}.get(hardware["precision"], run.recipe.precision)
    same_number = join().size == hardware.get("num_processes", 1)  # else each has another share of the cores
    return prepare(precision, num_threads=num_threads or (hardware["num_threads"] if same_number else None))


def differences(run: Run, runtime: Runtime) -> list[str]:
    """What has changed since the run began that decides the bits of its weights, each in words; empty if nothing."""
    then = {"num_processes": 1, **run.manifest["hardware"], **run.manifest.get("versions", {})}
    now = {"num_processes": 1, **describe_hardware(runtime), **describe_versions()}
    keys = ("processor", "device", "gpu", "precision", "num_processes", "num_threads", "torch")
    return [f"{key} {then.get(key)} → {now.get(key)}" for key in keys if then.get(key) != now.get(key)]
