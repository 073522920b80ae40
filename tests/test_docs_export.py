"""What docs/EXPORT.md says of speed and of the networks is what was measured."""

import json
import re
from pathlib import Path

from podium import models

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "EXPORT.md").read_text()


def figures(name):
    return json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())["figures"]


def speed_table():
    """The rows as the document must have them: images/s, milliseconds for one image, accuracies."""
    rows = []
    for run in figures("onnx-speed")["runs"]:
        speeds, waits, found = run["images_per_second"], run["one_image_ms"], run["accuracy_without_tta"]
        for form in ("podium_fp32", "podium_bf16", "onnx_fp32", "onnx_int8"):
            measured = {"onnx_fp32": "onnx", "onnx_int8": "int8"}.get(form)
            accuracy = f"{found[measured]['accuracy']:.2%}" if measured else ""
            cells = (
                f"`{run['recipe']}`",
                form,
                f"{speeds[form]['median']:,.0f}",
                f"{waits[form]['median']:.1f}",
                accuracy,
            )
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows).replace("|  |", "| |")


def test_the_table_of_speeds_is_the_measured_one():
    table = re.search(r"<!-- speed -->\n(.*)\n<!-- /speed -->", DOC, re.DOTALL)[1]
    assert "\n".join(table.splitlines()[2:]) == speed_table()


def test_every_network_for_small_images_was_exported_whole():
    rows = figures("onnx-networks")["networks"]
    names = [entry.name for entry in models.entries() if "cifar" in entry.forms]
    assert [row["model"] for row in rows] == names
    assert not any("error" in row for row in rows)
    assert f"{len(rows)} of {len(names)}, and no logit differs by more than 2e-6" in DOC
    assert max(row["logits"] for row in rows) < 2e-6
