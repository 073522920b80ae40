"""The seed's two networks in Gluon, trained on random images by whoever asks: bench/versus_mxnet.py's other half.

Runs in an environment of its own (Python 3.11, numpy==1.23.5, mxnet==1.9.1) and imports nothing of podium. Reads a line
of JSON {"model": …, "num_steps": …} at a time from stdin; answers each with a line {"seconds": [… a step]}. The first
line that it writes says who it is. Nothing computes between an answer and the next question.

Written from the facts about the seed, see podium/models/seed.py. Sequence and attributes are named so that the names of
its parameters are those of the seed's files (podium/interop/gluon_names.py).
"""

import json
import os
import sys
import time

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

BATCH = 128


class BasicBlock(nn.HybridBlock):
    """Two 3×3 convolutions with biases; a bare 1×1 shortcut where it downsamples."""

    def __init__(self, channels, stride, *, changes):
        super().__init__()
        self.conv1 = nn.Conv2D(channels, 3, stride, 1)
        self.bn1 = nn.BatchNorm()
        self.conv2 = nn.Conv2D(channels, 3, 1, 1)
        self.bn2 = nn.BatchNorm()
        self.conv3 = nn.Conv2D(channels, 1, stride) if changes else None

    def hybrid_forward(self, F, x):  # noqa: N803  # Gluon's name
        """Float (N, C_in, S, S) → (N, C, S/stride, S/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (self.conv3(x) if self.conv3 else x))


class Bottleneck(nn.HybridBlock):
    """BN → 1×1 → BN → ReLU → 3×3 → BN → ReLU → 1×1 → BN, plus the block's own input."""

    def __init__(self, channels, stride, *, changes):
        super().__init__()
        self.bn1 = nn.BatchNorm()
        self.conv1 = nn.Conv2D(channels // 4, 1, use_bias=False)
        self.bn2 = nn.BatchNorm()
        self.conv2 = nn.Conv2D(channels // 4, 3, stride, 1, use_bias=False)
        self.bn3 = nn.BatchNorm()
        self.conv3 = nn.Conv2D(channels, 1, use_bias=False)
        self.bn4 = nn.BatchNorm()
        self.conv4 = nn.Conv2D(channels, 1, stride, use_bias=False) if changes else None

    def hybrid_forward(self, F, x):  # noqa: N803
        """Float (N, C_in, S, S) → (N, C, S/stride, S/stride)."""
        y = self.conv1(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(y)))
        y = self.bn4(self.conv3(F.relu(self.bn3(y))))
        return y + (self.conv4(x) if self.conv4 else x)


def build(model):
    """An initialised, hybridized net and its trainer."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(64, 3, 1, 1), nn.BatchNorm(), nn.Activation("relu"))
    block, widths, num_blocks = {
        "seed_resnet18": (BasicBlock, (64, 128, 256, 512), 2),
        "seed_resnet164_v2": (Bottleneck, (64, 128, 256), 27),
    }[model]
    for stage, width in enumerate(widths):
        for place in range(num_blocks):
            halves = stage > 0 and place == 0
            net.add(block(width, 2 if halves else 1, changes=halves))
    if block is Bottleneck:
        net.add(nn.BatchNorm(), nn.Activation("relu"))
    net.add(nn.GlobalAvgPool2D(), nn.Dense(10))
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    settings = {"learning_rate": 0.01, "momentum": 0.9, "wd": 1e-4}
    return net, gluon.Trainer(net.collect_params(), "sgd", settings)


def main():
    rng = np.random.RandomState(0)  # numpy 1.23 beside MXNet, and only speed counts
    images = nd.array(rng.standard_normal((BATCH, 3, 32, 32)).astype(np.float32))
    labels = nd.array(rng.randint(0, 10, BATCH))
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    ready = {}
    about = {"mxnet": mx.__version__, "numpy": np.__version__, "threads": os.environ.get("OMP_NUM_THREADS")}
    about["onednn"] = mx.runtime.Features().is_enabled("MKLDNN")
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["model"] not in ready:
            ready[asked["model"]] = build(asked["model"])
            net = ready[asked["model"]][0]
            net(images)
            about = sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != "null")
            print(asked["model"], about, "trained parameters", file=sys.stderr, flush=True)
        net, trainer = ready[asked["model"]]
        seconds = []
        for _ in range(asked["num_steps"]):
            nd.waitall()
            began = time.perf_counter()
            with autograd.record():
                loss = loss_of(net(images), labels)
            loss.backward()
            trainer.step(BATCH)
            nd.waitall()
            seconds.append(time.perf_counter() - began)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
