import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from podium.data import Images, ImageStream
from podium.errors import DataError, RunError
from podium.evaluation import Predictions, ensemble, pooled, predict_images
from podium.evaluation.tta import least_sure, logits_with_tta
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
    monkeypatch.setattr("podium.evaluation.predict._BATCH_PIXELS_A_THREAD", 10 * 6 * 6)
    told = []
    parts = predict_images(classifier, some, CPU, tta="mirror", on_progress=lambda *now: told.append(now))
    assert np.allclose(whole.logits, parts.logits, atol=1e-5)
    assert told == [(10, 25), (20, 25), (25, 25)]
    assert parts.ids.tolist() == some.ids.tolist()


@pytest.mark.parametrize("threads", [1, 3])
def test_another_size_is_refused(classifier, threads):
    with pytest.raises(RunError, match="--image-size 6"):
        predict_images(classifier, images(2, size=7), replace(CPU, num_threads=threads))


@pytest.fixture
def _small_batches(monkeypatch):
    monkeypatch.setattr("podium.evaluation.predict._BATCH_PIXELS_A_THREAD", 10 * 6 * 6)


@pytest.mark.usefixtures("_small_batches")
def test_threads_make_no_difference_and_leave_torch_as_it_was(classifier):
    before = torch.get_num_threads()
    some = images(123)
    alone = predict_images(classifier, some, CPU, tta="mirror_translate")
    told = []
    three = Runtime(torch.device("cpu"), torch.float32, 3)
    together = predict_images(
        classifier, some, three, tta="mirror_translate", on_progress=lambda *now: told.append(now)
    )
    assert np.allclose(alone.logits, together.logits, atol=1e-5)
    assert told == [(min(done, 123), 123) for done in range(10, 133, 10)]
    torch.set_num_threads(before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("podium-predict")]


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("tta", "views"), [("mirror", 2), ("mirror_translate", 6)])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 1.0])
def test_only_the_least_sure_get_all_views(classifier, tta, views, fraction, threads):
    some, seen, told = images(50), [], []
    first = predict_images(classifier, some, CPU)
    every = predict_images(classifier, some, CPU, tta=tta)
    classifier.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    runtime = Runtime(torch.device("cpu"), torch.float32, threads)
    mixed = predict_images(
        classifier, some, runtime, tta=tta, tta_fraction=fraction, on_progress=lambda *now: told.append(now)
    )
    later = np.argsort(first.probabilities.max(1), kind="stable")[: int(50 * fraction)]
    expected = first.logits.copy()
    expected[later] = every.logits[later]
    assert np.allclose(mixed.logits, expected, atol=1e-4)
    assert sum(seen) == 50 + len(later) * (views - 1)  # no view twice
    done = [now for now, _ in told]
    assert done == sorted(done)
    assert told[-1] == (50, 50)


def test_the_first_view_alone_where_there_is_no_other(classifier):
    some = images(20)
    plain = predict_images(classifier, some, CPU)
    assert np.array_equal(predict_images(classifier, some, CPU, tta="none", tta_fraction=0.3).logits, plain.logits)


def test_the_least_sure_are_found_by_probability_ties_by_row():
    logits = np.array([[9, 0], [0, 1], [1, 0], [0, 5], [7, 6]], np.float32)
    assert least_sure(logits, 1).tolist() == [1]
    assert least_sure(logits, 3).tolist() == [1, 2, 4]
    assert least_sure(logits, 0).tolist() == []
    assert least_sure(logits + 1000, 2).tolist() == [1, 2]


@given(count=st.integers(0, 40), seed=st.integers(0, 99))
def test_the_least_sure_are_no_surer_than_the_others(count, seed):
    logits = np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32).round(1)
    rows = least_sure(logits, count)
    sure = make(logits, classes=("a", "b", "c")).probabilities.max(1)
    others = np.setdiff1d(np.arange(40), rows)
    assert len(rows) == count == len(set(rows.tolist()))
    assert not count or count == 40 or sure[rows].max() <= sure[others].min() + 1e-6


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_in_any_order_is_closed_when_something_fails(classifier, threads):
    some, closed = images(60), []
    order = np.random.default_rng(0).permutation(60)

    def batches(fails):
        try:
            for start in range(0, 60, 25):
                rows = order[start : start + 25]
                yield rows, some.pixels[rows]
                if fails:
                    raise DataError("a damaged image")
        finally:
            closed.append(fails)

    runtime = Runtime(torch.device("cpu"), torch.float32, threads)
    whole = predict_images(classifier, some, CPU)
    streamed = predict_images(classifier, ImageStream(some.ids, None, batches(False), lambda: some), runtime)
    assert np.allclose(streamed.logits, whole.logits, atol=1e-5)
    with pytest.raises(DataError, match="damaged image"):
        predict_images(classifier, ImageStream(some.ids, None, batches(True), lambda: some), runtime)

    class InterruptError(Exception):
        pass

    def interrupt(*_):
        raise InterruptError

    stream = ImageStream(some.ids, None, batches(False), lambda: some)
    with pytest.raises(InterruptError):
        predict_images(classifier, stream, runtime, on_progress=interrupt)
    assert closed == [False, True, False]


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


def of_hold_out(ids, labels, probabilities):
    logits = np.log(np.array(probabilities, np.float32))
    return Predictions(np.array(ids), ("a", "b"), logits, np.array(labels))


def test_pooled_hold_outs_hold_each_image_once():
    first = of_hold_out(["3", "1"], [1, 0], [[0.2, 0.8], [0.9, 0.1]])
    second = of_hold_out(["2", "3"], [0, 1], [[0.6, 0.4], [0.6, 0.4]])
    together = pooled([first, second])
    assert together.ids.tolist() == ["1", "2", "3"]
    assert together.labels.tolist() == [0, 0, 1]
    assert together.probabilities == pytest.approx(np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]), abs=1e-6)
    assert pooled([first]) is first


def test_pooled_hold_outs_must_agree():
    first = of_hold_out(["1"], [0], [[0.2, 0.8]])
    with pytest.raises(RunError, match="'1' under different labels"):
        pooled([first, of_hold_out(["1"], [1], [[0.2, 0.8]])])
    with pytest.raises(RunError, match="different classes"):
        pooled([first, replace(first, classes=("a", "c"))])


@given(st.data())
def test_what_is_kept_is_read_as_it_was_or_not_at_all(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "kept.safetensors"
    whole = of_hold_out(["1", "2", "3"], [0, 1, 0], [[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    whole.save(path)
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(-1, 7))
    path.write_bytes(content[:at] if bit < 0 else content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    try:
        found = Predictions.load(path)
    except RunError as error:
        assert str(error).count("\n") <= 1  # noqa: PT017
    else:
        assert found.logits.shape == (len(found.ids), len(found.classes)) == (3, 2)
        assert found.logits.dtype == np.float32
        assert found.labels is None or set(found.labels.tolist()) <= {0, 1}


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, -1, 0], [0, 1]])
def test_labels_of_no_class_are_refused(tmp_path, labels):
    import safetensors.numpy

    tensors = {"logits": np.zeros((3, 2), np.float32), "labels": np.array(labels)}
    header = {"ids": '["1", "2", "3"]', "classes": '["a", "b"]'}
    (tmp_path / "p.safetensors").write_bytes(safetensors.numpy.save(tensors, metadata=header))
    with pytest.raises(RunError, match="one class for each image"):
        Predictions.load(tmp_path / "p.safetensors")
