"""Whether every registered network, whole, becomes ONNX and answers there as in PyTorch.

    python bench/onnx_networks.py [NAME...]

Random weights and BN statistics, 10 classes, 32×32 pixels, 64 generated images. The figure is the largest difference of
a logit, relative to the largest logit. Ends with status 1 if one can't be exported.
"""

import argparse
import sys
import time

import torch
from common import write_result
from torch import nn

from podium.delivery.export import OnnxSession, check_answers, generated_images, to_onnx
from podium.errors import ExportError
from podium.models import Classifier, Preprocessing, create, entries

SIZE = (32, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all if left out")
    args = parser.parse_args()
    names = args.names or [entry.name for entry in entries() if "cifar" in entry.forms]
    rows = []
    for name in names:
        torch.manual_seed(0)
        network = create(name, 10, SIZE, form="cifar")
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.normal_(norm.running_mean, 0, 0.1)
                nn.init.uniform_(norm.running_var, 0.5, 2)
        classifier = Classifier(name, network, Preprocessing(tuple("abcdefghij"), SIZE, (0.5,) * 3, (0.25,) * 3))
        began = time.perf_counter()
        try:
            model = to_onnx(classifier)
            seconds = time.perf_counter() - began
            found = check_answers(
                OnnxSession(model.SerializeToString()), classifier, generated_images(64, SIZE), "generated images"
            )
        except ExportError as error:
            rows.append({"model": name, "error": str(error)})
        else:
            rows.append(
                {
                    "model": name,
                    "num_nodes": len(model.graph.node),
                    "num_bytes": model.ByteSize(),
                    "export_seconds": round(seconds, 1),
                    "logits": found.logits,
                    "other_guesses": found.num_other_guesses,
                }
            )
        print(rows[-1], flush=True)
    if not args.names:
        figures = {"unit": "largest difference of a logit, relative to the largest", "networks": rows}
        print(write_result("onnx-networks", "python bench/onnx_networks.py", figures).read_text())
    if any("error" in row for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
