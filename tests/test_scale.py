"""docs/SCALE.md says what scale-model.json says; that follows from its inputs, and these are the committed ones."""

import json
import math
import re
import sys
from pathlib import Path

import pytest

from podium import models

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import scale_model  # noqa: E402
import scale_tables  # noqa: E402

FIGURES = json.loads((ROOT / "bench" / "results" / "scale-model.json").read_text())["figures"]
DOCUMENT = (ROOT / "docs" / "SCALE.md").read_text()
KNOWN = {row["name"]: row["value"] for row in FIGURES["inputs"]}


def rows(mark):
    """The table between two marks, without its two heading lines, and without what only eases reading."""
    table = re.search(rf"<!-- {mark} -->\n(.*)<!-- /{mark} -->", DOCUMENT, re.DOTALL).group(1)
    return [
        [cell.strip(" `").replace(",", "") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def close(text, value):
    return (text == "–" and value is None) or math.isclose(float(text), value, rel_tol=1e-3)


def test_the_documents_training_is_the_results():
    columns = "num_gpus batch_size compute_ms sum_ms norms_ms images_per_second without_sync_norm hours "
    columns = (columns + "network_gbit_a_gpu read_gb_per_second decoding_cores_a_gpu").split()
    assert len(rows("training")) == len(FIGURES["training"]) == 4
    for cells, row in zip(rows("training"), FIGURES["training"], strict=True):
        assert cells[-1] == row["binding"]
        for cell, column in zip(cells[:-1], columns, strict=True):
            assert close(cell, row[column]), (column, cell, row)


@pytest.mark.parametrize("mark", ["classifying_224", "classifying_32"])
def test_the_documents_classifying_is_the_results(mark):
    assert len(rows(mark)) == len(FIGURES[mark]) == 4
    for cells, row in zip(rows(mark), FIGURES[mark], strict=True):
        values = [row["num_gpus"], *row["limits"].values(), row["images_per_second"], row["hours"]]
        assert cells[-1] == row["binding"]
        assert all(close(cell, value) for cell, value in zip(cells[:-1], values, strict=True)), (cells, row)


def test_every_table_is_as_it_would_be_made_now():
    assert scale_tables.placed(DOCUMENT, scale_tables.tables(FIGURES)) == DOCUMENT


def test_the_results_follow_from_their_inputs():
    made = json.loads(json.dumps(scale_model.figures_from(FIGURES["inputs"])))
    assert made == {name: value for name, value in FIGURES.items() if name not in ("inputs", "left_out")}


def test_the_inputs_are_the_committed_ones():
    found, left_out = scale_model.inputs()
    assert (found, left_out) == (FIGURES["inputs"], FIGURES["left_out"]), "run bench/scale_model.py again"
    assert {row["kind"] for row in found} == {"counted", "measured", "public", "spec", "assumed"}
    assert all(row["source"] for row in found)
    form = models.entry("resnet50").forms["imagenet"]
    assert KNOWN["resnet50_gradient_bytes"] == 4 * form.num_parameters
    assert KNOWN["resnet50_operations"] == models.count_operations("resnet50", "imagenet")
    for name in left_out:
        assert name in DOCUMENT


def test_the_arithmetic_by_hand():
    row = scale_model.training(KNOWN, 512)
    compute = 16 * 3 * KNOWN["resnet50_operations"] / (989e12 * 0.12)
    reduce = 2 * 511 / 512 * KNOWN["resnet50_gradient_bytes"] / (50e9 * 0.7) + 2 * 9 * 10e-6
    norms = 2 * 53 * 2 * 9 * 10e-6
    step = compute + reduce - compute * 2 / 3 + norms
    assert row["batch_size"] == 8192
    assert row["compute_ms"] == pytest.approx(compute * 1e3, rel=5e-3)
    assert row["sum_ms"] == pytest.approx(reduce * 1e3, rel=5e-3)
    assert row["norms_ms"] == pytest.approx(norms * 1e3, rel=5e-3)
    assert row["binding"] == "norms"
    assert row["images_per_second"] == pytest.approx(8192 / step, rel=5e-3)
    assert row["hours"] == pytest.approx(90 * 1281167 * step / 8192 / 3600, rel=5e-3)
    alone = scale_model.training(KNOWN, 1)
    assert alone["sum_ms"] == alone["norms_ms"] == 0
    assert alone["images_per_second"] == pytest.approx(989e12 * 0.12 / 3 / KNOWN["resnet50_operations"], rel=5e-3)


def test_each_term_binds_where_it_is_the_least():
    assert scale_model.training(KNOWN, 8)["binding"] == "compute"
    slow_decoder = scale_model.training(KNOWN | {"streamed": 10.0}, 8)
    assert (slow_decoder["binding"], slow_decoder["images_per_second"]) == ("decoding", 8 * 14 * 10)
    assert slow_decoder["decoding_cores_a_gpu"] == 14
    assert scale_model.training(KNOWN | {"disk": 1e6}, 8)["binding"] == "disk"
    assert scale_model.training(KNOWN | {"network": 1e9, "hop_seconds": 1e-6}, 64)["binding"] == "network"
    assert scale_model.classifying_224(KNOWN | {"streamed": 1e6}, 8)["binding"] == "disk"
    assert scale_model.classifying_224(KNOWN | {"streamed": 100.0}, 8)["binding"] == "decoding"
    assert scale_model.classifying_32(KNOWN | {"opened": 1e9}, 1)["binding"] == "compute"


def test_measurements_that_come_later_are_taken(tmp_path, monkeypatch):
    figures = {
        "images_per_second": {"podium": {"median": 900, "min": 1, "max": 1, "n": 1}},
        "num_workers": 2,
        "image": {"kilobytes": 111.5},
    }
    (tmp_path / "streaming.json").write_text(json.dumps({"figures": figures}))
    monkeypatch.setattr(scale_model, "RESULTS", tmp_path)
    found, left_out = scale_model.inputs()
    known = {row["name"]: row["value"] for row in found}
    assert (known["streamed"], known["jpeg_bytes"]) == (450, 111500)
    assert [name.partition(":")[0] for name in left_out] == ["opening-300000.json", "scaling.json"]
    made = {"inputs": found, "left_out": left_out, **scale_model.figures_from(found)}
    assert made["training"][0]["limits"]["decoding"] == 14 * 450
    assert "decoding" in scale_tables.tables(made)["classifying_224"]
