"""What MXNet makes of podium's `.params` files, and files of its own: bench/gluon_round_trip.py's other half.

    python bench/peers/mxnet_files.py FOLDER MODEL…

Runs in an environment of its own (Python 3.11, numpy==1.23.5, mxnet==1.9.1) and imports nothing of podium. In FOLDER
lie `images.npy`, float32 (N, 3, 32, 32), and of each MODEL `MODEL-podium.params`. Beside them it writes, of each,

    MODEL-podium-logits.npy     of the network that load_parameters made of podium's file
    MODEL-saved.params          save_parameters' of a network with random weights and statistics
    MODEL-exported-0000.params  export's of the same
    MODEL-mxnet-logits.npy      that network's

and prints a line of JSON that says who it is.
"""

import json
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet_seed import build


def randomize(net, rng):
    """Draws BN's parameters and statistics, which initialisation leaves at 0 and 1."""
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "running_var")):
            parameter.set_data(nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
        elif name.endswith(("beta", "running_mean", "bias")):
            parameter.set_data(nd.array(rng.normal(0, 0.2, parameter.shape)))


def main():
    folder, models = Path(sys.argv[1]), sys.argv[2:]
    images = nd.array(np.load(folder / "images.npy"))
    for model in models:
        net, _ = build(model)
        net.load_parameters(str(folder / f"{model}-podium.params"))
        np.save(folder / f"{model}-podium-logits.npy", net(images).asnumpy())
        mx.random.seed(1)
        net, _ = build(model)
        net(images)  # now the shapes are known
        randomize(net, np.random.RandomState(1))  # numpy 1.23 beside MXNet
        np.save(folder / f"{model}-mxnet-logits.npy", net(images).asnumpy())
        net.save_parameters(str(folder / f"{model}-saved.params"))
        net.export(str(folder / f"{model}-exported"))
    print(json.dumps({"mxnet": mx.__version__, "numpy": np.__version__}))


if __name__ == "__main__":
    main()
