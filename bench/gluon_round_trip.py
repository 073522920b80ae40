"""Whether MXNet 1.9.1 and podium say the same with each other's weights: the seed's networks, fp32, on the CPU.

    python bench/gluon_round_trip.py --mxnet-python PATH

PATH is a Python 3.11 that has numpy==1.23.5 and mxnet==1.9.1. Both ways, with random weights and BN statistics:

    to MXNet      a file that podium wrote, loaded with Gluon's load_parameters
    from MXNet    a file of Gluon's save_parameters, and one of its export, read by podium

The figure is the largest difference of a logit, relative to the largest logit. Ends with status 1 above the tolerance.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from common import write_result
from torch import Tensor, nn

from podium.interop import NAMED_MODELS, from_gluon, read_params, to_gluon, write_params
from podium.models import create

NUM_IMAGES = 16
TOLERANCE = 1e-5


def randomize(network: nn.Module, generator: torch.Generator) -> None:
    """Draws BN's parameters and statistics, and all biases, which initialisation leaves at 0 and 1."""
    for name, array in network.state_dict().items():
        if name.endswith("running_var") or (name.endswith("weight") and array.ndim == 1):
            array.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            array.normal_(0, 0.2, generator=generator)


def logits_of(model: str, state: dict[str, Tensor], images: Tensor) -> npt.NDArray[np.float32]:
    """float32 (N, 10) of podium's network."""
    network = create(model, 10, (32, 32)).eval()
    network.load_state_dict(state)
    with torch.inference_mode():
        logits: npt.NDArray[np.float32] = network(images).numpy()
    return logits


def difference(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    """The largest, relative to the largest logit."""
    return float(f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.2g}")


def compare(mxnet_python: Path, folder: Path) -> dict[str, Any]:
    """Figures of both networks, both ways."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(NUM_IMAGES, 3, 32, 32, generator=generator)
    np.save(folder / "images.npy", images.numpy())
    ours = {}
    for model in NAMED_MODELS:
        torch.manual_seed(0)
        network = create(model, 10, (32, 32))
        randomize(network, generator)
        ours[model] = logits_of(model, network.state_dict(), images)
        write_params(folder / f"{model}-podium.params", to_gluon(network.state_dict(), model))

    script = Path(__file__).parent / "peers" / "mxnet_files.py"
    command = [str(mxnet_python), str(script), str(folder), *NAMED_MODELS]
    about = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    differences: dict[str, Any] = {}
    for model in NAMED_MODELS:
        theirs = np.load(folder / f"{model}-mxnet-logits.npy")
        found = {"podium's file in MXNet": difference(ours[model], np.load(folder / f"{model}-podium-logits.npy"))}
        for how, name in {"save_parameters": "saved", "export": "exported-0000"}.items():
            path = folder / f"{model}-{name}.params"
            state = from_gluon(read_params(path), model, str(path))
            found[f"MXNet's {how} in podium"] = difference(logits_of(model, state, images), theirs)
        differences[model] = found
    return {
        "unit": "largest difference of a logit, relative to the largest logit",
        "tolerance": TOLERANCE,
        "num_images": NUM_IMAGES,
        "mxnet": about,
        "differences": differences,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mxnet-python", type=Path, required=True, help="the interpreter of MXNet's environment")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(args.mxnet_python, Path(folder))
    path = write_result("gluon-round-trip", "python bench/gluon_round_trip.py --mxnet-python …", figures)
    print(path.read_text())
    if not all(value <= TOLERANCE for found in figures["differences"].values() for value in found.values()):
        sys.exit("Above the tolerance.")


if __name__ == "__main__":
    main()
