"""What ImageNet on many GPUs, and classifying 10⁹ images, would take: from counts, measurements and public specs.

    python bench/scale_model.py

Writes bench/results/scale-model.json and the tables of docs/SCALE.md. It measures nothing. A measurement that isn't in
bench/results yet is left out, with what follows from it, and named under "left_out".
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, write_result
from scale_tables import placed, tables

from podium import models

DOCUMENT = Path(__file__).parents[1] / "docs" / "SCALE.md"
NUM_GPUS = (1, 8, 64, 512)
GPUS_A_MACHINE = 8
NUM_TRAIN, NUM_EPOCHS = 1_281_167, 90
NUM_CLASSIFIED = 10**9
SPECS = [
    # name, value, unit, kind, source
    ("gpu_flops", 989e12, "FLOP/s", "spec", "NVIDIA H100 SXM, bf16 without sparsity"),
    (
        "gpu_share",
        0.12,
        "",
        "assumed",
        "that resnet50 sustains; on an A100 20 %: 2,600 images/s (timm issue 1491)",
    ),
    ("nvlink", 450e9, "bytes/s", "spec", "NVLink 4: 900 GB/s a GPU, half of it each way; within a machine"),
    ("network", 50e9, "bytes/s", "spec", "400 Gb/s a GPU, between machines"),
    ("network_share", 0.7, "", "assumed", "of either that a sum sustains"),
    (
        "hop_seconds",
        10e-6,
        "s",
        "assumed",
        "a message between two GPUs; any exchange among all takes 2 log₂ n in a row",
    ),
    ("backward_share", 2 / 3, "", "assumed", "of a step's operations: while they run, gradients are summed"),
    ("cores_a_gpu", 14, "cores", "spec", "DGX H100: 112 cores for 8 GPUs"),
    ("memory_a_machine", 2e12, "bytes", "spec", "DGX H100"),
    ("disk", 7e9, "bytes/s", "spec", "one NVMe drive on four PCIe 4 lanes, in each machine"),
    ("batch_a_gpu", 256, "images", "assumed", "where the whole batch allows it"),
    ("largest_batch", 8192, "images", "public", "arXiv 1706.02677: beyond it ResNet-50 loses accuracy with plain SGD"),
]


def inputs() -> tuple[list[dict[str, Any]], list[str]]:
    """Everything that the arithmetic starts from, and what isn't there yet."""
    rows = [_counted(*one) for one in (("resnet50", "imagenet"), ("resnet18", "cifar"))]
    found = [row for some in rows for row in some]
    with torch.device("meta"):
        network = models.create("resnet50", 1000, (224, 224), form="imagenet")
    num_norms = sum(isinstance(one, torch.nn.BatchNorm2d) for one in network.modules())
    found.append(_row("resnet50_norms", num_norms, "", "counted", "its layers of BN"))
    found.append(_row("pixel_bytes", 32 * 32 * 3, "bytes", "counted", "an image of 32×32 as the cache keeps it"))
    left_out = []
    if (opening := _figures("opening-300000")) is not None:
        speed = opening["num_images"] / opening["first_seconds"]["median"]
        found.append(_row("opened", speed, "images/s", "measured", "opening-300000.json: from a .7z, a machine"))
    else:
        left_out.append("opening-300000.json: PNG files read from an archive")
    if (throughput := _figures("model-throughput")) is not None:
        speed = next(one for one in throughput["training"] if (one["model"], one["form"]) == ("resnet50", "imagenet"))
        found.append(_row("trained_here", speed["median"], "images/s", "measured", "model-throughput.json: two cores"))
    if (streaming := _figures("streaming")) is not None:
        speed = streaming["images_per_second"]["podium"]["median"] / streaming["num_workers"]
        found.append(_row("streamed", speed, "images/s", "measured", "streaming.json: JPEG to 224×224, a core"))
        size = streaming["image"]["kilobytes"] * 1e3
        found.append(_row("jpeg_bytes", size, "bytes", "measured", "streaming.json: the files that it reads"))
    else:
        left_out.append("streaming.json: JPEG files decoded a second and core")
        found.append(_row("jpeg_bytes", 110e3, "bytes", "public", "about ImageNet's average"))
    if (scaling := _figures("scaling")) is None:
        left_out.append("scaling.json: two processes against one")
    elif (efficiency := scaling.get("efficiency")) is not None:
        value = efficiency["median"] if isinstance(efficiency, dict) else efficiency
        found.append(
            _row("efficiency_here", value, "", "measured", "scaling.json: 2 processes × 1 thread / 1 × 2 threads")
        )
    return found + [_row(*one) for one in SPECS], left_out


