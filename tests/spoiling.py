"""Runs whose weights aren't what they were."""

import shutil

import numpy as np
import safetensors.numpy

import podium

__all__ = ["nudge", "spoilt", "turn"]


def spoilt(run, path, change):
    """A copy of a run whose tensors were changed."""
    shutil.copytree(run.path, path)
    tensors = safetensors.numpy.load_file(run.model_path)
    change(tensors)
    with safetensors.safe_open(run.model_path, framework="np") as file:
        header = file.metadata()
    safetensors.numpy.save_file(tensors, path / "model.safetensors", header)
    return podium.Run.open(path)


def nudge(tensors):
    """One weight by as little as can be."""
    name = next(name for name, one in tensors.items() if one.dtype == np.float32 and one.size)
    tensors[name].flat[0] = np.nextafter(tensors[name].flat[0], np.float32(9))


def turn(tensors):
    """The classes in another order: about every answer is another one."""
    for name in [name for name in tensors if name.startswith("head.")]:
        tensors[name] = np.ascontiguousarray(np.roll(tensors[name], 1, axis=0))
