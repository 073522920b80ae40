import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from podium import models
from podium.errors import RunError
from podium.models import Classifier, Preprocessing

PREPROCESSING = Preprocessing(("a", "b", "ü"), (12, 12), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    net = models.create("sprint", 3, (12, 12)).to(memory_format=torch.channels_last)
    return Classifier("sprint", net, PREPROCESSING).eval()


def test_normalisation_is_that_of_the_textbook():
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    mean, std = np.array(PREPROCESSING.mean), np.array(PREPROCESSING.std)
    expected = (pixels.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    assert np.allclose(PREPROCESSING.normalize(pixels).numpy(), expected, atol=1e-5)


def test_what_is_saved_loads_with_its_preprocessing(classifier, tmp_path):
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    again = Classifier.load(path)
    assert again.preprocessing == PREPROCESSING
    pixels = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(again(pixels), classifier(pixels))


def test_what_normalises_goes_with_the_network_and_not_into_its_file(classifier, tmp_path):
    pixels = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(classifier(pixels), classifier.network(PREPROCESSING.normalize(pixels)))
    assert not any("scale" in name or "shift" in name for name in classifier.state_dict())
    assert classifier.to("meta").scale.device.type == "meta"


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(RunError, match="missing"):
        Classifier.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("keep", [0, 7, 100, 5000, -1])
def test_a_damaged_file_says_so(classifier, tmp_path, keep):
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match="damaged"):
        Classifier.load(path)


def test_another_safetensors_file_is_none(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(RunError, match="no podium classifier"):
        Classifier.load(tmp_path / "x.safetensors")


def test_preprocessing_says_that_it_crops_only_where_it_does():
    plain = Preprocessing(("a", "b"), (8, 9), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    crops = replace(plain, crops=True)
    assert "crops" not in plain.to_json()
    assert [Preprocessing.from_json(one.to_json()) for one in (plain, crops)] == [plain, crops]
    with pytest.raises(ValueError, match="no table"):
        Preprocessing.from_json("[1, 2]")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("classes", ["a"]),
        ("classes", ["a", "a"]),
        ("classes", ["a", 1]),
        ("image_size", [12]),
        ("image_size", [12, 10**9]),
        ("image_size", [12, 12.0]),
        ("mean", [0.1, 0.2]),
        ("mean", [0.1, 0.2, "0"]),
        ("mean", [0.1, 0.2, float("nan")]),
        ("std", [1, 1, 0]),
        ("std", [1, 1, -1]),
        ("std", 1),
        ("more", 1),
    ],
)
def test_preprocessing_that_cannot_be_is_refused(part, value):
    text = json.dumps(json.loads(PREPROCESSING.to_json()) | {part: value})
    with pytest.raises((ValueError, TypeError)):
        Preprocessing.from_json(text)


def test_a_file_for_a_million_classes_is_refused_before_they_take_memory(classifier, tmp_path, monkeypatch):
    many = replace(PREPROCESSING, classes=tuple(map(str, range(10_000))))
    path = tmp_path / "model.safetensors"
    Classifier("sprint", classifier.network, many).save(path)
    monkeypatch.setattr(models.registry, "create", None)
    with pytest.raises(RunError, match="for other classes"):
        Classifier.load(path)


def test_an_error_without_words_is_said_by_its_name(classifier, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    classifier.save(path)

    def fail(*_, **__):
        raise AssertionError

    monkeypatch.setattr(models.registry, "create", fail)
    with pytest.raises(RunError, match="is damaged: AssertionError"):
        Classifier.load(path)