def figures_from(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The three tables, from the inputs alone."""
    known = {row["name"]: row["value"] for row in rows}
    return {
        "training": [training(known, num) for num in NUM_GPUS],
        "classifying_224": [classifying_224(known, num) for num in NUM_GPUS],
        "classifying_32": [classifying_32(known, num) for num in NUM_GPUS],
        "outputs": [outputs(known, num_classes) for num_classes in (10, 1000)],
        "days_here": _rounded(NUM_TRAIN * NUM_EPOCHS / known["trained_here"] / 86400)
        if "trained_here" in known
        else None,
    }


def training(known: dict[str, float], num_gpus: int) -> dict[str, Any]:
    """resnet50 on ImageNet for 90 epochs."""
    batch_a_gpu = min(known["batch_a_gpu"], known["largest_batch"] // num_gpus)
    compute = batch_a_gpu * 3 * known["resnet50_operations"] / (known["gpu_flops"] * known["gpu_share"])
    hidden = compute * known["backward_share"]
    link = known["nvlink"] if num_gpus <= GPUS_A_MACHINE else known["network"]
    sent = 2 * (num_gpus - 1) / num_gpus * known["resnet50_gradient_bytes"]
    hops = 2 * math.log2(num_gpus) * known["hop_seconds"]
    reduce = sent / (link * known["network_share"]) + hops
    norms = 2 * known["resnet50_norms"] * hops
    parts = {"compute": compute, "network": max(0.0, reduce - hidden), "norms": norms}
    limits = {
        max(parts, key=lambda name: parts[name]): num_gpus * batch_a_gpu / sum(parts.values()),
        **_decoding(known, num_gpus),
        "disk": _machines(num_gpus) * known["disk"] / known["jpeg_bytes"],
    }
    apart = num_gpus * batch_a_gpu / (compute + parts["network"])
    others = [value for name, value in limits.items() if name in ("decoding", "disk")]
    binding = min(limits, key=lambda name: limits[name])
    speed = limits[binding]
    return {
        "num_gpus": num_gpus,
        "batch_size": int(batch_a_gpu * num_gpus),
        "compute_ms": _rounded(compute * 1e3),
        "sum_ms": _rounded(reduce * 1e3),
        "norms_ms": _rounded(norms * 1e3),
        "images_per_second": _rounded(speed),
        "without_sync_norm": _rounded(min(apart, *others)),
        "hours": _rounded(NUM_TRAIN * NUM_EPOCHS / speed / 3600),
        "network_gbit_a_gpu": _rounded(sent / hidden * 8 / 1e9),
        "read_gb_per_second": _rounded(speed * known["jpeg_bytes"] / 1e9),
        "decoding_cores_a_gpu": _rounded(speed / known["streamed"] / num_gpus) if "streamed" in known else None,
        "limits": {name: _rounded(value) for name, value in limits.items()},
        "binding": binding,
    }


def classifying_224(known: dict[str, float], num_gpus: int) -> dict[str, Any]:
    """10⁹ JPEG files through resnet50."""
    limits = {
        "compute": num_gpus * known["gpu_flops"] * known["gpu_share"] / known["resnet50_operations"],
        **_decoding(known, num_gpus),
        "disk": _machines(num_gpus) * known["disk"] / known["jpeg_bytes"],
    }
    return _classified(num_gpus, limits, known["jpeg_bytes"])


def classifying_32(known: dict[str, float], num_gpus: int) -> dict[str, Any]:
    """10⁹ images of 32×32 through resnet18: each machine opens archives of its own, then reads its cache."""
    limits = {
        "compute": num_gpus * known["gpu_flops"] * known["gpu_share"] / known["resnet18_operations"],
        **({"opening": _machines(num_gpus) * known["opened"]} if "opened" in known else {}),
        "disk": _machines(num_gpus) * known["disk"] / known["pixel_bytes"],
    }
    return _classified(num_gpus, limits, known["pixel_bytes"])


def outputs(known: dict[str, float], num_classes: int) -> dict[str, Any]:
    """What all logits take: `Predictions` has them in memory, in each process, and once more while they are merged."""
    row_bytes = 4 * num_classes
    most = known["memory_a_machine"] / GPUS_A_MACHINE / (2 * row_bytes)
    return {
        "num_classes": num_classes,
        "gigabytes": _rounded(NUM_CLASSIFIED * row_bytes / 1e9),
        "most_millions_a_run": _rounded(most / 1e6),
        "num_runs": math.ceil(NUM_CLASSIFIED / most),
    }


def main() -> None:
    rows, left_out = inputs()
    figures = {"inputs": rows, "left_out": left_out, **figures_from(rows)}
    print(write_result("scale-model", "python bench/scale_model.py", figures).read_text())
    DOCUMENT.write_text(placed(DOCUMENT.read_text(encoding="utf-8"), tables(figures)), encoding="utf-8")


def _counted(name: str, form: str) -> list[dict[str, Any]]:
    parameters = models.entry(name).forms[form].num_parameters
    operations = models.count_operations(name, form)
    source = f"`podium models {name}`, form {form}"
    return [
        _row(
            f"{name}_operations",
            operations,
            "FLOP",
            "counted",
            f"{source}: an image's logits; a step takes three times",
        ),
        _row(f"{name}_gradient_bytes", 4 * parameters, "bytes", "counted", f"{source}: parameters in fp32"),
    ]


def _row(name: str, value: float, unit: str, kind: str, source: str) -> dict[str, Any]:
    return {"name": name, "value": _rounded(value, 12), "unit": unit, "kind": kind, "source": source}


def _figures(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else None


def _decoding(known: dict[str, float], num_gpus: int) -> dict[str, float]:
    return {"decoding": num_gpus * known["cores_a_gpu"] * known["streamed"]} if "streamed" in known else {}


def _machines(num_gpus: int) -> int:
    return math.ceil(num_gpus / GPUS_A_MACHINE)


def _classified(num_gpus: int, limits: dict[str, float], num_bytes: float) -> dict[str, Any]:
    binding = min(limits, key=lambda name: limits[name])
    return {
        "num_gpus": num_gpus,
        "limits": {name: _rounded(value) for name, value in limits.items()},
        "images_per_second": _rounded(limits[binding]),
        "hours": _rounded(NUM_CLASSIFIED / limits[binding] / 3600),
        "terabytes": _rounded(NUM_CLASSIFIED * num_bytes / 1e12),
        "binding": binding,
    }


def _rounded(value: float, digits: int = 3) -> float:
    """To so many digits that count; a whole number where it is one."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) else rounded


if __name__ == "__main__":
    main()
