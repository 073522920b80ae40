"""data, train, evaluate and submit on every kind of data set, as a user types them."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import podium
from podium.cli import app
from podium.errors import DataError, PodiumError, RunError

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

import ilsvrc

SETTINGS = ["--recipe", "sprint_small", "--set", "epochs=2", "--set", "batch_size=16", "--set", "precision=fp32"]
CLASSES = ("blue", "green", "red")
NUM_TRAIN, NUM_EVALUATION, NUM_TEST = 60, 12, 9


def invoke(*words):
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def image(number):
    """12×12 pixels; the class can be told from the colour."""
    pixels = np.random.default_rng(number).integers(0, 120, (12, 12, 3), np.uint8)
    pixels[..., 2 - number % 3] += 100
    return pixels


def png(number):
    buffer = io.BytesIO()
    Image.fromarray(image(number)).save(buffer, "PNG")
    return buffer.getvalue()


def write(files):
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def as_cifar(folder):
    """The binary version of CIFAR-100 with three fine classes, of which two are one coarse one."""
    record = {}
    for name, start, count in (("train.bin", 0, NUM_TRAIN), ("test.bin", 100, NUM_EVALUATION)):
        rows = [(n, np.asarray(Image.fromarray(image(n)).resize((32, 32)))) for n in range(start, start + count)]
        record[name] = b"".join(bytes([n % 3 // 2, n % 3]) + rgb.transpose(2, 0, 1).tobytes() for n, rgb in rows)
    names = {"fine_label_names.txt": "\n".join(CLASSES).encode(), "coarse_label_names.txt": b"cold\nwarm\n"}
    write({folder / "cifar-100-binary" / name: data for name, data in (record | names).items()})
    return folder


def as_folder(folder):
    files = {folder / "train" / CLASSES[n % 3] / f"{n}.png": png(n) for n in range(NUM_TRAIN)}
    files |= {folder / "val" / CLASSES[n % 3] / f"{n}.png": png(n) for n in range(100, 100 + NUM_EVALUATION)}
    write(files | {folder / "test" / f"{n}.png": png(n) for n in range(200, 200 + NUM_TEST)})
    return folder


def as_table(folder):
    parts = {"train": range(NUM_TRAIN), "val": range(100, 100 + NUM_EVALUATION), "test": range(200, 200 + NUM_TEST)}
    write({folder / "images" / f"{n}.png": png(n) for numbers in parts.values() for n in numbers})
    rows = [f"images/{n}.png,{'' if role == 'test' else CLASSES[n % 3]},{role}" for role in parts for n in parts[role]]
    (folder / "images.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    return folder


def as_parquet(folder):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    struct = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    features = {"info": {"features": {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}}}
    folder.mkdir()
    for split, start, count in (("train", 0, NUM_TRAIN), ("validation", 100, NUM_EVALUATION), ("test", 200, NUM_TEST)):
        numbers = range(start, start + count)
        images = arrow.array([{"bytes": png(n), "path": None} for n in numbers], struct)
        labels = arrow.array([-1 if split == "test" else n % 3 for n in numbers])
        table = arrow.table({"image": images, "label": labels})
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


KINDS = {
    "cifar": (as_cifar, "official test split"),
    "folder": (as_folder, "validation set"),
    "table": (as_table, "validation rows"),
    "parquet": (as_parquet, "validation split"),
}


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    """Kind, data set and run of each kind of data."""
    folder = tmp_path_factory.mktemp(request.param)
    data = KINDS[request.param][0](folder / "data")
    out = invoke("train", data, *SETTINGS, "--set", "hold_out=0.2", "--out", folder / "run")
    return request.param, data, folder / "run", out


def test_data_counts_all_sets(trained):
    kind, data, _, _ = trained
    summary = json.loads(invoke("data", data, "--json"))
    assert (summary["kind"], summary["num_train"]) == (kind, NUM_TRAIN)
    assert (summary["num_evaluation"], summary["evaluation"]) == (NUM_EVALUATION, KINDS[kind][1])
    assert summary["num_test"] == (None if kind == "cifar" else NUM_TEST)
    assert summary["class_counts"] == dict.fromkeys(CLASSES, NUM_TRAIN // 3)
    assert summary["evaluation_counts"] == dict.fromkeys(CLASSES, NUM_EVALUATION // 3)
    text = invoke("data", data)
    assert f"{NUM_EVALUATION} to measure on ({KINDS[kind][1]})" in text
    assert "No faults found." in text


def test_train_says_how_to_measure_on_the_evaluation_set(trained):
    kind, _, run, out = trained
    assert f"To measure on the {KINDS[kind][1]}, left aside so far: podium evaluate {run}" in out
    manifest = podium.Run.open(run).manifest
    assert manifest["data"]["evaluation"] == KINDS[kind][1]
    assert manifest["split"] == {"hold_out": 0.2, "seed": 0, "num_train": 48, "num_hold_out": 12}


def test_evaluate_measures_on_it(trained):
    kind, data, run, _ = trained
    found = json.loads(invoke("evaluate", run, "--json"))
    assert found["what"] == f"{KINDS[kind][1]} of {podium.open(data).name}"
    assert found["num_images"] == NUM_EVALUATION
    assert found["accuracy"] > 0.9
    assert json.loads(invoke("evaluate", run, data, "--on", "evaluation", "--json")) == found
    held = json.loads(invoke("evaluate", run, "--on", "hold-out", "--json"))
    assert held["what"].startswith("hold-out of")
    assert held["accuracy"] == podium.Run.open(run).manifest["hold_out"]["accuracy"]
    with pytest.raises(RunError, match="would say nothing"):
        invoke("evaluate", run, "--on", "all")


def test_submit_gives_a_row_for_each_image(trained, tmp_path):
    kind, data, run, _ = trained
    out = invoke("submit", run, "--data", data, "-o", tmp_path / "s.csv")
    header, *rows = csv.reader((tmp_path / "s.csv").open())
    assert header == ["id", "label"]
    if kind == "cifar":
        assert "no images to be predicted, so these are those of the official test split" in out
        numbers = {str(i): 100 + i for i in range(NUM_EVALUATION)}
    else:
        assert "no images to be predicted" not in out
        form = {"folder": "{}.png", "table": "images/{}.png"}.get(kind)
        numbers = {form.format(n) if form else str(n - 200): n for n in range(200, 200 + NUM_TEST)}
    assert [row[0] for row in rows] == list(numbers)
    assert sum(label == CLASSES[numbers[image_id] % 3] for image_id, label in rows) >= 0.9 * len(numbers)


def test_other_data_are_measured_on_their_evaluation_set(trained, tiny_competition, tiny_run):
    kind, data, run, _ = trained
    other = json.loads(invoke("evaluate", tiny_run.path, data, "--image-size", 12, "--json"))
    assert other["what"].startswith(KINDS[kind][1])
    assert "other data than the run's" in other["what"]
    assert other["num_images"] == NUM_EVALUATION
    everything = json.loads(invoke("evaluate", tiny_run.path, data, "--image-size", 12, "--on", "all", "--json"))
    assert everything["num_images"] == NUM_TRAIN + NUM_EVALUATION
    assert np.array(everything["confusion"]).sum() == NUM_TRAIN + NUM_EVALUATION
    with pytest.raises(RunError, match="no hold-out in it"):
        invoke("evaluate", tiny_run.path, data, "--image-size", 12, "--on", "hold-out")
    with pytest.raises(DataError, match="no evaluation set"):
        invoke("evaluate", tiny_run.path, tiny_competition, "--on", "evaluation")
    size = 32 if kind == "cifar" else 12
    back = json.loads(invoke("evaluate", run, tiny_competition, "--image-size", size, "--json"))
    assert (back["num_images"], back["what"][:19]) == (60, "all labelled images")


def test_without_a_hold_out_there_is_the_evaluation_set(tmp_path):
    data = as_folder(tmp_path / "data")
    out = invoke("train", data, *SETTINGS, "--set", "hold_out=0", "--out", tmp_path / "run")
    assert "No hold-out, so no accuracy." in out
    assert "To measure on the validation set" in out
    assert json.loads(invoke("evaluate", tmp_path / "run", "--json"))["num_images"] == NUM_EVALUATION
    with pytest.raises(RunError, match="every labelled image"):
        invoke("evaluate", tmp_path / "run", "--on", "hold-out")


def test_coarse_labels_go_through_all_verbs(tmp_path, tiny_competition):
    data, run = as_cifar(tmp_path / "data"), tmp_path / "run"
    summary = json.loads(invoke("data", data, "--labels", "coarse", "--json"))
    assert (summary["labels"], summary["class_counts"]) == ("coarse", {"cold": 40, "warm": 20})
    assert "2 classes (coarse)" in invoke("data", data, "--labels", "coarse")
    invoke("train", data, "--labels", "coarse", *SETTINGS, "--set", "hold_out=0.2", "--out", run)
    assert podium.Run.open(run).manifest["data"]["labels"] == "coarse"
    for words in ([], [data], [data, "--labels", "coarse"]):
        found = json.loads(invoke("evaluate", run, *words, "--json"))
        assert [one["name"] for one in found["per_class"]] == ["cold", "warm"]
    invoke("submit", run, "--data", data, "-o", tmp_path / "s.csv")
    assert {row[1] for row in list(csv.reader((tmp_path / "s.csv").open()))[1:]} <= {"cold", "warm"}
    with pytest.raises(PodiumError, match="cold, warm; cifar-100-binary has blue, green, red"):
        invoke("evaluate", run, data, "--labels", "fine")
    with pytest.raises(PodiumError, match="cold, warm; tiny has blue"):  # and no complaint of labels
        invoke("evaluate", run, tiny_competition)
    with pytest.raises(PodiumError, match="--labels can't go with --resume"):
        invoke("train", "--resume", run, "--labels", "fine")


def test_images_that_are_in_both_sets_are_said(tmp_path):
    data = as_folder(tmp_path / "data")
    write({data / "val" / "blue" / f"again{n}.png": png(n) for n in (0, 3)})
    assert "2 evaluation images have the pixels of a training image." in invoke("data", data)


def test_a_broken_test_set_keeps_nobody_from_training(tmp_path):
    data = as_folder(tmp_path / "data")
    shutil.rmtree(data / "val")
    write({data / "test" / "blue" / "1.png": b"no image"})
    invoke("train", data, *SETTINGS, "--set", "hold_out=0.2", "--out", tmp_path / "run")
    with pytest.raises(DataError, match="some do not"):
        invoke("evaluate", tmp_path / "run")


@pytest.mark.parametrize("layout", ["official", "kaggle", "kaggle_zip", "class_tars"])
def test_imagenet_goes_through_all_verbs(tmp_path, layout):
    data, run = ilsvrc.LAYOUTS[layout](tmp_path / "data"), tmp_path / "run"
    summary = json.loads(invoke("data", data, "--json"))
    assert (summary["kind"], summary["num_train"], summary["num_evaluation"]) == ("imagenet", 20, ilsvrc.NUM_VAL)
    invoke("train", data, "--image-size", 16, *SETTINGS, "--set", "batch_size=5", "--set", "hold_out=0", "--out", run)
    found = json.loads(invoke("evaluate", run, "--json"))
    assert found["num_images"] == ilsvrc.NUM_VAL
    invoke("submit", run, "--data", data, "-o", tmp_path / "s.csv")
    rows = list(csv.reader((tmp_path / "s.csv").open()))[1:]
    assert {row[0] for row in rows} == {f"ILSVRC2012_test_{i + 1:08}" for i in range(ilsvrc.NUM_TEST)}
