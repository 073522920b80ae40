import numpy as np
import pytest
import torch
from torch import nn

from podium.data import Images
from podium.errors import RunError
from podium.evaluation import Predictions, ensemble, predict_images
from podium.evaluation.tta import logits_with_tta
from podium.models import Classifier, Preprocessing
from podium.runtime import Runtime

CPU = Runtime(torch.device("cpu"), torch.float32, 1)


class Probe(nn.Module):
    """Logits that depend on where the pixels are: weighted sums."""

    def __init__(self, size=6):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, 3 * size * size))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


@pytest.fixture
def classifier():
    return Classifier("probe", Probe(), Preprocessing(("a", "b", "c", "d"), (6, 6), (0.5,) * 3, (0.25,) * 3)).eval()


def images(count, size=6):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return Images(pixels, None, np.array([f"i{n}" for n in range(count)]), ("a", "b", "c", "d"))


def test_tta_is_the_weighted_mean_over_six_views(classifier):
    some = images(5)
    padded = np.pad(some.pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")

    def logits(pixels):
        with torch.no_grad():
            return classifier(torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)).numpy()

    def mirrored(pixels):
        return (logits(pixels) + logits(pixels[:, :, ::-1])) / 2

    expected = {
        "none": logits(some.pixels),
        "mirror": mirrored(some.pixels),
        "mirror_translate": mirrored(some.pixels) / 2 + (mirrored(padded[:, :6, :6]) + mirrored(padded[:, 2:, 2:])) / 4,
    }
    for tta, right in expected.items():
        with torch.no_grad():
            got = logits_with_tta(classifier, torch.from_numpy(some.pixels).permute(0, 3, 1, 2), tta)
        assert np.allclose(got.numpy(), right, atol=1e-4), tta


def test_batches_make_no_difference_and_progress_is_told(classifier, monkeypatch):
    some = images(25)
    whole = predict_images(classifier, some, CPU, tta="mirror")
    monkeypatch.setattr("podium.evaluation.predict._BATCH_PIXELS", 10 * 6 * 6)
    told = []
    parts = predict_images(classifier, some, CPU, tta="mirror", on_progress=lambda *now: told.append(now))
    assert np.allclose(whole.logits, parts.logits, atol=1e-5)
    assert told == [(10, 25), (20, 25), (25, 25)]
    assert parts.ids.tolist() == some.ids.tolist()


def test_another_size_is_refused(classifier):
    with pytest.raises(RunError, match="--image-size 6"):
        predict_images(classifier, images(2, size=7), CPU)


def make(logits, classes=("a", "b"), ids=None):
    logits = np.array(logits, np.float32)
    return Predictions(np.array(ids or [str(n) for n in range(len(logits))]), classes, logits)


def test_probabilities_sum_to_one_even_for_large_logits():
    chances = make([[1000.0, 0.0], [-1000.0, -1000.0]]).probabilities
    assert np.allclose(chances, [[1, 0], [0.5, 0.5]])


def test_an_ensemble_averages_probabilities_by_class_name():
    one = make(np.log([[0.9, 0.1], [0.6, 0.4]]))
    other = make(np.log([[0.2, 0.8], [0.5, 0.5]]), classes=("b", "a"))
    together = ensemble([one, other])
    assert together.classes == ("a", "b")
    assert np.allclose(together.probabilities, [[0.85, 0.15], [0.55, 0.45]], atol=1e-6)


def test_an_ensemble_of_other_classes_is_refused():
    with pytest.raises(RunError, match="different classes"):
        ensemble([make([[0, 1]]), make([[0, 1]], classes=("a", "c"))])


def test_what_is_saved_loads(tmp_path):
    one = Predictions(np.array(["ä", "b"]), ("x", "y"), np.eye(2, dtype=np.float32), np.array([0, 1]))
    one.save(tmp_path / "p.safetensors")
    again = Predictions.load(tmp_path / "p.safetensors")
    assert again.ids.tolist() == ["ä", "b"]
    assert again.classes == ("x", "y")
    assert np.array_equal(again.logits, one.logits)
    assert np.array_equal(again.labels, one.labels)
    (tmp_path / "p.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="podium evaluate"):
        Predictions.load(tmp_path / "p.safetensors")
